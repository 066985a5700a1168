//! What the filter of each class says to a call with these arguments, by running its program.

use super::program::tests::simulate;
use super::program::{ARCH_X86_64, X32_BIT};
use super::*;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const REPORT: u32 = libc::SECCOMP_RET_USER_NOTIF;
const ERRNO: u32 = libc::SECCOMP_RET_ERRNO;
const MARK: u64 = 0x1234_5678_9abc_def0;

fn wanted(class: Class) -> Wanted {
    Wanted {
        class,
        makes_code: false,
        wakes_shared: class == Class::Static,
        private_root: true,
        reported: true,
        kills_refused: false,
        names_reads: false,
        extra_calls: Vec::new(),
    }
}

fn verdict(class: Class, name: &str, args: [u64; 6]) -> u32 {
    let program = Filter::build(&wanted(class)).unwrap().with_mark(MARK);
    simulate(&program, ARCH_X86_64, calls::number(name).unwrap(), args)
}

#[test]
fn only_thread_flags_make_a_thread() {
    for flags in [0x003d_0f00, 0x007d_0f00, 0x0005_0f00] {
        assert_eq!(
            verdict(Class::Static, "clone", [flags, 0, 0, 0, 0, 0]),
            ALLOW
        );
    }
    for flags in [
        17,
        0x0120_0011,
        0x4111,
        0x003d_0f00 | 0x2000_0000,
        0x0005_0f11,
        0x003c_0f00,
    ] {
        assert_eq!(
            verdict(Class::Static, "clone", [flags, 0, 0, 0, 0, 0]),
            REPORT,
            "{flags:x}"
        );
    }
    assert_eq!(verdict(Class::Runtime, "clone3", [0; 6]), ERRNO | 38);
}

#[test]
fn the_launchers_calls_need_the_whole_mark() {
    for class in [Class::Static, Class::Dynamic, Class::Runtime] {
        for name in conditions::LAUNCHER_CALLS {
            let with = |sixth| verdict(class, name, [17, 0, 0, 0, 0, sixth]);
            assert_eq!(with(MARK), ALLOW, "{name}");
            for other in [0, MARK ^ 1, MARK ^ 1 << 32, MARK << 32, MARK >> 32] {
                assert_eq!(
                    with(other),
                    verdict(class, name, [17, 0, 0, 0, 0, 0]),
                    "{name}"
                );
                assert_ne!(with(other), ALLOW, "{name}");
            }
        }
        assert_eq!(verdict(class, "execve", [0, 0, 0, 0, 0, MARK]), REPORT);
        assert_eq!(verdict(class, "fork", [0, 0, 0, 0, 0, MARK]), REPORT);
    }
}

#[test]
fn the_last_filter_kills_what_carries_the_mark_but_for_one_exec() {
    use crate::sys::launcher::last::last_filter;
    let cookies = [0x1111_2222, 0x3333_4444];
    let program: Vec<sock_filter> = last_filter(MARK, cookies)
        .into_iter()
        .map(|[a, b, jt, jf, c, d, e, f]| sock_filter {
            code: u16::from_ne_bytes([a, b]),
            jt,
            jf,
            k: u32::from_ne_bytes([c, d, e, f]),
        })
        .collect();
    let run = |name, args| simulate(&program, ARCH_X86_64, calls::number(name).unwrap(), args);
    for name in conditions::LAUNCHER_CALLS {
        assert_eq!(
            run(name, [0, 0, 0, 0, 0, MARK]),
            libc::SECCOMP_RET_KILL_PROCESS,
            "{name}"
        );
        for other in [0, MARK ^ 1, MARK ^ 1 << 32] {
            assert_eq!(run(name, [0, 0, 0, 0, 0, other]), ALLOW, "{name}");
        }
    }
    let [first, second] = cookies.map(|cookie| u64::from(cookie) << 32);
    let exec = |first, second, sixth| run("execveat", [first | 5, 0, 0, 0, second | 0x1000, sixth]);
    assert_eq!(exec(first, second, MARK), ALLOW);
    for (first, second) in [(first, 0), (0, second), (second, first)] {
        assert_eq!(exec(first, second, MARK), libc::SECCOMP_RET_KILL_PROCESS);
    }
    assert_eq!(
        run("clone", [first | 17, 0, 0, 0, second, MARK]),
        libc::SECCOMP_RET_KILL_PROCESS
    );
}

