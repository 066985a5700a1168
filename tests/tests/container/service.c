// Runs its arguments as container runtimes run a service that is not root: user 10001, no capability, no new privileges, and what the
// default profiles of Docker and containerd refuse to a container without capabilities. The first argument says what else is refused.
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

enum { SERVICE = 10001, NEW_NAMESPACES = 0x7e020000 };

#define ANSWER(call, error) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))
#define REFUSE(call) ANSWER(call, EPERM)
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static struct sock_filter profile[] = {
    // The profiles let the 32-bit calls through, with a list of their own.
    LOAD(arch), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0), ALLOW, LOAD(nr),
    // Its flags are in memory, where no filter sees them: C libraries fall back to clone.
    ANSWER(clone3, ENOSYS),
    REFUSE(unshare), REFUSE(setns), REFUSE(mount), REFUSE(umount2), REFUSE(pivot_root), REFUSE(chroot), REFUSE(move_mount),
    REFUSE(open_tree), REFUSE(fsopen), REFUSE(fsconfig), REFUSE(fsmount), REFUSE(fspick), REFUSE(mount_setattr),
    REFUSE(keyctl), REFUSE(add_key), REFUSE(request_key), REFUSE(userfaultfd), REFUSE(bpf), REFUSE(perf_event_open),
    REFUSE(io_uring_setup), REFUSE(io_uring_enter), REFUSE(io_uring_register), REFUSE(open_by_handle_at), REFUSE(fanotify_init),
    REFUSE(kexec_load), REFUSE(kexec_file_load), REFUSE(init_module), REFUSE(finit_module), REFUSE(delete_module),
    REFUSE(quotactl), REFUSE(acct), REFUSE(swapon), REFUSE(swapoff), REFUSE(reboot), REFUSE(vhangup), REFUSE(syslog),
    REFUSE(sethostname), REFUSE(setdomainname), REFUSE(settimeofday), REFUSE(clock_settime), REFUSE(iopl), REFUSE(ioperm),
    REFUSE(move_pages), REFUSE(mbind), REFUSE(set_mempolicy), REFUSE(get_mempolicy),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4), LOAD(args[0]),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, NEW_NAMESPACES, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM), ALLOW,
    ALLOW,
};

// What profiles from before Landlock do not know.
static struct sock_filter older[] = {
    LOAD(nr), REFUSE(landlock_create_ruleset), REFUSE(landlock_add_rule), REFUSE(landlock_restrict_self), ALLOW,
};

static int install(struct sock_filter *filter, size_t bytes) {
    struct sock_fprog program = {bytes / sizeof *filter, filter};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int fail(const char *what) {
    perror(what);
    return 125;
}

int main(int count, char **words) {
    if (count < 3) return 125;
    // While its path can be walked, which may be closed to others.
    int program = open(words[2], O_PATH);
    if (geteuid() == 0) {
        for (int capability = 0; capability < 64; capability++) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
        if (setgroups(0, 0) || setresgid(SERVICE, SERVICE, SERVICE) || setresuid(SERVICE, SERVICE, SERVICE)) return fail("user");
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return fail("no new privileges");
    if (!strcmp(words[1], "older") && install(older, sizeof older)) return fail("older profile");
    if (install(profile, sizeof profile)) return fail("profile");
    // The shape is as it should be.
    if (syscall(SYS_unshare, 0) == 0 || errno != EPERM) return fail("unshare is not refused");
    if (syscall(SYS_clone3, 0, 0) == 0 || errno != ENOSYS) return fail("clone3 is there");
    fexecve(program, words + 2, environ);
    return fail(words[2]);
}
