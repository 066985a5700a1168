// The bench's plugin: reads one line and answers it with one that is always the same. Compiled freestanding it is the smallest
// static program there is, so that what is measured is the start of a process and not that of a C library.
#if __STDC_HOSTED__
#include <unistd.h>
#else
typedef unsigned long size_t;
typedef long ssize_t;

static long call(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

static ssize_t read(int fd, void *to, size_t size) { return call(0, fd, (long)to, (long)size); }
static ssize_t write(int fd, const void *from, size_t size) { return call(1, fd, (long)from, (long)size); }
#endif

static const char ANSWER[] =
    "{\"type\":\"result\",\"response\":{\"request_id\":\"bench\",\"status\":\"ok\",\"result\":"
    "{\"kind\":\"json\",\"schema_ref\":\"any/1\",\"data\":{}},\"notes\":\"\"}}\n";

static int echo(void) {
    static char line[4096];
    size_t have = 0;
    do {
        ssize_t got = read(0, line + have, sizeof line - have);
        if (got <= 0) return 1;
        have += (size_t)got;
    } while (line[have - 1] != '\n');
    return write(1, ANSWER, sizeof ANSWER - 1) == sizeof ANSWER - 1 ? 0 : 1;
}

#if __STDC_HOSTED__
int main(void) { return echo(); }
#else
__attribute__((force_align_arg_pointer)) void _start(void) {
    call(60, echo(), 0, 0);
    __builtin_unreachable();
}
#endif
