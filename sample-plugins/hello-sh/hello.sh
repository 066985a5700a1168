# Greets and counts the words and characters of a text, and starts no other program.

# The working directory is empty; the SDK lies beside this file.
case $0 in
*/*) here=${0%/*} ;;
*) here=. ;;
esac
# shellcheck disable=SC1091 # it is put there when the package is built
. "$here/omega-plugin.sh"

# A shell cannot count its environment without a second process, so this counts the names that
# nearly every environment has. PATH, PWD, SHELL and TERM are left out: shells set these themselves.
env_count() {
    ENV_COUNT=0
    for set in "${HOME+x}" "${USER+x}" "${LOGNAME+x}" "${LANG+x}" "${LC_ALL+x}" "${TZ+x}"; do
        [ -z "$set" ] || ENV_COUNT=$((ENV_COUNT + 1))
    done
}

omega_read || exit 1

if [ "$OMEGA_KIND" != text ]; then
    omega_rejected 'send a text payload'
elif [ -z "$OMEGA_CONTENT" ]; then
    omega_rejected 'the text is empty'
else
    omega_measure
    env_count
    omega_ok hello/1 "{\"greeting\":\"Hello from the shell!\",\"word_count\":$OMEGA_WORDS,\"original_length\":$OMEGA_LENGTH,\"env_count\":$ENV_COUNT}"
fi
