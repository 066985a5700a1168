//! Puts a reported system call into words. What is read from the plugin's memory is only ever shown, never acted on.

use std::os::fd::BorrowedFd;

use crate::filter::calls;
use crate::report::Denial;
use crate::sys::notify::{self, Notification};

/// The longest path that is shown, in bytes; the rest is cut off with a mark.
const PATH_SHOWN_BYTES: usize = 256;

/// Paths that start-up code of C libraries, Go and allocators looks at in any program. They are answered with "no such file".
const BENIGN_PREFIXES: &[(&str, &str)] = &[
    ("/proc/self/", "own name, maps and limits"),
    ("/proc/sys/", "overcommit and limits, read by allocators"),
    ("/proc/meminfo", "size of memory"),
    ("/proc/cpuinfo", "number of processors"),
    ("/proc/stat", "number of processors"),
    ("/sys/devices/system/cpu/", "number of processors"),
    ("/sys/devices/system/node/", "memory nodes"),
    ("/sys/fs/cgroup/", "limits of a container"),
    (
        "/sys/kernel/mm/transparent_hugepage/",
        "page size, read by Go's start-up",
    ),
    ("/etc/localtime", "time zone"),
    ("/usr/share/zoneinfo/", "time zone"),
    ("/etc/ld.so.", "places of libraries"),
    ("/etc/malloc.conf", "options of jemalloc"),
    ("/usr/lib/locale/", "locale"),
    ("/dev/urandom", "randomness, which getrandom gives too"),
    ("/dev/random", "randomness, which getrandom gives too"),
];

/// What to do about a reported call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// A benign probe: answer with this error number and go on.
    Refuse(i32),
    /// The end of the plugin.
    Deny(Denial),
    /// It raises the signal of an abort in itself, which it may; it is only noted. Its arguments are numbers, which nobody can change
    /// between this look and the kernel's.
    Abort,
    /// The caller is gone; there is nothing to do.
    Gone,
}

/// Judges one report.
pub(crate) fn judge(
    listener: BorrowedFd<'_>,
    report: &Notification,
    asks_name_service: bool,
) -> Judgement {
    let name = u32::try_from(report.number)
        .ok()
        .and_then(calls::name)
        .unwrap_or("unknown system call");
    let path = path_argument(name).and_then(|at| read_path(report, at));
    // Only now is it sure that what was read came from the caller and not from a later process of the same number.
    if !notify::is_valid(listener, report.id) {
        return Judgement::Gone;
    }
    if matches!(name, "tgkill" | "tkill") {
        return Judgement::Abort;
    }
    if opens(name) && path.as_deref().is_some_and(is_benign) {
        return Judgement::Refuse(libc::ENOENT);
    }
    if asks_name_service && name == "socket" && is_name_service(&report.args) {
        return Judgement::Refuse(libc::EACCES);
    }
    Judgement::Deny(Denial {
        call: name.to_owned(),
        detail: detail(name, &report.args, path.as_deref()),
    })
}

fn opens(name: &str) -> bool {
    matches!(name, "open" | "openat")
}

/// How the C library opens a connection to its name service (`nscd`) before it reads /etc/passwd.
/// Event loops open sockets in the very same way, so that only runtimes without one are believed.
fn is_name_service(args: &[u64; 6]) -> bool {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let [family, asked, protocol, ..] = args.map(int);
    let wanted = [libc::AF_UNIX, kind, 0].map(i32::cast_unsigned);
    [family, asked, protocol] == wanted
}

/// Probes are spelled plainly; a path with `..` in it is no probe.
fn is_benign(path: &str) -> bool {
    !path.contains("..")
        && BENIGN_PREFIXES
            .iter()
            .any(|(prefix, _)| path.starts_with(prefix))
}

/// Which argument of a call is a path.
fn path_argument(name: &str) -> Option<usize> {
    match name {
        "open" | "creat" | "execve" | "mkdir" | "mknod" | "rmdir" | "unlink" | "rename"
        | "link" | "symlink" | "truncate" | "chmod" | "chown" | "lchown" | "utime" | "utimes"
        | "chroot" | "umount2" | "pivot_root" | "setxattr" | "lsetxattr" | "removexattr"
        | "lremovexattr" | "acct" | "swapon" | "swapoff" | "mq_open" | "mq_unlink"
        | "memfd_create" => Some(0),
        "openat" | "execveat" | "mkdirat" | "mknodat" | "unlinkat" | "renameat" | "renameat2"
        | "linkat" | "fchmodat" | "fchmodat2" | "fchownat" | "utimensat" | "futimesat"
        | "mount" | "open_tree" | "move_mount" | "name_to_handle_at" | "mount_setattr" => Some(1),
        _ => None,
    }
}

