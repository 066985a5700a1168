// Attacks through memory: shared between runs, executable, locked, or uncounted.
static int shared_page(void *map) {
    if (map == MAP_FAILED) return errno;
    *(volatile char *)map = 1;
    return 0;
}
ATTACK(shared_anonymous) { return shared_page(mmap(0, 1 << 20, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0)); }
ATTACK(shared_zero_device) {
    int fd = open("/dev/zero", O_RDWR);
    return fd < 0 ? errno : shared_page(mmap(0, 1 << 20, 3, MAP_SHARED, fd, 0));
}
ATTACK(sysv_memory) {
    int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0666);
    if (id < 0) return errno;
    void *at = shmat(id, 0, 0);
    shmctl(id, IPC_RMID, 0);
    return at == (void *)-1 ? errno : 0;
}
ATTACK(sysv_queue) {
    int id = msgget(IPC_PRIVATE, IPC_CREAT | 0666);
    return id < 0 ? errno : did(msgctl(id, IPC_RMID, 0));
}
ATTACK(sysv_semaphore) {
    int id = semget(IPC_PRIVATE, 1, IPC_CREAT | 0666);
    return id < 0 ? errno : did(semctl(id, 0, IPC_RMID));
}
ATTACK(posix_memory) {
    char name[64];
    snprintf(name, sizeof name, "/attack-%ld", number("parent"));
    int fd = shm_open(name, O_CREAT | O_RDWR, 0600);
    if (fd < 0) return errno;
    shm_unlink(name);
    return 0;
}
ATTACK(posix_queue) {
    char name[64];
    snprintf(name, sizeof name, "attack-%ld", number("parent"));
    long fd = syscall(SYS_mq_open, name, O_CREAT | O_RDWR, 0600, 0);
    if (fd < 0) return errno;
    return did(syscall(SYS_mq_unlink, name));
}
ATTACK(memory_file) { return got(syscall(SYS_memfd_create, "attack", 0)); }
ATTACK(secret_memory) { return got(syscall(447, 0)); }
ATTACK(run_memory_file) {
    // Puts a program into memory and maps it to run.
    long fd = syscall(SYS_memfd_create, "attack", 0);
    if (fd < 0) return errno;
    if (write((int)fd, "\xb8\x2a\0\0\0\xc3", 6) != 6) return errno;
    int (*code)(void) = mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, (int)fd, 0);
    return code == MAP_FAILED ? errno : code() == 42 ? 0 : EIO;
}
// mov eax, 42; ret
static const char CODE[] = "\xb8\x2a\0\0\0\xc3";
static int runs(char *map) { return ((int (*)(void))map)() == 42 ? 0 : EIO; }
ATTACK(writable_code) {
    char *map = mmap(0, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) return errno;
    memcpy(map, CODE, 6);
    return runs(map);
}
static int becomes_code(long call, long last) {
    char *map = mmap(0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) return errno;
    memcpy(map, CODE, 6);
    return syscall(call, map, 4096, PROT_READ | PROT_EXEC, last) ? errno : runs(map);
}
ATTACK(protect_into_code) { return becomes_code(SYS_mprotect, 0); }
ATTACK(protect_by_key) { return becomes_code(SYS_pkey_mprotect, -1); }
ATTACK(read_implies_exec) {
    if (personality(0x0400000) < 0) return errno;
    char *map = mmap(0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) return errno;
    memcpy(map, CODE, 6);
    return runs(map);
}
ATTACK(no_randomness) { return did(personality(ADDR_NO_RANDOMIZE)); }
ATTACK(rewrite_own_code) {
    uintptr_t page = (uintptr_t)&runs & ~4095UL;
    return did(mprotect((void *)page, 4096, 7));
}
ATTACK(lock_memory) {
    static char page[4096];
    return did(mlock(page, sizeof page));
}
ATTACK(lock_by_map) {
    // MAP_LOCKED fails silently, so whether pages stay is asked of the kernel's own count.
    struct rlimit limit;
    getrlimit(RLIMIT_MEMLOCK, &limit);
    return limit.rlim_cur ? shared_page(mmap(0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0)) : EPERM;
}
ATTACK(lock_everything) { return did(mlockall(MCL_CURRENT | MCL_FUTURE)); }
ATTACK(growing_map) { return shared_page(mmap(0, 1 << 20, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0)); }
ATTACK(huge_pages) { return shared_page(mmap(0, 2 << 20, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0)); }
ATTACK(page_tables) {
    // Reading untouched memory costs no page of data, but a page table for each 2 MiB: here 256 MiB of them.
    size_t size = 128UL << 30, step = 2 << 20;
    volatile char *map = mmap(0, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED) return errno;
    madvise((void *)map, size, MADV_NOHUGEPAGE);
    for (size_t at = 0; at < size; at += step) (void)map[at];
    return 0;
}
ATTACK(merge_pages) {
    char *map = mmap(0, 1 << 20, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return map == MAP_FAILED ? errno : did(madvise(map, 1 << 20, MADV_MERGEABLE));
}
ATTACK(merge_all_pages) { return did(prctl(67, 1, 0, 0, 0)); }
ATTACK(user_faults) {
    long fd = syscall(SYS_userfaultfd, 1);
    return got(fd);
}
ATTACK(who_uses_pages) {
    unsigned char seen[1];
    void *map = mmap(0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return map == MAP_FAILED ? errno : did(mincore(map, 4096, seen));
}
ATTACK(place_memory) { return did(syscall(SYS_set_mempolicy, 1, 0, 0)); }
ATTACK(shuffle_maps) { return got(syscall(SYS_memfd_create, "attack", 2)); }
ATTACK(private_over_limit) {
    // Four times the memory that the test allows, each page touched.
    size_t size = (size_t)number("limit") * 4;
    char *map = mmap(0, size, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) return errno;
    for (size_t at = 0; at < size; at += 4096) map[at] = 1;
    return 0;
}
ATTACK(protected_later) {
    // Mapped unwritable, which no data limit counts, and made writable after.
    size_t size = (size_t)number("limit") * 4;
    char *map = mmap(0, size, 0, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) return errno;
    if (mprotect(map, size, 3)) return errno;
    for (size_t at = 0; at < size; at += 4096) map[at] = 1;
    return 0;
}
ATTACK(heap_over_limit) {
    size_t size = (size_t)number("limit") * 4;
    char *start = (char *)syscall(SYS_brk, 0), *end = (char *)syscall(SYS_brk, start + size);
    if (end != start + size) return ENOMEM;
    for (size_t at = 0; at < size; at += 4096) start[at] = 1;
    return 0;
}
