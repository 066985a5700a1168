# The shell plugin SDK: reads one request, writes one answer, with the shell's own words alone.
#
#     . "${0%/*}/omega-plugin.sh"
#     omega_read text || exit 1
#     omega_ok answer/1 '{"answer":42}'
#
# The sandbox lets a plugin start no process, so there is no $(…), no pipe, no here-document, no sed.
# After omega_read these are set:
#     OMEGA_ID       the request_id, in quotes and with its escapes, as it was written
#     OMEGA_KIND     the payload's kind
#     OMEGA_CONTENT  the text payload's content between its quotes, escapes still in it
# and omega_measure makes from OMEGA_CONTENT
#     OMEGA_LENGTH   how many characters it has
#     OMEGA_WORDS    how many words it has
#
# What is printed goes to stderr as soon as this file is read; the answer has descriptor 9 for itself. A script that ends without an
# answer, by an exit, by `set -e` or by an unset variable, is answered `error` with its exit code, unless it has an EXIT trap of its
# own; the shell's words about it are on stderr, where no script can read them. A shell that a signal ends gives no answer, which the
# gateway calls an `error`.
#
# Written for any POSIX shell. Words are split with IFS and never globbed.
# shellcheck shell=sh disable=SC2034 # the plugin that reads this file uses what it sets
set -f

# A stray echo must not become a second line on stdout, which the gateway would refuse.
exec 9>&1 1>&2

OMEGA_ID='' omega_answered=no
trap omega_end EXIT

# Reads the invoke line: omega_read KIND…, the kinds of payload that the plugin takes; without one it takes all. Fails where there
# is no such request; that has been answered `rejected`.
omega_read() {
    OMEGA_ID='' OMEGA_KIND='' OMEGA_CONTENT='' omega_type=''
    # read fails at the end of input, but the line is there all the same.
    IFS= read -r omega_line || :
    omega_walk "$omega_line"
    if [ "$omega_type" != invoke ] || [ -z "$OMEGA_ID" ]; then
        omega_rejected 'Invalid request: the line is not an invoke message with a request_id'
        return 1
    elif [ -z "$OMEGA_KIND" ]; then
        omega_rejected 'Invalid request: the request has no payload with a kind'
        return 1
    fi
    [ $# -gt 0 ] || return 0
    omega_kinds=''
    for omega_kind; do
        [ "$omega_kind" != "$OMEGA_KIND" ] || return 0
        omega_kinds="${omega_kinds:+$omega_kinds or }$omega_kind"
    done
    omega_rejected "Invalid request: this plugin takes $omega_kinds, and not $OMEGA_KIND"
    return 1
}

# Answers `ok` with a json payload: omega_ok SCHEMA_REF DATA, DATA a JSON object.
omega_ok() {
    omega_answer ok "{\"kind\":\"json\",\"schema_ref\":\"$1\",\"data\":$2}" ''
}

# Answers that this plugin will not take the request: omega_rejected NOTES, words in UTF-8.
omega_rejected() {
    omega_quote "$1"
    omega_answer rejected null "$omega_quoted"
}

# Answers that this plugin failed: omega_error NOTES, words in UTF-8.
omega_error() {
    omega_quote "$1"
    omega_answer error null "$omega_quoted"
}

omega_answer() {
    omega_answered=yes
    printf '{"type":"result","response":{"request_id":%s,"status":"%s","result":%s,"notes":"%s"}}\n' \
        "${OMEGA_ID:-\"\"}" "$1" "$2" "$3" >&9
}

# The host is owed an answer.
omega_end() {
    omega_status=$?
    [ "$omega_answered" = yes ] || [ -z "$OMEGA_ID" ] || omega_error "the script ended without an answer, with exit code $omega_status"
}

omega_newline='
'
# Sets omega_quoted to the inside of a JSON string for $1.
omega_quote() {
    omega_rest=$1 omega_quoted=''
    while [ -n "$omega_rest" ]; do
        omega_tail=${omega_rest#?}
        omega_character=${omega_rest%"$omega_tail"}
        case $omega_character in
        # shellcheck disable=SC1003 # a backslash is what is meant
        '"' | '\') omega_character="\\$omega_character" ;;
        "$omega_newline") omega_character='\n' ;;
        '	') omega_character='\t' ;;
        [[:cntrl:]]) omega_character='?' ;;
        esac
        omega_quoted="$omega_quoted$omega_character"
        omega_rest=$omega_tail
    done
}

