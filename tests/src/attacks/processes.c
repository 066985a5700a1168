// Attacks that make processes, or reach into other ones.
static int child_ran(long pid) {
    int status = 0;
    if (pid < 0) return errno;
    if (pid == 0) _exit(7);
    // An exit by the clone's own signal needs __WALL.
    if (waitpid((pid_t)pid, &status, 0x40000000) < 0) return errno;
    return WIFEXITED(status) && WEXITSTATUS(status) == 7 ? 0 : ECHILD;
}
ATTACK(fork_process) { return child_ran(syscall(SYS_fork)); }
ATTACK(fork_by_libc) { return child_ran(fork()); }
ATTACK(clone_process) { return child_ran(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)); }
ATTACK(clone_without_signal) { return child_ran(syscall(SYS_clone, 0, 0, 0, 0, 0)); }
ATTACK(clone_upper_half) { return child_ran(syscall(SYS_clone, 0x100000000 | SIGCHLD, 0, 0, 0, 0)); }
ATTACK(clone3_process) {
    uint64_t arguments[8] = {0, 0, 0, 0, SIGCHLD};
    return child_ran(syscall(435, arguments, sizeof arguments));
}
ATTACK(vfork_process) {
    static volatile pid_t pid;
    pid = vfork();
    if (pid == 0) _exit(7);
    return pid < 0 ? errno : 0;
}
ATTACK(clone_user_namespace) { return child_ran(syscall(SYS_clone, 0x10000000 | SIGCHLD, 0, 0, 0, 0)); }
ATTACK(daemon_process) {
    // Forked twice with a session of its own: what usually outlives its maker. It ends by itself here.
    pid_t pid = fork();
    if (pid < 0) return errno;
    if (pid == 0) {
        setsid();
        _exit(fork() < 0 ? 1 : 7);
    }
    int status;
    return waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7 ? 0 : ECHILD;
}
static int exec_with(int how) {
    // The new program says that it runs, in the words of an answer.
    char said[8192];
    snprintf(said, sizeof said, "{\"type\":\"result\",\"response\":{\"request_id\":%s,\"status\":\"ok\",\"result\":"
        "{\"kind\":\"json\",\"schema_ref\":\"any/1\",\"data\":{\"done\":true,\"errno\":0}},\"notes\":\"\"}}",
        string_token("request_id"));
    char *words[] = {"sh", "-c", "printf '%s\\n' \"$0\"", said, 0};
    char *nothing[] = {0};
    // Node closes its streams in what it starts.
    for (int fd = 0; fd < 3; fd++) fcntl(fd, F_SETFD, 0);
    if (how == 0) syscall(SYS_execve, "/bin/sh", words, nothing);
    if (how == 1) syscall(SYS_execveat, AT_FDCWD, "/bin/sh", words, nothing, 0);
    if (how == 2) syscall(SYS_execveat, AT_FDCWD & 0xffffffff | 0x1234567800000000, "/bin/sh", words, nothing, 0x1234567800000000);
    if (how == 3) syscall(520 | 0x40000000, "/bin/sh", words, nothing);
    return errno;
}
ATTACK(exec_shell) { return exec_with(0); }
ATTACK(exec_at) { return exec_with(1); }
ATTACK(exec_upper_half) { return exec_with(2); }
ATTACK(exec_by_x32) { return exec_with(3); }
ATTACK(run_command) { return did(system("exit 0") == 0 ? 0 : -1); }
ATTACK(kill_sibling) { return did(kill((pid_t)number("sibling"), SIGKILL)); }
ATTACK(stop_sibling) { return did(kill((pid_t)number("sibling"), SIGSTOP)); }
ATTACK(tgkill_sibling) { return did(syscall(SYS_tgkill, number("sibling"), number("sibling"), SIGKILL)); }
ATTACK(tkill_sibling) { return did(syscall(SYS_tkill, number("sibling"), SIGKILL)); }
ATTACK(queue_signal) { return did(sigqueue((pid_t)number("sibling"), SIGKILL, (union sigval){0})); }
ATTACK(queue_thread_signal) {
    siginfo_t info = {.si_code = SI_QUEUE};
    return did(syscall(SYS_rt_tgsigqueueinfo, number("sibling"), number("sibling"), SIGKILL, &info));
}
ATTACK(signal_parent) { return did(kill((pid_t)number("parent"), 0)); }
ATTACK(signal_real_parent) { return getppid() ? did(kill(getppid(), 0)) : ESRCH; }
ATTACK(signal_group) { return did(kill(0, 0)); }
ATTACK(signal_everyone) { return did(kill(-1, 0)); }
ATTACK(open_process) { return got(syscall(434, number("sibling"), 0)); }
ATTACK(signal_by_descriptor) {
    long fd = syscall(434, number("sibling"), 0);
    return fd < 0 ? errno : did(syscall(424, fd, SIGKILL, 0, 0));
}
ATTACK(take_descriptor) {
    long fd = syscall(434, number("sibling"), 0);
    return fd < 0 ? errno : got(syscall(438, fd, 0, 0));
}
ATTACK(trace_sibling) {
    if (ptrace(PTRACE_SEIZE, (pid_t)number("sibling"), 0, 0)) return errno;
    return did(ptrace(PTRACE_INTERRUPT, (pid_t)number("sibling"), 0, 0));
}
ATTACK(trace_me) { return did(ptrace(PTRACE_TRACEME, 0, 0, 0)); }
// An address that is mapped in any copy of this machine's programs is not known here: the program asks for its own,
// so that what is tried is the permission; a bad address is answered after it was given.
static int through_memory(long call) {
    char byte[8];
    struct iovec here = {byte, 1}, there = {(void *)0x1000, 1};
    long moved = syscall(call, number("sibling"), &here, 1, &there, 1, 0);
    return moved >= 0 || errno == EFAULT ? 0 : errno;
}
ATTACK(read_memory) { return through_memory(SYS_process_vm_readv); }
ATTACK(write_memory) { return through_memory(SYS_process_vm_writev); }
ATTACK(open_memory) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/mem", number("sibling"));
    return got(open(path, O_RDWR));
}
ATTACK(own_memory_file) { return got(open("/proc/self/mem", O_RDWR)); }
ATTACK(compare_processes) {
    long result = syscall(SYS_kcmp, getpid(), number("sibling"), 0, 0, 1);
    return result < 0 ? errno : 0;
}
ATTACK(limit_sibling) {
    struct rlimit limit = {16, 16};
    return did(syscall(SYS_prlimit64, number("sibling"), RLIMIT_NOFILE, &limit, 0));
}
ATTACK(slow_sibling) { return did(setpriority(PRIO_PROCESS, (id_t)number("sibling"), 10)); }
ATTACK(pin_sibling) {
    unsigned long mask = 1;
    return did(syscall(SYS_sched_setaffinity, number("sibling"), sizeof mask, &mask));
}
ATTACK(schedule_sibling) {
    struct sched_param none = {0};
    return did(sched_setscheduler((pid_t)number("sibling"), SCHED_IDLE, &none));
}
ATTACK(disk_share_of_sibling) { return did(syscall(SYS_ioprio_set, 1, number("sibling"), 3 << 13)); }
ATTACK(move_pages_of_sibling) { return did(syscall(SYS_migrate_pages, number("sibling"), 64, (long[]){1}, (long[]){1})); }
ATTACK(locks_of_sibling) {
    void *head;
    size_t length;
    return did(syscall(SYS_get_robust_list, number("sibling"), &head, &length));
}
ATTACK(group_of_sibling) { return did(getpgid((pid_t)number("sibling"))); }
ATTACK(new_session) {
    // A leader of a group cannot; then a group of its own was had already.
    return did(setsid()) == 0 ? 0 : errno;
}
ATTACK(clear_death_signal) { return did(prctl(PR_SET_PDEATHSIG, 0)); }
ATTACK(clear_death_signal_upper_half) { return did(syscall(SYS_prctl, 0x100000000 | PR_SET_PDEATHSIG, 0, 0, 0, 0)); }
ATTACK(adopt_orphans) { return did(prctl(PR_SET_CHILD_SUBREAPER, 1)); }
ATTACK(realtime) {
    struct sched_param first = {1};
    return did(sched_setscheduler(0, SCHED_FIFO, &first));
}
ATTACK(higher_priority) { return did(setpriority(PRIO_PROCESS, 0, -5)); }
ATTACK(become_root) { return did(setuid(0)); }
ATTACK(become_other) { return did(syscall(SYS_setresuid, 12345, 12345, 12345)); }
ATTACK(join_group) { return did(syscall(SYS_setgroups, 1, (int[]){0})); }
ATTACK(filesystem_user) { return syscall(SYS_setfsuid, 0), syscall(SYS_setfsuid, -1) == 0 ? 0 : EPERM; }
