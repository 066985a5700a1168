//! A reported system call in words. What is read from the plugin's memory is only ever shown, never acted on.

/// What a call wanted, as a person reads it.
pub(super) fn detail(name: &str, args: &[u64; 6], path: Option<&str>) -> String {
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
pub(super) fn int(argument: u64) -> u32 {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
