//! The launcher: one that dies is replaced, plugins can reach neither each other nor their launcher, and they do not inherit what it needs.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::support::{
    Link, Permit, alone, children_of, compile, is_alive, launchers_of, limits, package, program,
    run, sandbox, text, wait_for,
};
use crate::{End, Entry, Error, Job, Report, Sandbox};

const ECHO: &str = "int main(void) { request(); answer(line); }";

#[test]
fn a_launcher_that_dies_is_replaced() {
    alone("launcher::a_launcher_that_dies_is_replaced", || {
        let sandbox = sandbox();
        let folder = package(&[]);
        let echo = program(ECHO, Link::Static);
        for _ in 0..5 {
            assert_eq!(text(&run(&sandbox, &echo, folder.path(), "{}\n")), "{}\n");
            let launchers = launchers_of(std::process::id());
            assert_eq!(launchers.len(), 1);
            kill(launchers[0]);
            wait_for(|| launchers_of(std::process::id()), Vec::is_empty);
        }
    });
}

/// What a plugin does to its launcher, or how long it keeps it busy, is no matter of another plugin's.
#[test]
fn no_two_packages_share_a_launcher() {
    alone("launcher::no_two_packages_share_a_launcher", || {
        let sandbox = sandbox();
        let (one, other) = (package(&[]), package(&[]));
        let echo = program(ECHO, Link::Static);
        let never = program("int main(void) { for (;;) pause(); }", Link::Static);
        std::thread::scope(|scope| {
            let call = scope.spawn(|| try_run(&sandbox, &never, one.path()));
            wait_for(|| children_of(std::process::id()), |found| found.len() == 1);
            let of_one = launchers_of(std::process::id());
            assert_eq!(text(&run(&sandbox, &echo, other.path(), "{}\n")), "{}\n");
            assert_eq!(
                (of_one.len(), launchers_of(std::process::id()).len()),
                (1, 2)
            );
            of_one.into_iter().for_each(kill);
            let ended = call.join().unwrap();
            assert!(matches!(ended, Err(Error::LauncherGone)), "{ended:?}");
        });
        assert_eq!(text(&run(&sandbox, &echo, other.path(), "{}\n")), "{}\n");
    });
}

#[test]
fn calls_in_flight_end_with_their_launcher() {
    alone("launcher::calls_in_flight_end_with_their_launcher", || {
        let sandbox = sandbox();
        let folder = package(&[]);
        let never = program("int main(void) { for (;;) pause(); }", Link::Static);
        std::thread::scope(|scope| {
            let calls: Vec<_> = (0..3)
                .map(|_| scope.spawn(|| try_run(&sandbox, &never, folder.path())))
                .collect();
            wait_for(|| children_of(std::process::id()), |found| found.len() == 3);
            // Calls that came at the same time may each have got a launcher of their own.
            launchers_of(std::process::id()).into_iter().for_each(kill);
            for call in calls {
                let ended = call.join().unwrap();
                assert!(matches!(ended, Err(Error::LauncherGone)), "{ended:?}");
            }
        });
        assert!(children_of(std::process::id()).is_empty());
        let echo = program(ECHO, Link::Static);
        assert_eq!(text(&run(&sandbox, &echo, folder.path(), "{}\n")), "{}\n");
    });
}

fn try_run(sandbox: &Sandbox<Permit>, entry: &Entry, folder: &Path) -> Result<Report, Error> {
    try_run_within(sandbox, entry, folder, Duration::from_secs(60))
}

pub(super) fn try_run_within(
    sandbox: &Sandbox<Permit>,
    entry: &Entry,
    folder: &Path,
    time: Duration,
) -> Result<Report, Error> {
    let deadline = Instant::now() + time;
    sandbox.run(
        &Permit,
        &Job {
            entry,
            package: folder,
            input: b"{}\n",
            deadline,
            limits: limits(),
            when_refused: crate::WhenRefused::GoOn,
            deterministic: false,
            names_reads: false,
            cancel: None,
            listener: None,
        },
    )
}

fn kill(pid: u32) {
    let status = Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(status.unwrap().success());
}

/// Signals the process whose id is in the request, by the one signalling call that every plugin may make.
const SIGNAL: &str = "int main(void) { request(); int v = atoi(line); return syscall(SYS_tgkill, v, v, SIGKILL) != 0; }";

