// Attacks on the kernel's own machinery: foreign ABIs, namespaces, mounts, keys, clocks, rarely used calls.
static long call_i386(long number_, long first) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number_), "b"(first) : "memory", "r8", "r9", "r10", "r11");
    return result;
}
ATTACK(i386_call) { return call_i386(20, 0) > 0 ? 0 : ENOSYS; }
ATTACK(i386_fork) {
    long pid = call_i386(2, 0);
    return child_ran(pid < 0 ? (errno = (int)-pid, -1) : pid);
}
ATTACK(x32_call) { return did(syscall(39 | 0x40000000)); }
ATTACK(x32_fork) { return child_ran(syscall(57 | 0x40000000)); }
ATTACK(ring) {
    char parameters[120] = {0};
    return got(syscall(425, 1, parameters));
}
ATTACK(load_bpf) {
    // An array map, the least that bpf(2) can make.
    uint32_t attributes[18] = {2, 4, 4, 1};
    return got(syscall(SYS_bpf, 0, attributes, sizeof attributes));
}
ATTACK(count_events) {
    struct { uint32_t type, size; uint64_t config, rest[14]; } event = {1, 128, 9};
    event.rest[3] = 0x61;
    return got(syscall(SYS_perf_event_open, &event, 0, -1, -1, 0));
}
ATTACK(local_descriptor_table) {
    unsigned entry[4] = {0, 0, 0xfffff, 0x51};
    return did(syscall(SYS_modify_ldt, 1, entry, sizeof entry));
}
ATTACK(add_key) { return did(syscall(SYS_add_key, "user", "attack", "x", 1, -2)); }
ATTACK(ask_key) { return did(syscall(SYS_keyctl, 0, -4, 1)); }
ATTACK(request_key) { return syscall(SYS_request_key, "user", "attack-none", 0, 0) >= 0 || errno == 126 ? 0 : errno; }
ATTACK(new_user_namespace) { return did(unshare(CLONE_NEWUSER)); }
ATTACK(new_network_namespace) { return did(unshare(CLONE_NEWUSER | CLONE_NEWNET)); }
ATTACK(new_mount_namespace) { return did(unshare(CLONE_NEWUSER | CLONE_NEWNS)); }
ATTACK(mount_in_own_namespace) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS)) return errno;
    return did(mount("none", argument("scratch"), "tmpfs", 0, ""));
}
ATTACK(join_namespace) {
    int fd = open("/proc/self/ns/uts", O_RDONLY);
    return fd < 0 ? errno : did(setns(fd, 0));
}
ATTACK(join_by_process) {
    long fd = syscall(434, number("sibling"), 0);
    return fd < 0 ? errno : did(setns((int)fd, CLONE_NEWUTS));
}
ATTACK(new_filesystem) { return got(syscall(430, "tmpfs", 0)); }
ATTACK(clone_mounts) { return got(syscall(428, AT_FDCWD, "/", 1)); }
ATTACK(change_root) { return did(chroot(argument("scratch"))); }
ATTACK(list_mounts) {
    uint64_t request[4] = {32, 0xffffffffffffffff}, found[8];
    request[0] = 24;
    return did(syscall(458, request, found, 8, 0));
}
ATTACK(kernel_log) { return did(syscall(SYS_syslog, 10, 0, 0)); }
ATTACK(read_kernel_log) { return got(open("/dev/kmsg", O_RDONLY)); }
ATTACK(host_name) {
    char name[128];
    return gethostname(name, sizeof name) ? errno : did(sethostname(name, strlen(name)));
}
ATTACK(read_clock_state) {
    char state[256] = {0};
    return did(syscall(SYS_adjtimex, state));
}
ATTACK(io_ports) { return did(syscall(SYS_iopl, 3)); }
ATTACK(one_io_port) { return did(syscall(SYS_ioperm, 0x80, 1, 1)); }
ATTACK(flush_quotas) { return did(syscall(SYS_quotactl, 0x80000100, 0, 0, 0)); }
ATTACK(stop_accounting) { return did(syscall(SYS_acct, 0)); }
ATTACK(raise_signal_limit) { return did(syscall(SYS_prlimit64, 0, RLIMIT_SIGPENDING, &(struct rlimit){1, 1}, 0)); }
ATTACK(dump_core) {
    struct rlimit any = {4096, RLIM_INFINITY};
    getrlimit(RLIMIT_CORE, &any);
    // No core is smaller than a page, and 1 is the limit with which the kernel starts no handler of the host's.
    if (any.rlim_max <= 1) return EPERM;
    return 0;
}
ATTACK(set_core_limit) {
    struct rlimit most;
    if (getrlimit(RLIMIT_CORE, &most)) return errno;
    most.rlim_cur = most.rlim_max;
    return most.rlim_max ? did(setrlimit(RLIMIT_CORE, &most)) : EPERM;
}
ATTACK(own_filter) {
    uint16_t name = 0;
    struct { uint16_t code; uint8_t yes, no; uint32_t value; } allow = {6, 0, 0, 0x7fff0000};
    struct { uint16_t length; void *filter; } program = {1, &allow};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return got(syscall(SYS_seccomp, 1, 8, &program));
}
ATTACK(speculation) { return did(prctl(53, 0, 2, 0, 0)); }
ATTACK(intercept_calls) {
    // Syscall user dispatch: the kernel hands each call to the program first.
    return did(prctl(59, 0, 0, 0, 0));
}
ATTACK(change_map_names) { return did(prctl(PR_SET_MM, 1, 0, 0, 0)); }
ATTACK(keep_capabilities) { return did(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)); }
ATTACK(become_traceable) { return did(prctl(PR_SET_PTRACER, -1, 0, 0, 0)); }
ATTACK(timer_slack) { return did(prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)); }
ATTACK(no_cpuid) { return did(syscall(SYS_arch_prctl, 0x1012, 0)); }
ATTACK(cached_pages) {
    int fd = open("/etc/passwd", O_RDONLY);
    uint64_t range[2] = {0, 4096}, counts[5];
    return fd < 0 ? errno : did(syscall(451, fd, range, counts, 0));
}
ATTACK(see_host_name) {
    char name[128] = "";
    gethostname(name, sizeof name);
    return strcmp(name, argument("hostname")) ? ENOENT : 0;
}
ATTACK(see_own_number) { return getpid() == 1 || getpid() == 2 ? ENOENT : 0; }
ATTACK(have_user_root) { return getuid() == 0 || geteuid() == 0 || getgid() == 0 ? 0 : EPERM; }
