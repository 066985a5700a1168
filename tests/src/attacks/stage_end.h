// Runs the attack that the request names, and answers what came of it.
int run_attack(void) {
    read_line();
    const char *wanted = argument("attack");
    for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) {
        if (strcmp(attacks[i].name, wanted)) continue;
        errno = 0;
        int error = attacks[i].run();
        char data[64];
        snprintf(data, sizeof data, "{\"done\":%s,\"errno\":%d}", error ? "false" : "true", error);
        answer(data);
        return 0;
    }
    return 3;
}

#if defined(__PIC__) && !defined(__PIE__)
// A library is an attack as soon as it is loaded, by whatever loads it.
__attribute__((constructor)) static void loaded(void) { _exit(run_attack()); }
#else
int main(void) { return run_attack(); }
#endif
