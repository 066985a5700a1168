//! Every row of the table of threats on one machine: hosts with an older Landlock, without namespaces, control groups or a
//! listener are pretended, and on each either nothing gets out or plugins are refused in words that say what to do.

use super::support::{Link, Permit, is_root, package, program, run, script, text, works_outside};
use crate::{End, Error, Pretend, Sandbox, Settings, Threat, try_acts};

/// Attacks that exit with 0 outside, one for each of these threats.
const ATTACKS: [&str; 5] = [
    "int main(void) { request(); return socket(AF_INET, SOCK_STREAM, 0) < 0; }",
    "int main(void) { request(); return socket(AF_UNIX, SOCK_STREAM, 0) < 0; }",
    r#"int main(void) { request(); return open("/etc/passwd", O_RDONLY) < 0; }"#,
    "int main(void) { request(); int pid = syscall(SYS_fork); if (pid == 0) _exit(0); return pid < 0; }",
    "int main(void) { request(); return kill(getppid(), 0); }",
];

fn host(pretend: Pretend) -> Settings {
    Settings {
        pretend,
        ..Settings::default()
    }
}

fn nothing_gets_out(settings: &Settings) {
    let sandbox = Sandbox::<Permit>::open(settings.clone()).unwrap();
    let folder = package(&[("main.sh", "read -r line; echo \"$line\"\n")]);
    for link in [Link::Static, Link::Dynamic] {
        let echo = program("int main(void) { request(); answer(line); }", link);
        let report = run(&sandbox, &echo, folder.path(), "hello\n");
        assert_eq!(text(&report), "hello\n", "{settings:?} {report:?}");
        for attack in ATTACKS {
            let report = run(&sandbox, &program(attack, link), folder.path(), "{}\n");
            let worked = matches!(report.end, End::Exited(0) | End::Answered);
            assert!(!worked, "{settings:?} {link:?} {attack}: {report:?}");
        }
    }
    let report = run(&sandbox, &script("sh", "main.sh"), folder.path(), "hello\n");
    assert_eq!(text(&report), "hello\n", "{settings:?} {report:?}");
}

#[test]
fn with_namespaces_any_landlock_will_do() {
    for attack in ATTACKS {
        works_outside(attack, Link::Static);
    }
    for landlock in 0..=7 {
        nothing_gets_out(&host(Pretend {
            landlock: Some(landlock),
            ..Pretend::default()
        }));
    }
}

#[test]
fn without_namespaces_landlock_must_be_new_enough_or_plugins_are_refused() {
    // As root a user id of its own keeps a plugin from signalling others; for the network it takes 4.
    let (least, threat) = if is_root() {
        (4, Threat::Network)
    } else {
        (6, Threat::Processes)
    };
    for landlock in 0..=7 {
        let settings = host(Pretend {
            landlock: Some(landlock),
            no_namespaces: true,
            ..Pretend::default()
        });
        if landlock >= least {
            nothing_gets_out(&settings);
            continue;
        }
        let error = Sandbox::<Permit>::open(settings).unwrap_err();
        let Error::Unanswered {
            threat: unanswered,
            remedy,
            missing,
            ..
        } = &error
        else {
            panic!("{error}");
        };
        let wanted = if landlock < 4 {
            Threat::Network
        } else {
            threat
        };
        assert_eq!(*unanswered, wanted, "{error}");
        assert!(
            !remedy.is_empty() && missing.contains("landlock"),
            "{error}"
        );
    }
}

#[test]
fn without_groups_or_a_listener_plugins_run_and_acts_are_refused() {
    for pretend in [
        Pretend {
            no_cgroup: true,
            ..Pretend::default()
        },
        Pretend {
            no_listener: true,
            ..Pretend::default()
        },
    ] {
        let settings = host(pretend);
        nothing_gets_out(&settings);
        for row in try_acts(&settings).unwrap() {
            assert!(row.enforced || !row.required, "{settings:?} {row:?}");
        }
    }
}
