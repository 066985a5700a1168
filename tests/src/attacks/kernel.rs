//! Attacks on the kernel's own machinery; the code is in `kernel.c`.

use super::Outside::{Depends, Root, Works};
use super::{Attack, named, quiet};

/// Why a call may be missing.
const RARE: super::Outside = Depends("the kernel may lack it or close it to users");

/// Every attack on the kernel's machinery.
pub const ATTACKS: &[Attack] = &[
    quiet("i386_call", RARE),
    quiet("i386_fork", RARE),
    quiet("x32_call", RARE),
    quiet("x32_fork", RARE),
    quiet("ring", RARE),
    named("load_bpf", RARE, &["bpf"]),
    named("count_events", RARE, &["perf_event_open"]),
    named("local_descriptor_table", RARE, &["modify_ldt"]),
    named("add_key", RARE, &["add_key"]),
    named("ask_key", RARE, &["keyctl"]),
    named("request_key", RARE, &["request_key"]),
    named("new_user_namespace", RARE, &["unshare"]),
    named("new_network_namespace", RARE, &["unshare"]),
    named("new_mount_namespace", RARE, &["unshare"]),
    named("mount_in_own_namespace", RARE, &["unshare"]),
    quiet("join_namespace", Root),
    named("join_by_process", Root, &["pidfd_open"]),
    named("new_filesystem", Root, &["fsopen"]),
    named("clone_mounts", Root, &["open_tree"]),
    named("change_root", Root, &["chroot"]),
    named("list_mounts", RARE, &["listmount"]),
    named("kernel_log", RARE, &["syslog"]),
    quiet("read_kernel_log", RARE),
    named("host_name", Root, &["sethostname"]),
    named("read_clock_state", Works, &["adjtimex"]),
    named("io_ports", RARE, &["iopl"]),
    named("one_io_port", RARE, &["ioperm"]),
    named("flush_quotas", RARE, &["quotactl"]),
    named("stop_accounting", RARE, &["acct"]),
    quiet("raise_signal_limit", Works),
    quiet(
        "dump_core",
        Depends("the test's own core limit may be zero"),
    ),
    quiet(
        "set_core_limit",
        Depends("the test's own core limit may be zero"),
    ),
    quiet("own_filter", Works),
    quiet("speculation", RARE),
    quiet("intercept_calls", RARE),
    quiet("change_map_names", RARE),
    quiet("keep_capabilities", Works),
    quiet("become_traceable", RARE),
    quiet("timer_slack", Works),
    quiet("no_cpuid", RARE),
    quiet("cached_pages", RARE),
    quiet("see_own_number", Works),
    quiet("have_user_root", Root),
];

/// What tells one host from another.
pub const IDENTITY: &[Attack] = &[quiet("see_host_name", Works)];
