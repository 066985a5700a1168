/* Greets, and counts the words of a text. */

#include "plugin.h"

static int is_blank(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

int main(void)
{
    static char text[OMEGA_MAX_LINE];
    struct omega_json request;
    if (!omega_read(&request))
        return 1;

    long length = omega_text(omega_get(omega_get(request, "payload"), "content"), text);
    long words = 0;
    for (long i = 0; i < length; i++)
        words += !is_blank(text[i]) && (i == 0 || is_blank(text[i - 1]));

    char data[64];
    snprintf(data, sizeof data, "{\"greeting\":\"Hello!\",\"word_count\":%ld}", words);
    return omega_ok(request, "hello/1", data);
}
