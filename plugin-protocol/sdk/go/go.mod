module omega/omegaplugin

go 1.21