#[test]
fn executable_memory_is_for_files_only_and_never_for_static_programs() {
    let (read, exec) = (1, 4);
    let (shared, private, anonymous, grows_down) = (1, 2, 0x20, 0x100);
    // With a size of page beside it, as of MAP_HUGE_2MB.
    let huge = 0x4_0000 | 21 << 26;
    let map = |class, protection, flags| verdict(class, "mmap", [0, 4096, protection, flags, 0, 0]);
    for class in [Class::Static, Class::Dynamic, Class::Runtime] {
        assert_eq!(map(class, read, private | anonymous), ALLOW);
        assert_eq!(map(class, read, private | anonymous | huge), ERRNO | 13);
        assert_eq!(map(class, read | exec, private | anonymous), ERRNO | 13);
        assert_eq!(map(class, read | 2 | exec, private), ERRNO | 13);
        assert_eq!(map(class, read, shared | anonymous), ERRNO | 13);
        assert_eq!(map(class, read, 3 | anonymous), ERRNO | 13);
        assert_eq!(
            map(class, read, private | anonymous | grows_down),
            ERRNO | 13
        );
        assert_eq!(
            verdict(class, "mprotect", [0, 4096, read | exec, 0, 0, 0]),
            ERRNO | 13
        );
    }
    assert_eq!(map(Class::Static, read | exec, private), ERRNO | 13);
    assert_eq!(map(Class::Dynamic, read | exec, private), ALLOW);
    let program = Filter::build(&Wanted {
        makes_code: true,
        ..wanted(Class::Runtime)
    })
    .unwrap()
    .with_mark(MARK);
    let map =
        |protection, flags| simulate(&program, ARCH_X86_64, 9, [0, 4096, protection, flags, 0, 0]);
    assert_eq!(map(7, private | anonymous), ALLOW);
    assert_eq!(map(7, shared | anonymous), ERRNO | 13);
}

#[test]
fn files_open_for_reading_only() {
    let create = 0x40;
    assert_eq!(
        verdict(Class::Runtime, "openat", [0, 0, 0x8_0000, 0, 0, 0]),
        ALLOW
    );
    for flags in [1, 2, create, 0x200, 0x41_0000, 0x4000] {
        assert_eq!(
            verdict(Class::Runtime, "openat", [0, 0, flags, 0, 0, 0]),
            REPORT,
            "{flags:x}"
        );
        assert_eq!(
            verdict(Class::Runtime, "open", [0, flags, 0, 0, 0, 0]),
            REPORT,
            "{flags:x}"
        );
    }
    assert_eq!(verdict(Class::Static, "openat", [0; 6]), REPORT);
}

#[test]
fn only_threads_of_one_process_wake_each_other() {
    let (wait, wake, private, realtime) = (0, 1, 0x80, 0x100);
    let futex = |class, way| verdict(class, "futex", [0, way, 0, 0, 0, 0]);
    for class in [Class::Static, Class::Dynamic, Class::Runtime] {
        for way in 0..14 {
            assert_eq!(futex(class, way | private), ALLOW);
            assert_eq!(futex(class, way | private | realtime), ALLOW);
        }
        for way in [9, 9 | realtime] {
            assert_eq!(futex(class, way), ALLOW);
        }
        for way in [2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 1 << 9] {
            assert_eq!(futex(class, way), ERRNO | 22, "{way}");
        }
    }
    for class in [Class::Dynamic, Class::Runtime] {
        assert_eq!(futex(class, wake), ERRNO | 22);
        // Whom nobody can wake is told to look again.
        assert_eq!(futex(class, wait), ERRNO | 11);
    }
    for way in [wait, wake] {
        assert_eq!(futex(Class::Static, way), ALLOW);
    }
}

#[test]
fn int_arguments_are_judged_by_what_the_kernel_reads() {
    let high = 1_u64 << 32;
    assert_eq!(
        verdict(Class::Static, "ioctl", [0, 0x5421 | high, 0, 0, 0, 0]),
        ALLOW
    );
    assert_eq!(
        verdict(Class::Static, "ioctl", [0, 0x5412 | high, 0, 0, 0, 0]),
        ERRNO | 25
    );
    assert_eq!(
        verdict(Class::Static, "prlimit64", [high, 7, 0, 0, 0, 0]),
        ALLOW
    );
    assert_eq!(
        verdict(Class::Static, "prlimit64", [0, 7, high, 0, 0, 0]),
        ERRNO | 1
    );
    assert_eq!(
        verdict(Class::Static, "prctl", [1, 0, 0, 0, 0, 0]),
        ERRNO | 22
    );
}

#[test]
fn without_a_listener_refused_calls_fail_and_hostile_ones_kill() {
    let kill = libc::SECCOMP_RET_KILL_PROCESS;
    for (kills_refused, socket, open) in [(false, ERRNO | 13, ERRNO | 30), (true, kill, kill)] {
        let wanted = Wanted {
            reported: false,
            kills_refused,
            ..wanted(Class::Dynamic)
        };
        let program = Filter::build(&wanted).unwrap().with_mark(MARK);
        let run = |name| {
            let number = calls::number(name).unwrap();
            simulate(&program, ARCH_X86_64, number, [1, 1, 1, 0, 0, 0])
        };
        assert_eq!((run("socket"), run("openat")), (socket, open));
        for name in [
            "execveat",
            "ptrace",
            "mount",
            "bpf",
            "personality",
            "seccomp",
        ] {
            assert_eq!(run(name), kill, "{name}");
        }
    }
}

