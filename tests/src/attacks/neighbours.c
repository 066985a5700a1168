// Programs whose whole aim is that others fare badly: floods of what is refused, signals to everybody, reads from the disk.
static void *refused(void *none) { for (;;) socket(AF_INET, SOCK_STREAM, 0); return none; }
static void *answered(void *none) { for (;;) open("/proc/self/status", O_RDONLY); return none; }
static void from_threads(int count, void *(*body)(void *)) {
    pthread_attr_t small;
    pthread_t thread;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    for (int i = 1; i < count; i++) pthread_create(&thread, &small, body, 0);
    body(0);
}
ATTACK(refused_flood) { refused(0); return 0; }
ATTACK(refused_flood_of_threads) { from_threads(48, refused); return 0; }
ATTACK(answered_flood_of_threads) { from_threads(48, answered); return 0; }
ATTACK(refused_few) {
    // As many as are answered without a pause.
    for (int i = 0; i < 128; i++) socket(AF_INET, SOCK_STREAM, 0);
    return 7;
}
ATTACK(hostile_call) { syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0); return 0; }
ATTACK(kill_everybody) {
    // The launcher is the parent, as far as the plugin can tell; the lowest numbers are those of its own namespace.
    static const int signals[] = { SIGKILL, SIGSTOP, SIGTERM };
    for (size_t s = 0; s < sizeof signals / sizeof *signals; s++) {
        kill(getppid(), signals[s]);
        kill(-1, signals[s]);
        kill(0, signals[s]);
        for (int pid = 2; pid < 400; pid++) kill(pid, signals[s]), syscall(SYS_tkill, pid, signals[s]);
    }
    return 7;
}
ATTACK(stop_everybody_and_itself) {
    kill(getppid(), SIGSTOP);
    kill(-1, SIGSTOP);
    raise(SIGSTOP);
    for (;;) pause();
}
ATTACK(read_again) {
    // The package is there under one of these names, with a private root or without.
    char *room = malloc(1 << 20);
    int file = open("/package/data", O_RDONLY);
    if (file < 0) file = open("data", O_RDONLY);
    if (file < 0) return 4;
    for (;;) if (read(file, room, 1 << 20) <= 0) lseek(file, 0, SEEK_SET);
}
ATTACK(huge_answer) {
    // As long a line as it is allowed, and then one byte more.
    char *text = malloc(4 << 20);
    memset(text, 'x', 4 << 20);
    for (;;) if (write(1, text, 4 << 20) <= 0) return 5;
}
