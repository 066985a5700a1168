// Attacks through what is already open, and through terminals.
extern char **environ;
ATTACK(inherited_descriptor) {
    for (int fd = 3; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0) return 0;
    return EBADF;
}
ATTACK(write_inherited) { return did(pwrite((int)number("leaked"), "!", 1, 0)); }
ATTACK(read_environment) { return environ && environ[0] ? 0 : ENOENT; }
ATTACK(terminal_master) { return got(open("/dev/ptmx", O_RDWR | O_NOCTTY)); }
ATTACK(controlling_terminal) { return got(open("/dev/tty", O_RDWR)); }
ATTACK(type_into_terminal) {
    int master = open("/dev/ptmx", O_RDWR | O_NOCTTY), zero = 0, index = 0;
    if (master < 0) return errno;
    ioctl(master, TIOCSPTLCK, &zero);
    ioctl(master, TIOCGPTN, &index);
    char path[32];
    snprintf(path, sizeof path, "/dev/pts/%d", index);
    int slave = open(path, O_RDWR | O_NOCTTY);
    if (slave < 0) return errno;
    return did(syscall(SYS_ioctl, slave, 0x100000000 | TIOCSTI, "x"));
}
ATTACK(console_request) {
    char code = 6;
    int console = open("/dev/tty0", O_RDWR | O_NOCTTY);
    return console < 0 ? errno : did(ioctl(console, TIOCLINUX, &code));
}
ATTACK(pipe_signals) {
    int on = 1;
    return did(ioctl(0, FIOASYNC, &on));
}
ATTACK(pipe_signals_upper_half) {
    int on = 1;
    return did(syscall(SYS_ioctl, 0, 0x100000000 | FIOASYNC, &on));
}
ATTACK(huge_pipe) {
    int ends[2];
    return pipe(ends) ? errno : did(fcntl(ends[1], F_SETPIPE_SZ, 1 << 20));
}
ATTACK(many_descriptors) {
    int count = 0;
    while (dup(0) >= 0) count++;
    return count >= 900 ? 0 : EMFILE;
}
ATTACK(raise_descriptor_limit) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit)) return errno;
    limit.rlim_cur = limit.rlim_cur > 64 ? limit.rlim_cur - 1 : limit.rlim_max;
    return did(setrlimit(RLIMIT_NOFILE, &limit));
}
ATTACK(own_signal_by_pipe) {
    // SIGKILL for another process, sent by the kernel when a pipe becomes readable.
    int ends[2];
    if (pipe(ends)) return errno;
    if (fcntl(ends[0], F_SETOWN, (int)number("sibling"))) return errno;
    if (fcntl(ends[0], F_SETSIG, SIGKILL)) return errno;
    if (fcntl(ends[0], F_SETFL, O_ASYNC)) return errno;
    return did(write(ends[1], "x", 1));
}
ATTACK(owner_of_stdin) { return did(fcntl(0, F_SETOWN, (int)number("sibling"))); }
ATTACK(lock_stdin) { return did(flock(0, LOCK_EX | LOCK_NB)); }
ATTACK(pass_descriptor) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair)) return errno;
    char space[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {"x", 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memset(CMSG_DATA(header), 0, sizeof(int));
    return did(sendmsg(pair[0], &message, 0));
}
ATTACK(splice_pipes) {
    int ends[2];
    if (pipe(ends)) return errno;
    char page[16] = "x";
    struct iovec part = {page, 1};
    return did(vmsplice(ends[1], &part, 1, 0));
}
