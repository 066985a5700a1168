/*
 * The C plugin SDK, in one header: reads one request, finds values in it, writes one answer.
 *
 *     #include "plugin.h"
 *
 *     int main(void)
 *     {
 *         struct omega_json request;
 *         if (!omega_read(&request) || !omega_takes(request, "text"))
 *             return 1;
 *         return omega_ok(request, "answer/1", "{\"answer\":42}");
 *     }
 *
 * It opens no file, reads no environment variable, allocates nothing and starts nothing. Build with
 * `cc -O2 -static`: a static program needs no file of the system, so the sandbox shows it none.
 *
 * The gateway sends valid JSON with plain keys. On any other bytes this reader stays inside its
 * buffer and finds nothing; it is no validator.
 *
 * From omega_read on, descriptor 1 is stderr for everything but the answer, so that a stray printf is
 * no second line, which the gateway would refuse. C has no exceptions: where the program ends itself
 * or crashes there is no answer, and the gateway calls that an `error`.
 */
#ifndef OMEGA_PLUGIN_H
#define OMEGA_PLUGIN_H

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The longest request line in bytes; ask for no more in the manifest's limits.max_bytes. */
#ifndef OMEGA_MAX_LINE
#define OMEGA_MAX_LINE (1024 * 1024)
#endif

/* The deepest nesting that is followed: the contract allows no more. */
#define OMEGA_MAX_DEPTH 128

#if defined(__GNUC__)
#define OMEGA_API static __attribute__((unused))
#else
#define OMEGA_API static
#endif

/* One JSON value exactly as it was written; `start` is NULL where there is none. */
struct omega_json {
    const char *start;
    const char *end;
};

/* Reads the invoke line and finds its request. 0 when there is none: that has been answered `rejected`. */
OMEGA_API int omega_read(struct omega_json *request);

/* 1 when the payload is of one of these kinds ("text json"). 0 when not: that has been answered `rejected`. */
OMEGA_API int omega_takes(struct omega_json request, const char *kinds);

/* The member `key` of an object, or none. */
OMEGA_API struct omega_json omega_get(struct omega_json object, const char *key);

/* 1 when `value` is the string `text`, written without escapes. */
OMEGA_API int omega_is(struct omega_json value, const char *text);

/*
 * Decodes a string value to UTF-8 in `out`, which must hold `value.end - value.start` bytes: the
 * decoded text is never longer. Returns the length in bytes (the text may hold NUL), or -1 when the
 * value is not a string.
 */
OMEGA_API long omega_text(struct omega_json value, char *out);

/* Answer `ok` with a json payload; `data` is a JSON object. Return the result from main. */
OMEGA_API int omega_ok(struct omega_json request, const char *schema_ref, const char *data);

/* Answer that this plugin will not take the request, with the reason in words. */
OMEGA_API int omega_rejected(struct omega_json request, const char *notes);

/* Answer that this plugin failed, with the reason in words. */
OMEGA_API int omega_error(struct omega_json request, const char *notes);

/* ---- reading ------------------------------------------------------------------------------- */

static const char *omega_skip_blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
        at++;
    return at;
}

/* From an opening quote to behind the closing one, or NULL. */
static const char *omega_skip_string(const char *at, const char *end)
{
    if (at >= end || *at != '"')
        return NULL;
    for (at++; at < end; at++) {
        if (*at == '"')
            return at + 1;
        if (*at == '\\')
            at++;
    }
    return NULL;
}

/* From the first byte of a value to behind its last, or NULL. */
static const char *omega_skip_value(const char *at, const char *end)
{
    char closers[OMEGA_MAX_DEPTH];
    int depth = 0;
    do {
        at = omega_skip_blanks(at, end);
        if (at >= end)
            return NULL;
        if (*at == '{' || *at == '[') {
            if (depth == OMEGA_MAX_DEPTH)
                return NULL;
            closers[depth++] = *at == '{' ? '}' : ']';
            at++;
        } else if (*at == '}' || *at == ']') {
            if (depth == 0 || closers[--depth] != *at)
                return NULL;
            at++;
        } else if (*at == '"') {
            at = omega_skip_string(at, end);
            if (at == NULL)
                return NULL;
        } else if (*at == ',' || *at == ':') {
            if (depth == 0)
                return NULL;
            at++;
        } else if (*at == '\0') {
            return NULL;
        } else {
            while (at < end && strchr(",:]} \t\r\n\"{[", *at) == NULL)
                at++;
        }
    } while (depth > 0);
    return at;
}