/// Two plugins of one launcher, of one user and in sight of each other. Called where there is no pid namespace.
pub(super) fn siblings_do_not_reach_each_other(sandbox: &Sandbox<Permit>, folder: &Path) {
    a_signal_works_outside();
    let never = program("int main(void) { for (;;) pause(); }", Link::Static);
    std::thread::scope(|scope| {
        let victim = scope.spawn(|| try_run(sandbox, &never, folder));
        let pid = wait_for(|| children_of(std::process::id()), |found| found.len() == 1)[0];
        for link in [Link::Static, Link::Dynamic] {
            let report = run(sandbox, &program(SIGNAL, link), folder, &format!("{pid}\n"));
            assert_eq!(report.end, End::Exited(1), "{report:?}");
        }
        let launcher = launchers_of(std::process::id())[0];
        let report = run(
            sandbox,
            &program(SIGNAL, Link::Static),
            folder,
            &format!("{launcher}\n"),
        );
        assert_eq!(report.end, End::Exited(1), "{report:?}");
        assert!(is_alive(pid) && is_alive(launcher));
        kill(pid);
        assert_eq!(victim.join().unwrap().unwrap().end, End::Signalled(9));
    });
}

fn a_signal_works_outside() {
    let folder = tempfile::tempdir().unwrap();
    let attack = compile(folder.path(), SIGNAL, Link::Static);
    let mut victim = Command::new("sleep").arg("60").spawn().unwrap();
    let mut attacker = Command::new(attack).stdin(Stdio::piped()).spawn().unwrap();
    let line = format!("{}\n", victim.id());
    attacker
        .stdin
        .take()
        .unwrap()
        .write_all(line.as_bytes())
        .unwrap();
    assert!(attacker.wait().unwrap().success());
    assert_eq!(victim.wait().unwrap().signal(), Some(9));
}

#[test]
fn a_plugins_peak_memory_is_its_own() {
    const HELD_BYTES: usize = 256 << 20;
    let held = vec![1_u8; HELD_BYTES];
    let sandbox = sandbox();
    let folder = package(&[]);
    let early = program("int main(void) { return 3; }", Link::Static);
    let report = run(&sandbox, &early, folder.path(), "{}\n");
    assert_eq!(report.end, End::Exited(3));
    let peak = usize::try_from(report.usage.peak_memory_bytes).unwrap();
    assert!(peak > 0 && peak < held.len() / 8, "{peak}");
}

#[test]
fn a_package_that_was_replaced_is_let_go() {
    alone("launcher::a_package_that_was_replaced_is_let_go", || {
        let sandbox = sandbox();
        let base = package(&[]);
        let echo = program(ECHO, Link::Dynamic);
        let place = base.path().join("package");
        let mut launchers = Vec::new();
        for name in ["one", "two", "three"] {
            // A rename puts another folder in its place, as an update does.
            let next = base.path().join(name);
            std::fs::create_dir(&next).unwrap();
            if place.exists() {
                std::fs::rename(&place, base.path().join("old")).unwrap();
                std::fs::remove_dir(base.path().join("old")).unwrap();
            }
            std::fs::rename(&next, &place).unwrap();
            assert_eq!(text(&run(&sandbox, &echo, &place, "{}\n")), "{}\n");
            let now = launchers_of(std::process::id());
            assert!(now.len() == 1 && now != launchers, "{now:?} {launchers:?}");
            launchers = now;
        }
    });
}

/// Everything that a child inherits, except limits: descriptors, ignored, blocked and pending signals, the file mask, timers,
/// session, group and privileges.
const INHERITED: &str = r#"int main(void) {
    request();
    int open = 0, ignored = 0;
    for (int fd = 0; fd < 4096; fd++) open += fcntl(fd, F_GETFD) >= 0;
    for (int number = 1; number <= 64; number++) {
        struct { void *handler; long flags, restorer, mask; } action = {0};
        ignored += syscall(SYS_rt_sigaction, number, 0, &action, 8) == 0 && action.handler != 0;
    }
    unsigned long mask = 0, pending = 0;
    syscall(SYS_rt_sigprocmask, 0, 0, &mask, 8);
    syscall(SYS_rt_sigpending, &pending, 8);
    struct itimerval timer;
    getitimer(ITIMER_REAL, &timer);
    printf("open %d ignored %d mask %lx pending %lx umask %o timer %ld leads %d groups %d secure %ld\n",
        open, ignored, mask, pending, umask(0), (long)timer.it_value.tv_sec, getsid(0) == getpid() && getpgrp() == getpid(),
        getgroups(0, 0), getauxval(23));
}"#;

