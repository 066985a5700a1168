//go:build !linux

package omegaplugin

import "os"

// keepStdout gives the real stdout, for the answer alone, and makes os.Stdout stderr. It is for trying a plugin out where the
// gateway does not run.
func keepStdout() (*os.File, error) {
	kept := os.Stdout
	os.Stdout = os.Stderr
	return kept, nil
}