# Walks over one JSON text. Cut at its quotes it is structure, string, structure, string …, structure;
# a piece that ends in an odd number of backslashes was cut at an escaped quote and goes on.
omega_walk() {
    omega_path='' omega_expect=value omega_inside=no omega_string=''
    IFS='"'
    # shellcheck disable=SC2086 # splitting is the purpose
    set -- $1
    for omega_piece; do
        if [ "$omega_inside" = no ]; then
            omega_structure "$omega_piece"
            omega_inside=yes
        elif omega_is_cut "$omega_piece"; then
            omega_string="$omega_string$omega_piece\""
        else
            omega_take "$omega_string$omega_piece"
            omega_string='' omega_inside=no
        fi
    done
}

# Whether a piece ends in an odd number of backslashes.
omega_is_cut() {
    omega_tail=${1##*[!\\]}
    [ $((${#omega_tail} % 2)) -eq 1 ]
}

# Follows what stands between two strings. The path is one word a level, the outermost first: the
# member's name in an object, `[` in an array.
omega_structure() {
    omega_rest=$1
    while [ -n "$omega_rest" ]; do
        case $omega_rest in
        '{'*) omega_path="$omega_path/" omega_expect=name ;;
        '['*) omega_path="$omega_path/[" omega_expect=value ;;
        '}'* | ']'*) omega_path=${omega_path%/*} ;;
        :*) omega_expect=value ;;
        ,*) case $omega_path in */'[') ;; *) omega_expect=name ;; esac ;;
        esac
        omega_rest=${omega_rest#?}
    done
}

# Takes one string: the name of a member, or a value that may be one we look for.
omega_take() {
    if [ "$omega_expect" = name ]; then
        # A name must look like neither two levels nor an array.
        case $1 in */* | '[') set -- '?' ;; esac
        omega_path="${omega_path%/*}/$1"
        return
    fi
    case $omega_path in
    /type) omega_type=$1 ;;
    /request/request_id) OMEGA_ID="\"$1\"" ;;
    /request/payload/kind) OMEGA_KIND=$1 ;;
    /request/payload/content) OMEGA_CONTENT=$1 ;;
    esac
}

# Counts the characters and words of OMEGA_CONTENT.
omega_measure() {
    omega_flatten "$OMEGA_CONTENT"
    omega_count_characters "$omega_flat"
    IFS=' '
    # shellcheck disable=SC2086 # splitting is the purpose
    set -- $omega_flat
    OMEGA_WORDS=$#
}

# Puts one plain character in place of each escape: a space for a blank, an x for any other.
omega_flatten() {
    # shellcheck disable=SC1003,SC2141 # a backslash is what is meant
    IFS='\'
    # shellcheck disable=SC2086 # splitting is the purpose
    set -- $1
    omega_flat=${1-}
    [ $# -eq 0 ] || shift
    omega_escaped=no
    for omega_piece; do
        if [ "$omega_escaped" = yes ]; then
            # The piece before was empty: that was an escaped backslash, and this one is plain.
            omega_flat="${omega_flat}x$omega_piece" omega_escaped=no
            continue
        fi
        case $omega_piece in
        '') omega_escaped=yes ;;
        [ntrf]*) omega_flat="$omega_flat ${omega_piece#?}" ;;
        u0020* | u0009* | u000[aAcCdD]*) omega_flat="$omega_flat ${omega_piece#?????}" ;;
        # The second half of a pair: the first half was counted.
        u[dD][c-fC-F]*) omega_flat="$omega_flat${omega_piece#?????}" ;;
        u*) omega_flat="${omega_flat}x${omega_piece#?????}" ;;
        *) omega_flat="${omega_flat}x${omega_piece#?}" ;;
        esac
    done
    # A text that ends in an escaped backslash leaves no piece behind it.
    [ "$omega_escaped" = no ] || omega_flat="${omega_flat}x"
}

# These 64 letters take two bytes each in UTF-8: the first byte is the same in all, and the second
# bytes are together all the bytes that ever continue a character.
omega_letters='ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖ×ØÙÚÛÜÝÞßàáâãäåæçèéêëìíîïðñòóôõö÷øùúûüýþÿ'

# Sets OMEGA_LENGTH. Without a locale a shell counts bytes, so the continuing ones are taken off.
omega_count_characters() {
    OMEGA_LENGTH=${#1}
    [ ${#omega_letters} -ne 64 ] || return 0
    omega_text=$1
    IFS=${omega_letters%"${omega_letters#?}"}
    # shellcheck disable=SC2086 # splitting is the purpose
    set -- $omega_letters
    IFS=
    omega_continuing=$*
    # Cut at every continuing byte; the x keeps the last piece from being empty and so forgotten.
    IFS=$omega_continuing
    # shellcheck disable=SC2086 # splitting is the purpose
    set -- ${omega_text}x
    OMEGA_LENGTH=$((OMEGA_LENGTH - ($# - 1)))
}
