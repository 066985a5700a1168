// Programs that hurt whoever runs them: by hoarding, by never ending, or by what they say. Most give no answer.
static void say(const char *text) {
    size_t length = strlen(text), done = 0;
    while (done < length) {
        ssize_t put = write(1, text + done, length - done);
        if (put <= 0) _exit(9);
        done += (size_t)put;
    }
}
static char *fill(int byte, size_t size) {
    char *memory = malloc(size + 1);
    memset(memory, byte, size);
    memory[size] = 0;
    return memory;
}
// An answer with these words as its status and result.
static void answer_with(const char *status, const char *result) {
    char text[4096];
    snprintf(text, sizeof text, "{\"type\":\"result\",\"response\":{\"request_id\":%s,\"status\":\"%s\",\"result\":%s,\"notes\":\"\"}}\n",
        string_token("request_id"), status, result);
    say(text);
}
static void forever(void) { for (;;) pause(); }

ATTACK(fork_bomb) { for (;;) fork(); }
ATTACK(vfork_bomb) { for (;;) vfork(); }
ATTACK(daemon_maker) {
    if (fork() == 0) { setsid(); if (fork() == 0) forever(); _exit(0); }
    return 0;
}
static void *idle(void *none) { forever(); return none; }
static void *busy(void *none) { for (;;) ; return none; }
ATTACK(thread_bomb) {
    // Says how many threads there were at once.
    pthread_attr_t small;
    pthread_t thread;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 16384);
    int count = 0;
    while (count < 100000 && !pthread_create(&thread, &small, idle, 0)) count++;
    char data[64];
    snprintf(data, sizeof data, "{\"threads\":%d}", count);
    answer(data);
    return 0;
}
ATTACK(busy_threads) {
    pthread_t thread;
    for (int i = 0; i < 4; i++) pthread_create(&thread, 0, busy, 0);
    forever();
}
static void *reach(void *none) { socket(AF_INET, SOCK_STREAM, 0); return none; }
ATTACK(many_violations) {
    // Many threads are stopped at forbidden calls at once. Stacks of the usual 8 MiB would be over the memory that can be asked for where no
    // control group counts what is used.
    pthread_attr_t small;
    pthread_t thread;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    for (int i = 0; i < 16; i++) pthread_create(&thread, &small, reach, 0);
    forever();
}
ATTACK(private_memory) {
    for (size_t total = 0;; total += 1 << 20) {
        char *map = mmap(0, 1 << 20, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (map == MAP_FAILED) _exit(12);
        memset(map, 1, 1 << 20);
        // Bounded, should nothing else bound it.
        if (total > 1UL << 30) { answer("{\"hoarded\":true}"); return 0; }
    }
}
ATTACK(heap_memory) {
    for (size_t total = 0; total < 1UL << 30; total += 65536) {
        char *block = malloc(65536);
        if (!block) _exit(12);
        memset(block, 1, 65536);
    }
    answer("{\"hoarded\":true}");
    return 0;
}
ATTACK(shared_memory) {
    char *map = mmap(0, 1 << 30, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) _exit(12);
    memset(map, 1, 1 << 30);
    answer("{\"hoarded\":true}");
    return 0;
}
ATTACK(locked_memory) {
    char *map = mmap(0, 1 << 20, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED || mlock(map, 1 << 20)) _exit(12);
    answer("{\"hoarded\":true}");
    return 0;
}
static int deeper(volatile int depth) {
    volatile char room[65536];
    room[0] = (char)depth;
    return depth > 16384 ? 0 : deeper(depth + 1) + room[0];
}
ATTACK(stack_memory) {
    deeper(0);
    answer("{\"hoarded\":true}");
    return 0;
}
ATTACK(pipe_memory) {
    // Says how many bytes the kernel keeps for it in pipes.
    static char block[65536];
    long kept = 0;
    int ends[2];
    while (kept < 1L << 30 && !pipe(ends)) {
        fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
        fcntl(ends[1], F_SETFL, O_NONBLOCK);
        for (ssize_t put; (put = write(ends[1], block, sizeof block)) > 0;) kept += put;
    }
    char data[64];
    snprintf(data, sizeof data, "{\"kept\":%ld}", kept);
    answer(data);
    return 0;
}
ATTACK(endless_line) { char *text = fill('x', 65536); for (;;) say(text); }
ATTACK(endless_lines) { for (;;) say("x\nx\n"); }
ATTACK(endless_stderr) { char *text = fill('e', 65536); for (;;) write(2, text, 65536); }
ATTACK(loud_answer) {
    char *text = fill('e', 65536);
    for (int i = 0; i < 64; i++) for (int put = 0; put < 65536;) put += (int)write(2, text + put, 65536 - put);
    answer("{}");
    return 0;
}
ATTACK(closed_stdout) { close(1); return 0; }
ATTACK(closed_stdout_and_stay) { close(1); forever(); }
ATTACK(all_closed_and_stay) { close(0); close(1); close(2); forever(); }
ATTACK(closed_stdin_and_stay) { close(0); forever(); }
ATTACK(stop_itself) { raise(SIGSTOP); forever(); }
ATTACK(ignore_signals) { for (int i = 1; i < 65; i++) signal(i, SIG_IGN); forever(); }
ATTACK(block_signals) { sigset_t all; sigfillset(&all); sigprocmask(SIG_BLOCK, &all, 0); forever(); }
ATTACK(half_line) { say("{\"type\":\"result\",\"respo"); return 0; }
ATTACK(half_line_and_stay) { say("{\"type\":\"result\",\"respo"); forever(); }
ATTACK(slow_line) { for (;;) { say(" "); usleep(1000); } }
static char *whole(void) {
    static char text[4096];
    snprintf(text, sizeof text, "{\"type\":\"result\",\"response\":{\"request_id\":%s,\"status\":\"ok\",\"result\":"
        "{\"kind\":\"json\",\"schema_ref\":\"any/1\",\"data\":{}},\"notes\":\"\"}}", string_token("request_id"));
    return text;
}
ATTACK(no_newline) { say(whole()); return 0; }
ATTACK(no_newline_and_stay) { say(whole()); close(1); forever(); }
ATTACK(answer_and_stay) { answer("{}"); forever(); }
ATTACK(answer_and_spin) { answer("{}"); for (;;) ; }
ATTACK(answer_and_die) { answer("{}"); abort(); }
ATTACK(two_lines) { char *text = fill(0, 9000); sprintf(text, "%s\n%s\n", whole(), whole()); say(text); return 0; }
ATTACK(line_and_garbage) { char *text = fill(0, 9000); sprintf(text, "%s\ngarbage", whole()); say(text); return 0; }
ATTACK(line_and_newline) { char *text = fill(0, 9000); sprintf(text, "%s\n\n", whole()); say(text); return 0; }
ATTACK(empty_line) { say("\n"); return 0; }
ATTACK(not_json) { say("hello\n"); return 0; }
ATTACK(not_utf8) { say("{\"type\":\"result\",\"response\":{\"request_id\":\"\xff\xfe\"}}\n"); return 0; }
ATTACK(zero_bytes) { write(1, "\0\0\0\n", 4); return 0; }
ATTACK(byte_order_mark) { char *text = fill(0, 9000); sprintf(text, "\xef\xbb\xbf%s\n", whole()); say(text); return 0; }
ATTACK(deep_json) {
    char *text = fill('[', 100000);
    say(text);
    say("\n");
    return 0;
}
ATTACK(deep_data) {
    char *open = fill('[', 200), *shut = fill(']', 200), *text = fill(0, 9000);
    sprintf(text, "{\"kind\":\"json\",\"schema_ref\":\"any/1\",\"data\":{\"a\":%s%s}}", open, shut);
    answer_with("ok", text);
    return 0;
}
ATTACK(huge_json) { char *text = fill('x', 4 << 20); say("{\"type\":\""); say(text); say("\"}\n"); return 0; }
ATTACK(large_result) {
    char *text = fill('x', 70000), *line_ = fill(0, 80000);
    sprintf(line_, "{\"type\":\"result\",\"response\":{\"request_id\":%s,\"status\":\"ok\",\"result\":{\"kind\":\"json\","
        "\"schema_ref\":\"any/1\",\"data\":{\"a\":\"%s\"}},\"notes\":\"\"}}\n", string_token("request_id"), text);
    say(line_);
    return 0;
}
ATTACK(duplicate_key) { answer_with("ok", "{\"kind\":\"json\",\"kind\":\"json\",\"schema_ref\":\"any/1\",\"data\":{}}"); return 0; }
ATTACK(huge_number) { answer_with("ok", "{\"kind\":\"json\",\"schema_ref\":\"any/1\",\"data\":{\"n\":1e999}}"); return 0; }
ATTACK(unsafe_integer) { answer_with("ok", "{\"kind\":\"json\",\"schema_ref\":\"any/1\",\"data\":{\"n\":9007199254740993}}"); return 0; }
ATTACK(lone_surrogate) { answer_with("ok", "{\"kind\":\"json\",\"schema_ref\":\"any/1\",\"data\":{\"s\":\"\\ud800\"}}"); return 0; }
ATTACK(undeclared_kind) { answer_with("ok", "{\"kind\":\"text\",\"content\":\"x\",\"encoding\":\"utf-8\",\"metadata\":{}}"); return 0; }
ATTACK(unknown_field) { answer_with("ok", "{\"kind\":\"json\",\"schema_ref\":\"any/1\",\"data\":{},\"more\":1}"); return 0; }
ATTACK(unknown_status) { answer_with("fine", "null"); return 0; }
ATTACK(claims_timeout) { answer_with("timeout", "null"); return 0; }
ATTACK(own_rejected) { answer_with("rejected", "null"); return 0; }
ATTACK(own_error) { answer_with("error", "null"); return 0; }
ATTACK(wrong_request) {
    say("{\"type\":\"result\",\"response\":{\"request_id\":\"another\",\"status\":\"ok\",\"result\":null,\"notes\":\"\"}}\n");
    return 0;
}
ATTACK(exit_0) { _exit(0); }
ATTACK(exit_1) { _exit(1); }
ATTACK(exit_42) { _exit(42); }
ATTACK(exit_127) { _exit(127); }
ATTACK(exit_255) { _exit(255); }
ATTACK(segfault) { *(volatile int *)8 = 1; return 0; }
ATTACK(aborted) { abort(); }
ATTACK(bad_instruction) { __builtin_trap(); }
ATTACK(division) { volatile int zero = 0; return 7 / zero; }
ATTACK(killed_by_itself) { raise(SIGKILL); return 0; }
ATTACK(terminated_by_itself) { raise(SIGTERM); return 0; }
ATTACK(bus_error) { raise(SIGBUS); return 0; }
ATTACK(processor_spin) { for (;;) ; }
ATTACK(clock_spin) { struct timespec now; for (;;) clock_gettime(CLOCK_MONOTONIC, &now), sched_yield(); }
ATTACK(sleep_long) { sleep(1000); return 0; }
ATTACK(timer_flood) {
    struct itimerval often = {{0, 1}, {0, 1}};
    signal(SIGALRM, SIG_IGN);
    setitimer(ITIMER_REAL, &often, 0);
    forever();
}
ATTACK(signal_flood) { signal(SIGUSR1, SIG_IGN); for (;;) raise(SIGUSR1); }
