//! Every system call by its number, made from inside with zeros as arguments; and a stress tool as a plugin.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use super::support::{
    Link, Permit, alone, children, limits, package, program, run_within, sandbox, seal, text,
};
use crate::filter::calls;
use crate::{End, Entry, Report, Sandbox};

/// Takes a number from its request, makes that call, and prints the result.
const TRY: &str = r#"int main(void) {
    request();
    long number = strtol(line, 0, 10);
    long result = syscall(number, 0, 0, 0, 0, 0, 0);
    printf("%ld\n", result < 0 ? (long)errno : 0L);
    fflush(stdout);
    _exit(0);
}"#;

/// Beyond the highest number that this kernel knows, and below those of the x32 ABI.
const NUMBERS: u32 = 600;

/// The deadline. It may end calls that wait; no other call needs this long.
const TIME: Duration = Duration::from_millis(300);

/// Calls that must never have an effect, whatever their arguments, and must be named: each would reach out of the jail.
const DEADLY: &str = "socket fork vfork execve kill ptrace mount umount2 pivot_root chroot setns unshare bpf \
    perf_event_open userfaultfd keyctl add_key request_key shmget semget msgget mq_open memfd_create memfd_secret modify_ldt \
    iopl ioperm init_module finit_module delete_module kexec_load reboot swapon acct syslog sethostname settimeofday \
    clock_settime open_by_handle_at name_to_handle_at fanotify_init setuid setgid setresuid setgroups capset pidfd_open \
    pidfd_getfd pidfd_send_signal process_vm_readv process_vm_writev kcmp move_mount open_tree fsopen fsmount creat mkdir \
    unlink rename link symlink truncate chmod chown utimes setxattr connect bind sendmsg recvmsg execveat seccomp";

/// Calls that must fail as if the kernel did not have them.
const ABSENT: &str =
    "clone3 openat2 io_uring_setup io_uring_enter io_uring_register splice tee vmsplice uselib";

/// Calls that the kernel does not pass to a filter (since Linux 6.14). It ends a process that makes one from anywhere except the code that
/// the kernel itself put there for a probe.
const UNFILTERED: &str = "uretprobe uprobe";

#[test]
fn no_call_by_number_gets_out() {
    alone("every_call::no_call_by_number_gets_out", every_number);
}

fn every_number() {
    let sandbox = sandbox();
    let folder = package(&[]);
    for link in [Link::Static, Link::Dynamic] {
        let entry = program(TRY, link);
        for number in 0..NUMBERS {
            let (report, answer) = attempt(&sandbox, &entry, folder.path(), number);
            let end = report.end.clone();
            let name = calls::name(number).unwrap_or_default();
            let among = |list: &str| list.split_whitespace().any(|known| known == name);
            if among(DEADLY) {
                let ended = matches!(&end, End::Violation(denial) if denial.call == name);
                let failed = end == End::Answered && !answer.starts_with("0\n");
                let named = ended || failed && report.denied.calls.contains_key(name);
                assert!(named, "{link:?} {name}: {end:?} {answer}");
            }
            if among(UNFILTERED) {
                let refused = [End::Signalled(libc::SIGILL), End::Answered].contains(&end);
                assert!(
                    refused && !answer.starts_with("0\n"),
                    "{link:?} {name}: {end:?} {answer}"
                );
            }
            if name.is_empty() || among(ABSENT) {
                let enosys = format!("{}\n", libc::ENOSYS);
                assert_eq!(
                    (&end, answer.as_str()),
                    (&End::Answered, enosys.as_str()),
                    "{link:?} {number} {name}"
                );
            }
        }
        // Numbers of the x32 ABI, and one that an int cannot hold.
        for number in [0x4000_0000, 0x4000_0029, u32::MAX] {
            let (report, _) = attempt(&sandbox, &entry, folder.path(), number);
            let end = report.end;
            assert!(
                matches!(end, End::Violation(_)) || end == End::Answered,
                "{number}: {end:?}"
            );
        }
    }
    assert!(children().is_empty(), "{:?}", children());
}

fn attempt(
    sandbox: &Sandbox<Permit>,
    entry: &Entry,
    folder: &Path,
    number: u32,
) -> (Report, String) {
    let input = format!("{number}\n");
    let report = run_within(sandbox, entry, folder, &input, TIME, limits());
    let said = text(&report);
    (report, said)
}

/// Where Debian's package puts the tool.
const STRESS: &str = "/usr/bin/stress-ng";

#[test]
fn a_stress_tool_comes_to_nothing() {
    alone("every_call::a_stress_tool_comes_to_nothing", stress);
}

/// The tool wants a folder that it can write to, shared memory and processes. It gets none of them, and so ends long before
/// its time; what it would do with them is tried by the programs of the other tests.
fn stress() {
    if !Path::new(STRESS).exists() {
        return skip::skip(&format!("{STRESS} is not installed"));
    }
    let outside = ["--cpu", "1", "--timeout", "1", "--temp-path", "/tmp"];
    assert!(
        Command::new(STRESS)
            .args(outside)
            .status()
            .unwrap()
            .success()
    );
    let sandbox = sandbox();
    let folder = package(&[]);
    let Entry::Program { image, .. } = seal(Path::new(STRESS)) else {
        unreachable!("a program is sealed as one");
    };
    for stressor in ["--cpu", "--fork", "--vm", "--sock"] {
        let entry = Entry::Program {
            image: Arc::clone(&image),
            args: [stressor, "1", "--timeout", "60"]
                .map(str::to_owned)
                .to_vec(),
        };
        let time = Duration::from_secs(20);
        let report = run_within(&sandbox, &entry, folder.path(), "{}\n", time, limits());
        let words = String::from_utf8_lossy(&report.stderr.bytes);
        println!("{stressor}: {:?} {words}", report.end);
        let ended = matches!(report.end, End::Exited(code) if code != 0)
            || matches!(report.end, End::Violation(_));
        assert!(ended, "{report:?}");
        assert!(children().is_empty(), "{stressor}: {:?}", children());
    }
}
