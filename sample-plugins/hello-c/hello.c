/* Greets and counts the words and characters of a text. */

#include "plugin.h"

static int is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r' || byte == '\f';
}

static long word_count(const char *text, long length)
{
    long count = 0;
    for (long i = 0; i < length; i++)
        count += !is_blank(text[i]) && (i == 0 || is_blank(text[i - 1]));
    return count;
}

/* In UTF-8 every character has exactly one byte that does not look like 10xxxxxx. */
static long character_count(const char *text, long length)
{
    long count = 0;
    for (long i = 0; i < length; i++)
        count += (text[i] & 0xC0) != 0x80;
    return count;
}

int main(void)
{
    static char text[OMEGA_MAX_LINE];
    struct omega_json request;
    if (!omega_read(&request))
        return 1;

    struct omega_json payload = omega_get(request, "payload");
    if (!omega_is(omega_get(payload, "kind"), "text"))
        return omega_rejected(request, "send a text payload");
    long length = omega_text(omega_get(payload, "content"), text);
    if (length <= 0)
        return omega_rejected(request, "the text is empty");

    char data[256];
    snprintf(data, sizeof data,
             "{\"greeting\":\"Hello from C!\",\"word_count\":%ld,\"original_length\":%ld}",
             word_count(text, length), character_count(text, length));
    return omega_ok(request, "hello/1", data);
}