#[test]
fn pairs_of_sockets_are_local_streams_and_datagrams_without_addresses() {
    let high = 1_u64 << 32;
    let pair = |family, kind, protocol| {
        verdict(
            Class::Static,
            "socketpair",
            [family, kind, protocol, 0, 0, 0],
        )
    };
    for kind in [1, 2, 1 | 0x800, 2 | 0x8_0000, 1 | 0x8_0800] {
        assert_eq!(pair(1, kind, 0), ALLOW, "{kind:x}");
    }
    assert_eq!(pair(1, 1, 1), ALLOW);
    for (family, kind, protocol) in [
        (2, 1, 0),
        (10, 2, 0),
        (16, 3, 0),
        (1, 5, 0),
        (1, 3, 0),
        (30, 5, 0),
        (1, 1, 6),
    ] {
        assert_eq!(pair(family, kind, protocol), REPORT, "{family} {kind}");
    }
    for name in ["sendto", "recvfrom"] {
        assert_eq!(verdict(Class::Static, name, [3, 1, 1, 0, 0, 0]), ALLOW);
        for address in [1, high, 0x7fff_0000_0000] {
            assert_eq!(
                verdict(Class::Static, name, [3, 1, 1, 0, address, 0]),
                REPORT
            );
        }
    }
    for name in [
        "sendmsg", "recvmsg", "sendmmsg", "recvmmsg", "bind", "connect", "accept", "accept4",
        "listen",
    ] {
        assert_eq!(
            verdict(Class::Runtime, name, [3, 0, 0, 0, 0, 0]),
            REPORT,
            "{name}"
        );
    }
    // The credentials of the other end, and a handle on it.
    for option in [17, 77, 59] {
        assert_eq!(
            verdict(Class::Runtime, "getsockopt", [3, 1, option, 0, 0, 0]),
            ERRNO | 92
        );
    }
    assert_eq!(
        verdict(Class::Runtime, "getsockopt", [3, 1, 4, 0, 0, 0]),
        ALLOW
    );
}

#[test]
fn reads_are_reported_only_where_somebody_looks() {
    let opened = |class, names_reads, reported, flags| {
        let wanted = Wanted {
            names_reads,
            reported,
            ..wanted(class)
        };
        let program = Filter::build(&wanted).unwrap().with_mark(MARK);
        let run = |name, args| {
            let number = calls::number(name).unwrap();
            simulate(&program, ARCH_X86_64, number, args)
        };
        let both = [
            run("open", [1, flags, 0, 0, 0, 0]),
            run("openat", [0, 1, flags, 0, 0, 0]),
        ];
        assert_eq!(both[0], both[1]);
        both[0]
    };
    // With O_CLOEXEC, and O_DIRECTORY beside it.
    for flags in [0, 0x8_0000, 0x9_0000] {
        for class in [Class::Dynamic, Class::Runtime] {
            assert_eq!(opened(class, false, true, flags), ALLOW);
            assert_eq!(opened(class, true, true, flags), REPORT);
            assert_eq!(opened(class, true, false, flags), ALLOW);
        }
        assert!(opens_to_read(u32::try_from(flags).unwrap()));
    }
    for flags in [1, 2, 0x40, 0x200, 0x4000, 0x41_0000] {
        for names_reads in [false, true] {
            assert_eq!(opened(Class::Runtime, names_reads, true, flags), REPORT);
        }
        assert!(!opens_to_read(u32::try_from(flags).unwrap()));
    }
}

#[test]
fn what_is_reported_is_refused_or_hostile_and_nothing_else() {
    for class in [Class::Static, Class::Dynamic, Class::Runtime] {
        for number in 0..600 {
            let Some(name) = calls::name(number) else {
                continue;
            };
            let answer = answer_of(class, name);
            // Noted, and let go on.
            if matches!(name, "tgkill" | "tkill") {
                continue;
            }
            if verdict(class, name, [u64::MAX; 6]) == REPORT {
                let known = matches!(answer, Some(Answer::Refuse(_) | Answer::Hostile));
                assert!(known, "{name}: {answer:?}");
            }
        }
    }
    assert_eq!(refusal(Class::Static, "openat"), Some(libc::ENOENT));
    assert_eq!(refusal(Class::Runtime, "openat"), Some(libc::EROFS));
    assert_eq!(refusal(Class::Runtime, "ptrace"), None);
}

#[test]
fn every_number_that_is_not_listed_does_not_exist() {
    for class in [Class::Static, Class::Dynamic, Class::Runtime] {
        let program = Filter::build(&wanted(class)).unwrap().with_mark(MARK);
        for number in (335..424).chain(470..2000).chain([X32_BIT - 1]) {
            assert_eq!(simulate(&program, ARCH_X86_64, number, [0; 6]), ERRNO | 38);
        }
    }
}

#[test]
fn an_unknown_extra_call_is_an_error() {
    let wanted = Wanted {
        extra_calls: vec!["opn".to_owned()],
        ..wanted(Class::Runtime)
    };
    assert!(matches!(
        Filter::build(&wanted),
        Err(Error::Unusable { .. })
    ));
}
