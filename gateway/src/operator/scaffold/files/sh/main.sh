# Greets, and counts the words of a text. It starts no other program, which no plugin may.

. "${0%/*}/omega-plugin.sh"

omega_read || exit 1
omega_measure
omega_ok hello/1 "{\"greeting\":\"Hello!\",\"word_count\":$OMEGA_WORDS}"