#[test]
fn what_comes_down_is_the_same_whoever_starts_the_gateway() {
    alone(
        "launcher::what_comes_down_is_the_same_whoever_starts_the_gateway",
        odd_gateway,
    );
}

/// A gateway that ignores and blocks signals, has one pending, a strict file mask and a descriptor that outlives exec.
fn odd_gateway() {
    use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask, raise};
    let folder = package(&[]);
    let attack = compile(folder.path(), INHERITED, Link::Static);
    let program = super::support::seal(&attack);
    let mut blocked = SigSet::empty();
    blocked.add(Signal::SIGUSR1);
    pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&blocked), None).unwrap();
    raise(Signal::SIGUSR1).unwrap();
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    let left_open = std::fs::File::open("/").unwrap();
    rustix::io::fcntl_setfd(&left_open, rustix::io::FdFlags::empty()).unwrap();
    let words = "trap '' HUP; echo '{}' | \"$0\"";
    let outside = Command::new("sh")
        .arg("-c")
        .arg(words)
        .arg(&attack)
        .output();
    let outside = String::from_utf8(outside.unwrap().stdout).unwrap();
    let usual = ["open 3 ", "ignored 0 ", "mask 0 ", "umask 22 "];
    assert!(
        !usual.iter().any(|word| outside.contains(word)),
        "nothing odd comes down outside: {outside}"
    );
    let sandbox = sandbox();
    for _ in 0..2 {
        assert_eq!(
            text(&run(&sandbox, &program, folder.path(), "{}\n")),
            "open 3 ignored 0 mask 0 pending 0 umask 22 timer 0 leads 1 groups 0 secure 0\n"
        );
    }
}

#[test]
fn a_stopped_launcher_holds_no_call_past_its_deadline() {
    let name = "launcher::a_stopped_launcher_holds_no_call_past_its_deadline";
    alone(name, stopped_launcher);
}

/// Another process of the same user stops the launcher. The call ends at its deadline, the next call works, and so does the launcher once it
/// goes on.
fn stopped_launcher() {
    let sandbox = sandbox();
    let folder = package(&[]);
    let echo = program(ECHO, Link::Static);
    let slow = "int main(void) { request(); sleep(3); answer(line); }";
    let slow = program(slow, Link::Static);
    let time = Duration::from_millis(800);
    std::thread::scope(|scope| {
        let neighbour =
            scope.spawn(|| try_run_within(&sandbox, &slow, folder.path(), time * 10).unwrap());
        wait_for(|| children_of(std::process::id()), |found| found.len() == 1);
        let stopped = launchers_of(std::process::id());
        assert_eq!(stopped.len(), 1);
        signal("STOP", stopped[0]);
        let began = Instant::now();
        let call = try_run_within(&sandbox, &echo, folder.path(), time);
        let took = began.elapsed();
        assert!(
            took >= time && took < time + Duration::from_millis(500),
            "a call of 0.8 s took {took:?}: {call:?}"
        );
        assert_eq!(call.unwrap().end, End::NeverStarted);
        // It has been replaced.
        for _ in 0..3 {
            let next = try_run_within(&sandbox, &echo, folder.path(), time * 4).unwrap();
            assert_eq!(next.end, End::Answered);
        }
        // Its plugins run as before.
        assert_eq!(neighbour.join().unwrap().end, End::Answered);
        assert!(is_alive(stopped[0]));
        signal("CONT", stopped[0]);
        wait_for(super::support::children, Vec::is_empty);
        assert!(is_alive(stopped[0]));
    });
}

#[test]
fn a_launcher_that_stays_stopped_is_ended() {
    alone("launcher::a_launcher_that_stays_stopped_is_ended", || {
        let sandbox = sandbox();
        let folder = package(&[]);
        let echo = program(ECHO, Link::Static);
        assert_eq!(text(&run(&sandbox, &echo, folder.path(), "{}\n")), "{}\n");
        let stopped = launchers_of(std::process::id())[0];
        signal("STOP", stopped);
        let began = Instant::now();
        let call = try_run_within(&sandbox, &echo, folder.path(), Duration::from_secs(60));
        assert!(matches!(call, Err(Error::LauncherGone)), "{call:?}");
        assert!(began.elapsed() < Duration::from_secs(8));
        assert!(!is_alive(stopped));
        assert_eq!(text(&run(&sandbox, &echo, folder.path(), "{}\n")), "{}\n");
    });
}

fn signal(name: &str, pid: u32) {
    let words = [format!("-{name}"), pid.to_string()];
    assert!(Command::new("kill").args(words).status().unwrap().success());
}
