// What every C program of the campaigns begins with.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char line[1 << 20];

// Reads the whole request line, and gives its length.
static size_t read_line(void) {
    size_t have = 0;
    ssize_t got;
    while (have < sizeof line - 1 && (got = read(0, line + have, sizeof line - 1 - have)) > 0) have += (size_t)got;
    line[have] = 0;
    return have;
}

// The JSON string behind `"name":` with its quotes, as it stands in the line.
static const char *string_token(const char *name) {
    static char token[4096];
    char key[64];
    snprintf(key, sizeof key, "\"%s\":\"", name);
    const char *at = strstr(line, key);
    if (!at) return "\"\"";
    at += strlen(key) - 1;
    size_t length = 1;
    while (at[length] && (at[length] != '"' || at[length - 1] == '\\')) length++;
    if (length + 2 > sizeof token) return "\"\"";
    memcpy(token, at, length + 1);
    token[length + 1] = 0;
    return token;
}

// Writes an `ok` answer whose data is `data`, a JSON object, and in the same write what is more than an answer.
static void answer_and(const char *data, const char *more) {
    char out[1 << 16];
    int length = snprintf(out, sizeof out,
        "{\"type\":\"result\",\"response\":{\"request_id\":%s,\"status\":\"ok\",\"result\":"
        "{\"kind\":\"json\",\"schema_ref\":\"any/1\",\"data\":%s},\"notes\":\"\"}}\n%s",
        string_token("request_id"), data, more);
    for (int done = 0; done < length;) {
        ssize_t put = write(1, out + done, (size_t)(length - done));
        if (put <= 0) _exit(9);
        done += (int)put;
    }
}

// Writes an `ok` answer whose data is `data`.
static void answer(const char *data) { answer_and(data, ""); }