OMEGA_API struct omega_json omega_get(struct omega_json object, const char *key)
{
    const struct omega_json none = {NULL, NULL};
    const char *at = object.start;
    if (at == NULL || at == object.end || *at != '{')
        return none;
    do {
        struct omega_json name, value;
        name.start = omega_skip_blanks(at + 1, object.end);
        name.end = omega_skip_string(name.start, object.end);
        if (name.end == NULL)
            return none;
        at = omega_skip_blanks(name.end, object.end);
        if (at == object.end || *at != ':')
            return none;
        value.start = omega_skip_blanks(at + 1, object.end);
        value.end = omega_skip_value(value.start, object.end);
        if (value.end == NULL)
            return none;
        if (omega_is(name, key))
            return value;
        at = omega_skip_blanks(value.end, object.end);
    } while (at < object.end && *at == ',');
    return none;
}

OMEGA_API int omega_is(struct omega_json value, const char *text)
{
    size_t length = strlen(text);
    return value.start != NULL && (size_t)(value.end - value.start) == length + 2 && *value.start == '"'
        && memcmp(value.start + 1, text, length) == 0;
}

static int omega_is_string(struct omega_json value)
{
    return value.start != NULL && *value.start == '"';
}

/* Descriptors by their numbers, and where the answer goes once omega_read has kept it. */
#define OMEGA_STDOUT 1
#define OMEGA_STDERR 2
static int omega_kept = -1;

static void omega_keep_stdout(void)
{
    omega_kept = dup(OMEGA_STDOUT);
    if (omega_kept != -1)
        dup2(OMEGA_STDERR, OMEGA_STDOUT);
}

OMEGA_API int omega_read(struct omega_json *request)
{
    static char line[OMEGA_MAX_LINE];
    size_t length = fread(line, 1, sizeof line, stdin);
    const char *newline = memchr(line, '\n', length);
    struct omega_json message;
    omega_keep_stdout();
    message.start = omega_skip_blanks(line, line + length);
    message.end = newline != NULL ? newline : line + length;
    *request = omega_get(message, "request");
    if (newline == NULL && length == sizeof line)
        omega_rejected(*request, "Invalid request: the line is longer than this plugin reads (OMEGA_MAX_LINE)");
    else if (!omega_is(omega_get(message, "type"), "invoke") || !omega_is_string(omega_get(*request, "request_id")))
        omega_rejected(*request, "Invalid request: the line is not an invoke message with a request_id");
    else if (!omega_is_string(omega_get(omega_get(*request, "payload"), "kind")))
        omega_rejected(*request, "Invalid request: the request has no payload with a kind");
    else
        return 1;
    return 0;
}

OMEGA_API int omega_takes(struct omega_json request, const char *kinds)
{
    struct omega_json kind = omega_get(omega_get(request, "payload"), "kind");
    size_t length = (size_t)(kind.end - kind.start) - 2, word;
    const char *at;
    char notes[256];
    for (at = kinds; *at != '\0'; at += word + strspn(at + word, " ")) {
        word = strcspn(at, " ");
        if (word == length && memcmp(at, kind.start + 1, length) == 0)
            return 1;
    }
    snprintf(notes, sizeof notes, "Invalid request: the payload's kind is none of those that this plugin takes: %s", kinds);
    omega_rejected(request, notes);
    return 0;
}

/* ---- strings ------------------------------------------------------------------------------- */

/* The number of four hexadecimal digits, or -1. */
static long omega_hex4(const char *at, const char *end)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    long number = 0;
    int i;
    if (end - at < 4)
        return -1;
    for (i = 0; i < 4; i++) {
        const char *digit = at[i] == '\0' ? NULL : strchr(digits, at[i]);
        if (digit == NULL)
            return -1;
        number = number * 16 + (digit - digits) % 16;
    }
    return number;
}

/* Writes one code point as UTF-8 and returns the place behind it. */
static char *omega_put(char *out, long code)
{
    if (code < 0x80) {
        *out++ = (char)code;
        return out;
    }
    if (code < 0x800) {
        *out++ = (char)(0xC0 | code >> 6);
    } else {
        if (code < 0x10000) {
            *out++ = (char)(0xE0 | code >> 12);
        } else {
            *out++ = (char)(0xF0 | code >> 18);
            *out++ = (char)(0x80 | (code >> 12 & 0x3F));
        }
        *out++ = (char)(0x80 | (code >> 6 & 0x3F));
    }
    *out++ = (char)(0x80 | (code & 0x3F));
    return out;
}

