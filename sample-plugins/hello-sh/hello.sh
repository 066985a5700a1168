# Greets and counts the words and characters of a text, and starts no other program.

# The working directory is empty; the SDK lies beside this file.
case $0 in
*/*) here=${0%/*} ;;
*) here=. ;;
esac
# shellcheck disable=SC1091 # it is put there when the package is built
. "$here/omega-plugin.sh"

omega_read || exit 1

if [ "$OMEGA_KIND" != text ]; then
    omega_rejected 'send a text payload'
elif [ -z "$OMEGA_CONTENT" ]; then
    omega_rejected 'the text is empty'
else
    omega_measure
    omega_ok hello/1 "{\"greeting\":\"Hello from the shell!\",\"word_count\":$OMEGA_WORDS,\"original_length\":$OMEGA_LENGTH}"
fi