fn detail(name: &str, args: &[u64; 6], path: Option<&str>) -> String {
    let [a, b, c, ..] = args.map(int);
    match name {
        "socket" | "socketpair" => format!("{}, {}", family(a), kind(b)),
        "open" => opened(path, b),
        "openat" => opened(path, c),
        "clone" => format!("flags 0x{:x}", args[0]),
        "kill" => format!("{}, signal {b}", a.cast_signed()),
        "ptrace" => format!("request {}", args[0]),
        "personality" => format!("0x{a:x}"),
        "unshare" => format!("flags 0x{a:x}"),
        "setuid" | "setgid" | "setresuid" | "setresgid" | "setreuid" | "setregid" => a.to_string(),
        _ => path.map(quoted).unwrap_or_default(),
    }
}

/// An argument as the kernel reads an int.
fn int(argument: u64) -> u32 {
    u32::try_from(argument & u64::from(u32::MAX)).unwrap_or(0)
}

fn opened(path: Option<&str>, flags: u32) -> String {
    let names: Vec<&str> = [
        (0x1, "O_WRONLY"),
        (0x2, "O_RDWR"),
        (0x40, "O_CREAT"),
        (0x200, "O_TRUNC"),
        (0x4000, "O_DIRECT"),
        (0x40_0000, "O_TMPFILE"),
    ]
    .into_iter()
    .filter(|(bit, _)| flags & bit != 0)
    .map(|(_, name)| name)
    .collect();
    let how = if names.is_empty() {
        "O_RDONLY".to_owned()
    } else {
        names.join("|")
    };
    match path {
        Some(path) => format!("{}, {how}", quoted(path)),
        None => how,
    }
}

fn family(number: u32) -> String {
    let name = match number {
        1 => "AF_UNIX",
        2 => "AF_INET",
        10 => "AF_INET6",
        16 => "AF_NETLINK",
        17 => "AF_PACKET",
        38 => "AF_ALG",
        40 => "AF_VSOCK",
        44 => "AF_XDP",
        other => return format!("family {other}"),
    };
    name.to_owned()
}

fn kind(number: u32) -> String {
    // The two upper bits are SOCK_NONBLOCK and SOCK_CLOEXEC.
    let name = match number & 0xf {
        1 => "SOCK_STREAM",
        2 => "SOCK_DGRAM",
        3 => "SOCK_RAW",
        5 => "SOCK_SEQPACKET",
        other => return format!("type {other}"),
    };
    name.to_owned()
}

/// A path in quotation marks, with everything unprintable escaped.
fn quoted(path: &str) -> String {
    format!("\"{}\"", path.escape_debug())
}

/// Reads a path from the caller's memory, page by page so that an unmapped next page does not hide what is there.
fn read_path(report: &Notification, at: usize) -> Option<String> {
    /// Reading stops at page ends, because a read across an unmapped page fails as a whole.
    const PAGE_BYTES: u64 = 4096;
    let mut address = *report.args.get(at)?;
    let mut bytes = Vec::new();
    while bytes.len() <= PATH_SHOWN_BYTES {
        let left = usize::try_from(PAGE_BYTES - address % PAGE_BYTES).ok()?;
        let mut chunk = vec![0; left.min(PATH_SHOWN_BYTES + 1)];
        let count = notify::read_memory(report.pid, address, &mut chunk);
        let read = chunk.get(..count)?;
        if read.is_empty() {
            return None;
        }
        if let Some(end) = read.iter().position(|&byte| byte == 0) {
            bytes.extend_from_slice(read.get(..end)?);
            return Some(String::from_utf8_lossy(&bytes).into_owned());
        }
        bytes.extend_from_slice(read);
        address = address.checked_add(u64::try_from(count).ok()?)?;
    }
    bytes.truncate(PATH_SHOWN_BYTES);
    Some(format!("{}…", String::from_utf8_lossy(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_known_and_disguises_are_not() {
        assert!(is_benign(
            "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"
        ));
        assert!(is_benign("/etc/ld.so.cache"));
        assert!(!is_benign("/etc/passwd"));
        assert!(!is_benign("/proc/self/../1/environ"));
        assert!(!is_benign("/proc/1/environ"));
    }

    #[test]
    fn denials_say_what_was_wanted() {
        assert_eq!(
            detail("socket", &[2, 0x8_0001, 0, 0, 0, 0], None),
            "AF_INET, SOCK_STREAM"
        );
        assert_eq!(
            detail("openat", &[0, 0, 0x241, 0, 0, 0], Some("/tmp/x")),
            "\"/tmp/x\", O_WRONLY|O_CREAT|O_TRUNC"
        );
        assert_eq!(
            detail("open", &[0; 6], Some("/a\nb")),
            "\"/a\\nb\", O_RDONLY"
        );
        assert_eq!(
            detail("kill", &[u64::MAX, 9, 0, 0, 0, 0], None),
            "-1, signal 9"
        );
        assert_eq!(detail("bpf", &[0; 6], None), "");
    }

    #[test]
    fn a_path_is_read_up_to_its_bound() {
        let path = std::ffi::CString::new("/a/long/".repeat(100)).unwrap();
        let mut report = Notification::default();
        report.pid = std::process::id();
        report.args[1] = path.as_ptr() as u64;
        let read = read_path(&report, 1).unwrap();
        assert!(read.starts_with("/a/long/") && read.ends_with('…'));
        report.args[1] = 16;
        assert_eq!(read_path(&report, 1), None);
    }
}