/* Reads the code point of a \u escape from behind its `u`, both halves of a pair; -1 when broken. */
static long omega_escape(const char **at, const char *end)
{
    long code = omega_hex4(*at, end), low;
    if (code < 0)
        return -1;
    *at += 4;
    if (code < 0xD800 || code > 0xDFFF)
        return code;
    if (code > 0xDBFF || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u')
        return -1;
    low = omega_hex4(*at + 2, end);
    *at += 6;
    if (low < 0xDC00 || low > 0xDFFF)
        return -1;
    return 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
}

OMEGA_API long omega_text(struct omega_json value, char *out)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    const char *at = value.start, *end, *letter;
    char *to = out;
    if (at == NULL || *at != '"')
        return -1;
    end = value.end - 1;
    for (at++; at < end;) {
        if (*at != '\\') {
            *to++ = *at++;
            continue;
        }
        at++;
        if (*at == 'u') {
            long code = (at++, omega_escape(&at, end));
            if (code < 0)
                return -1;
            to = omega_put(to, code);
            continue;
        }
        letter = *at == '\0' ? NULL : strchr(letters, *at);
        if (letter == NULL)
            return -1;
        *to++ = meanings[letter - letters];
        at++;
    }
    return (long)(to - out);
}

/* ---- answering ----------------------------------------------------------------------------- */

/* The length of the UTF-8 character at `text`, or 0 where there is none: half of a surrogate pair is none either. */
static int omega_character(const unsigned char *text)
{
    static const struct {
        unsigned char mask, mark;
        long least;
    } forms[] = {{0x80, 0x00, 0}, {0xE0, 0xC0, 0x80}, {0xF0, 0xE0, 0x800}, {0xF8, 0xF0, 0x10000}};
    int length, i;
    for (length = 1; length <= 4; length++) {
        long code = *text & (0xFF ^ forms[length - 1].mask);
        if ((*text & forms[length - 1].mask) != forms[length - 1].mark)
            continue;
        for (i = 1; i < length; i++) {
            /* The NUL at the end is no continuing byte. */
            if ((text[i] & 0xC0) != 0x80)
                return 0;
            code = code << 6 | (text[i] & 0x3F);
        }
        return code < forms[length - 1].least || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF) ? 0 : length;
    }
    return 0;
}

/* Writes a JSON string; bytes that are no UTF-8 are written out as \xNN. */
static void omega_quote(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    putchar('"');
    while (*at != '\0') {
        int length = omega_character(at);
        if (length == 0)
            printf("\\\\x%02x", *at);
        else if (*at == '"' || *at == '\\')
            printf("\\%c", *at);
        else if (*at < 0x20)
            printf("\\u%04x", *at);
        else
            fwrite(at, 1, (size_t)length, stdout);
        at += length == 0 ? 1 : length;
    }
    putchar('"');
}

/* Opens the answer up to its status. The id goes back as it was written, escapes and all. */
static void omega_open(struct omega_json request, const char *status)
{
    struct omega_json id = omega_get(request, "request_id");
    /* What was printed so far goes to stderr, and the answer where stdout was. */
    fflush(stdout);
    if (omega_kept != -1)
        dup2(omega_kept, OMEGA_STDOUT);
    fputs("{\"type\":\"result\",\"response\":{\"request_id\":", stdout);
    if (omega_is_string(id))
        fwrite(id.start, 1, (size_t)(id.end - id.start), stdout);
    else
        fputs("\"\"", stdout);
    printf(",\"status\":\"%s\",\"result\":", status);
}

/* Closes the answer and makes sure that all of it went out: 0 or 1, for main to return. */
static int omega_close(void)
{
    int good;
    fputs("}}\n", stdout);
    good = fflush(stdout) == 0 && !ferror(stdout);
    if (omega_kept != -1)
        dup2(OMEGA_STDERR, OMEGA_STDOUT);
    return good ? 0 : 1;
}

OMEGA_API int omega_ok(struct omega_json request, const char *schema_ref, const char *data)
{
    omega_open(request, "ok");
    fputs("{\"kind\":\"json\",\"schema_ref\":", stdout);
    omega_quote(schema_ref);
    printf(",\"data\":%s}", data);
    return omega_close();
}

static int omega_no(struct omega_json request, const char *status, const char *notes)
{
    omega_open(request, status);
    fputs("null,\"notes\":", stdout);
    omega_quote(notes);
    return omega_close();
}

OMEGA_API int omega_rejected(struct omega_json request, const char *notes)
{
    return omega_no(request, "rejected", notes);
}

OMEGA_API int omega_error(struct omega_json request, const char *notes)
{
    return omega_no(request, "error", notes);
}

#endif
