// Attacks on the host's files.
ATTACK(read_host_file) { return got(open("/etc/passwd", O_RDONLY)); }
ATTACK(read_victim) { return got(open(argument("victim"), O_RDONLY)); }
ATTACK(read_by_parents) { return got(open("../../../../../../../../../../../../etc/passwd", O_RDONLY)); }
ATTACK(read_parent_environment) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/environ", number("parent"));
    return got(open(path, O_RDONLY));
}
ATTACK(read_own_program) { return got(open("/proc/self/exe", O_RDONLY)); }
ATTACK(read_own_maps) { return got(open("/proc/self/maps", O_RDONLY)); }
ATTACK(open_own_descriptors) { return got(open("/proc/self/fd/0", O_RDONLY)); }
ATTACK(path_descriptor) { return got(open(argument("victim"), O_PATH)); }
ATTACK(write_victim) {
    int fd = open(argument("victim"), O_WRONLY | O_TRUNC);
    return fd < 0 ? errno : did(write(fd, "changed", 7));
}
ATTACK(append_victim) {
    int fd = open(argument("victim"), O_WRONLY | O_APPEND);
    return fd < 0 ? errno : did(write(fd, "more", 4));
}
ATTACK(map_victim) {
    int fd = open(argument("victim"), O_RDWR);
    if (fd < 0) return errno;
    char *map = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) return errno;
    map[0] = ~map[0];
    return did(msync(map, 4096, MS_SYNC));
}
ATTACK(open_by_old_call) {
    long fd = syscall(SYS_open, argument("victim"), O_WRONLY | O_APPEND, 0);
    return fd < 0 ? errno : did(write((int)fd, "more", 4));
}
ATTACK(openat2_victim) {
    struct { uint64_t flags, mode, resolve; } how = {O_WRONLY | O_APPEND, 0, 0};
    long fd = syscall(437, AT_FDCWD, argument("victim"), &how, sizeof how);
    return fd < 0 ? errno : did(write((int)fd, "more", 4));
}
ATTACK(create_file) { return got(open(scratch("new"), O_CREAT | O_EXCL | O_WRONLY, 0666)); }
ATTACK(creat_file) { return got(syscall(SYS_creat, scratch("new"), 0666)); }
ATTACK(create_in_working_folder) { return got(open("made-here", O_CREAT | O_WRONLY, 0666)); }
ATTACK(unnamed_file) { return got(open(argument("scratch"), O_TMPFILE | O_RDWR, 0600)); }
ATTACK(unnamed_file_in_tmp) { return got(open("/tmp", O_TMPFILE | O_RDWR, 0600)); }
ATTACK(shared_memory_folder) { return got(open("/dev/shm", O_TMPFILE | O_RDWR, 0600)); }
ATTACK(make_folder) { return did(mkdir(scratch("new"), 0777)); }
ATTACK(make_folder_at) { return did(syscall(SYS_mkdirat, AT_FDCWD, scratch("new"), 0777)); }
ATTACK(make_fifo) { return did(mkfifo(scratch("new"), 0666)); }
ATTACK(make_device) { return did(mknod(scratch("new"), S_IFCHR | 0666, 0x103)); }
ATTACK(make_link) { return did(link(argument("victim"), scratch("new"))); }
ATTACK(make_symlink) { return did(symlink("/etc/passwd", scratch("new"))); }
ATTACK(rename_victim) { return did(rename(argument("victim"), scratch("new"))); }
ATTACK(exchange_names) {
    return did(syscall(SYS_renameat2, AT_FDCWD, argument("victim"), AT_FDCWD, scratch("other"), 2));
}
ATTACK(remove_victim) { return did(unlink(argument("victim"))); }
ATTACK(remove_folder) { return did(rmdir(scratch("folder"))); }
ATTACK(truncate_victim) { return did(truncate(argument("victim"), 0)); }
ATTACK(change_mode) { return did(chmod(argument("victim"), 0600)); }
ATTACK(change_mode_at) { return did(syscall(452, AT_FDCWD, argument("victim"), 0600, 0)); }
ATTACK(change_owner) { return did(chown(argument("victim"), 12345, -1)); }
ATTACK(change_times) {
    struct timespec times[2] = {{1, 0}, {1, 0}};
    return did(utimensat(AT_FDCWD, argument("victim"), times, 0));
}
ATTACK(set_attribute) { return did(setxattr(argument("victim"), "user.mark", "1", 1, 0)); }
ATTACK(look_at_host_file) {
    struct stat found;
    return did(stat("/etc/passwd", &found));
}
ATTACK(look_by_statx) {
    char found[256];
    return did(syscall(SYS_statx, AT_FDCWD, argument("victim"), 0, 0x7ff, found));
}
ATTACK(test_access) { return did(access(argument("victim"), F_OK)); }
ATTACK(read_link) {
    char target[256];
    return did(readlink("/proc/self/exe", target, sizeof target));
}
ATTACK(change_folder) { return did(chdir(argument("scratch"))); }
ATTACK(list_folder) {
    DIR *folder = opendir(argument("scratch"));
    return folder && readdir(folder) ? 0 : errno ? errno : ENOENT;
}
ATTACK(list_home) {
    DIR *folder = opendir(argument("home"));
    return folder && readdir(folder) ? 0 : errno ? errno : ENOENT;
}
ATTACK(measure_filesystem) {
    struct statfs found;
    return did(statfs(argument("scratch"), &found));
}
ATTACK(handle_to_file) {
    struct { unsigned bytes; int type; unsigned char space[128]; } handle = {.bytes = 128};
    int mount_id;
    if (syscall(SYS_name_to_handle_at, AT_FDCWD, argument("victim"), &handle, &mount_id, 0)) return errno;
    int root = open("/", O_RDONLY);
    return got(syscall(SYS_open_by_handle_at, root, &handle, O_RDONLY));
}
ATTACK(watch_by_inotify) {
    int fd = inotify_init1(0);
    return fd < 0 ? errno : did(inotify_add_watch(fd, argument("scratch"), IN_ALL_EVENTS));
}
ATTACK(watch_by_dnotify) {
    int fd = open(argument("scratch"), O_RDONLY);
    return fd < 0 ? errno : did(fcntl(fd, F_NOTIFY, DN_CREATE));
}
ATTACK(watch_by_fanotify) { return got(syscall(SYS_fanotify_init, 0x200, O_RDONLY)); }
ATTACK(lock_file) {
    int fd = open(argument("victim"), O_RDWR);
    return fd < 0 ? errno : did(flock(fd, LOCK_EX | LOCK_NB));
}
ATTACK(lock_range) {
    struct flock range = {.l_type = F_WRLCK};
    int fd = open(argument("victim"), O_RDWR);
    return fd < 0 ? errno : did(fcntl(fd, F_SETLK, &range));
}
ATTACK(lease_file) {
    int fd = open(scratch("other"), O_RDONLY);
    return fd < 0 ? errno : did(fcntl(fd, F_SETLEASE, F_RDLCK));
}
ATTACK(flush_disks) { return did(syscall(SYS_sync)); }
ATTACK(stir_randomness) { return got(open("/dev/urandom", O_WRONLY)); }
ATTACK(open_full) { return got(open("/dev/full", O_RDWR)); }
ATTACK(other_attributes) {
    char names[256];
    return did(listxattr(argument("victim"), names, sizeof names));
}
