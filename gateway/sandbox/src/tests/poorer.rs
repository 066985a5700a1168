//! Every row of the table of threats on one machine: hosts with an older Landlock, without namespaces, control groups or a
//! listener are pretended, and on each either nothing gets out or plugins are refused in words that say what to do.

use std::sync::LazyLock;

use super::acts;
use super::support::{Link, Permit, is_root, package, program, run, script, text, with_arguments};
use crate::{End, Entry, Error, Pretend, Sandbox, Settings, Threat, try_acts};

fn host(pretend: Pretend) -> Settings {
    Settings {
        pretend,
        ..Settings::default()
    }
}

/// Programs and a script answer, and no act that `refuse` shows to work outside has an effect inside.
fn nothing_gets_out(settings: &Settings) {
    let sandbox = Sandbox::<Permit>::open(settings.clone()).unwrap();
    let folder = package(&[("main.sh", "read -r line; echo \"$line\"\n")]);
    for link in [Link::Static, Link::Dynamic] {
        let echo = program("int main(void) { request(); answer(line); }", link);
        let report = run(&sandbox, &echo, folder.path(), "hello\n");
        assert_eq!(text(&report), "hello\n", "{settings:?} {report:?}");
        no_act_works(settings, &sandbox, link);
    }
    let report = run(&sandbox, &script("sh", "main.sh"), folder.path(), "hello\n");
    assert_eq!(text(&report), "hello\n", "{settings:?} {report:?}");
}

/// The acts of `acts` as programs, compiled once for all hosts.
static PROGRAMS: LazyLock<[(Link, Entry); 2]> = LazyLock::new(|| {
    let source = acts::in_one_program();
    [Link::Static, Link::Dynamic].map(|link| (link, program(&source, link)))
});

fn no_act_works(settings: &Settings, sandbox: &Sandbox<Permit>, link: Link) {
    let (_, all) = PROGRAMS.iter().find(|(of, _)| *of == link).unwrap();
    let folder = package(&[]);
    let act = |number: usize| {
        let entry = with_arguments(all, vec![number.to_string()]);
        run(sandbox, &entry, folder.path(), "{}\n").end
    };
    let acts = acts::ALL.concat();
    assert_eq!(act(acts.len()), End::Exited(0), "the program does not run");
    for (number, it) in acts.iter().enumerate() {
        // Without a root of its own names and times of files are not hidden, which `doctor` says.
        let is_look = acts::LOOKS.iter().any(|look| look.source == it.source);
        if is_look && settings.pretend.no_namespaces {
            continue;
        }
        let end = act(number);
        let worked = matches!(end, End::Exited(0) | End::Answered);
        assert!(!worked, "{settings:?} {link:?} {it:?}: {end:?}");
    }
}

#[test]
fn with_namespaces_any_landlock_will_do() {
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
