//! What can go wrong between gateway, launcher and plugin at an unlucky moment; each moment is brought about on purpose.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::support::{
    Link, alone, alone_under, children, children_of, compile, is_root, launchers_of, limits, made,
    package, program, run, run_within, sandbox, soon, text, wait_for,
};
use crate::denial::reports::JUDGED;
use crate::error::Error;
use crate::filter::Wanted;
use crate::host::rehearsal;
use crate::image::Class;
use crate::launch::launcher::Launcher;
use crate::launch::means::Means;
use crate::launch::order::{Outfit, Start};
use crate::launch::uids::Loan;
use crate::plan::layout::Layout;
use crate::plan::limits::limits_of_all;
use crate::plan::places::Places;
use crate::sys::spawn::Child;
use crate::sys::wait::{self, Death};
use crate::{End, Entry, Image, Limits, Settings};

/// Sixty threads that open harmless files without end; each attempt is a report to the gateway.
const FLOOD: &str = r#"
static void *ask(void *at) { for (;;) open("/proc/self/status", O_RDONLY); }
int main(void) {
    pthread_t thread;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 65536);
    for (int i = 0; i < 60; i++) pthread_create(&thread, &attr, ask, 0);
    ask(0);
}
"#;

#[test]
fn a_flood_of_reports_holds_up_nobody() {
    alone("races::a_flood_of_reports_holds_up_nobody", flood);
}

fn flood() {
    /// More of them keep the gateway busier, until the machine does nothing else.
    const FLOODS: usize = 2;
    const TIME: Duration = Duration::from_secs(2);
    /// Calls beside them.
    const NEIGHBOURS: usize = 20;
    let sandbox = sandbox();
    let folder = package(&[]);
    let echo = program("int main(void) { request(); answer(line); }", Link::Static);
    let floods = program(FLOOD, Link::Static);
    let released = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // One after the other, as each is ended after so many reports.
        let without_end = || {
            while !released.load(Ordering::SeqCst) {
                let limits = Limits {
                    cpu: Duration::from_secs(20),
                    ..limits()
                };
                let report = run_within(&sandbox, &floods, folder.path(), "{}\n", TIME, limits);
                let ended = matches!(report.end, End::Flood(_) | End::TimedOut);
                assert!(ended, "{report:?}");
                assert!(report.probes > 0);
            }
        };
        let _release = Release(&released);
        for _ in 0..FLOODS {
            scope.spawn(without_end);
        }
        wait_for(
            || children_of(std::process::id()),
            |found| found.len() == FLOODS,
        );
        // Runs of one package have the same launcher, and so the same listener. The floods go on until these calls have ended, so that
        // whoever waited for them would wait for ever; and the thread of a call that reports nothing does nothing for those that do.
        for _ in 0..NEIGHBOURS {
            let answered = run(&sandbox, &echo, folder.path(), "{}\n");
            assert_eq!(text(&answered), "{}\n");
        }
        let judged = JUDGED.with_borrow(Clone::clone);
        assert!(judged.is_empty(), "reports of {judged:?} were judged");
    });
}

/// Lets the floods end, also where the test fails.
struct Release<'a>(&'a AtomicBool);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A launcher of static programs, and what it needs.
pub(super) fn launcher() -> (Means, Launcher) {
    let host = rehearsal::means(&Settings::default()).unwrap();
    let private_root = host.private_root();
    let outfit = Outfit {
        namespaces: host.namespaces,
        root: private_root.then(|| Layout::plan(&[], None, None).unwrap()),
        wanted: Wanted {
            class: Class::Static,
            makes_code: false,
            wakes_shared: true,
            private_root,
            reported: host.reported,
            kills_refused: false,
            names_reads: false,
            extra_calls: Vec::new(),
        },
        ruleset: host.ruleset(&Places::default()).unwrap(),
        limits: limits_of_all(),
    };
    let launcher = Launcher::start(&host, &outfit, soon()).unwrap();
    (host, launcher)
}

/// A program that never ends.
pub(super) fn endless() -> std::sync::Arc<Image> {
    let entry = program("int main(void) { for (;;) pause(); }", Link::Static);
    let Entry::Program { image, .. } = entry else {
        unreachable!("a program is sealed as one");
    };
    image
}

/// Starts the program, as a run without a control group would.
fn start(launcher: &Launcher, host: &Means, image: &Image) -> Result<Child, Error> {
    start_in(launcher, host, image, None, Vec::new())
}

/// Starts it in a group of version 2, or behind doors of version 1.
fn start_in<'a>(
    launcher: &Launcher,
    host: &Means,
    image: &'a Image,
    birthplace: Option<BorrowedFd<'a>>,
    doors: Vec<BorrowedFd<'a>>,
) -> Result<Child, Error> {
    let null = std::fs::File::open("/dev/null").unwrap();
    let loan = host.identity().unwrap();
    let order = Start {
        user: loan.as_ref().map(Loan::id),
        cookies: [1, 2],
        descriptors: 16,
        limits: &[],
        arguments: &[CString::new("plugin").unwrap()],
        environment: &crate::plan::runtimes::environment::Environment::EMPTY,
        stdio: [null.as_fd(); 3],
        program: Some(image.file()),
        birthplace,
        doors,
    };
    made(launcher.launch(&order, soon()))
}

#[test]
fn no_plugin_is_lost_where_descriptors_run_out() {
    let name = "races::no_plugin_is_lost_where_descriptors_run_out";
    alone(name, out_of_descriptors);
}

/// The process has descriptor numbers left for everything except the new plugin's own.
fn out_of_descriptors() {
    let (host, launcher) = launcher();
    let image = endless();
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    // So that the socket for replies exists already.
    let first = start(&launcher, &host, &image).unwrap();
    end(&launcher, &first);
    let mut failed = 0;
    // One number is for the plugin's standard input.
    for more in 1..32 {
        let free = std::fs::File::open("/dev/null").unwrap().as_raw_fd();
        let most = u64::try_from(free).unwrap() + more;
        setrlimit(Resource::RLIMIT_NOFILE, most, hard).unwrap();
        let started = start(&launcher, &host, &image);
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
        match started {
            Ok(child) => end(&launcher, &child),
            Err(_) => failed += 1,
        }
        assert!(children().is_empty(), "{more}: {:?}", children());
    }
    assert!((1..31).contains(&failed), "{failed}");
    assert!(!launcher.is_gone(), "it does what it can for the others");
}

pub(super) fn end(launcher: &Launcher, child: &Child) {
    wait::kill(&child.pidfd).unwrap();
    let reaped = launcher.reap(child).unwrap();
    assert_eq!(reaped.end, Death::Signalled(libc::SIGKILL));
}

#[test]
fn no_plugin_is_lost_with_its_launcher() {
    let name = "races::no_plugin_is_lost_with_its_launcher";
    alone(name, lost_with_its_launcher);
}

/// The launcher ends before its child has set its death signal.
fn lost_with_its_launcher() {
    let (host, launcher) = launcher();
    let image = endless();
    let known = start(&launcher, &host, &image).unwrap();
    let (drain, door) = full_pipe();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| start_in(&launcher, &host, &image, None, vec![door.as_fd()]));
        // The launcher itself, and the child that waits at the door.
        let found = wait_for(
            || launchers_of(std::process::id()),
            |found| found.len() == 2,
        );
        let pid = nix::unistd::Pid::from_raw(found[0].min(found[1]).try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        wait_for(|| launcher.is_gone(), |gone| *gone);
        let mut room = [0; 65_536];
        rustix::io::read(&drain, &mut room).unwrap();
        let ended = call.join().unwrap();
        assert!(matches!(ended, Err(Error::LauncherGone)), "{ended:?}");
    });
    assert!(launchers_of(std::process::id()).is_empty());
    // This plugin was handed over, so its run must reap it.
    let reaped = launcher.reap(&known).unwrap();
    assert_eq!(reaped.end, Death::Signalled(libc::SIGKILL));
    assert!(children().is_empty(), "{:?}", children());
}

/// A full pipe: a writer waits until something is read.
fn full_pipe() -> (OwnedFd, OwnedFd) {
    let (read, write) = rustix::pipe::pipe().unwrap();
    let nonblocking = |on| {
        let flags = if on {
            rustix::fs::OFlags::NONBLOCK
        } else {
            rustix::fs::OFlags::empty()
        };
        rustix::fs::fcntl_setfl(&write, flags).unwrap();
    };
    nonblocking(true);
    while rustix::io::write(&write, &[0; 4096]).is_ok() {}
    nonblocking(false);
    (read, write)
}

#[test]
fn a_plugin_is_born_in_a_group_that_is_not_its_launchers() {
    let name = "races::a_plugin_is_born_in_a_group_that_is_not_its_launchers";
    alone(name, born_elsewhere);
}

/// As in a delegated group of version 2: the gateway in one leaf, its plugins in others.
fn born_elsewhere() {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let mut mounts = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    let Some(mount) = mounts.find(|fields| fields[2] == "cgroup2") else {
        return skip::skip("no cgroup2 is mounted");
    };
    if !mount[3].contains("nsdelegate") {
        println!("less is tested where namespaces are no borders of delegation");
    }
    let root = Path::new(mount[1]);
    let base = root.join(format!("launcher-test-{}", std::process::id()));
    let (own, other) = (base.join("own"), base.join("other"));
    if std::fs::create_dir(&base).is_err() {
        return skip::skip("no group can be made");
    }
    std::fs::create_dir(&own).unwrap();
    std::fs::create_dir(&other).unwrap();
    std::fs::write(own.join("cgroup.procs"), "0").unwrap();
    let (host, launcher) = launcher();
    let place = std::fs::File::open(&other).unwrap();
    let image = endless();
    let started = start_in(&launcher, &host, &image, Some(place.as_fd()), Vec::new());
    let born = std::fs::read_to_string(other.join("cgroup.procs")).unwrap();
    if let Ok(child) = &started {
        end(&launcher, child);
    }
    drop((launcher, host));
    std::fs::write(root.join("cgroup.procs"), "0").unwrap();
    for folder in [&own, &other, &base] {
        wait_for(|| std::fs::remove_dir(folder).is_ok(), |gone| *gone);
    }
    assert_eq!(born.trim(), started.unwrap().pid.to_string());
}

/// Prints a plugin's scheduling policy, its nice value, and how its memory is laid out.
const STANDING: &str = r#"int main(void) {
    request();
    int policy = syscall(SYS_sched_getscheduler, 0);
    printf("%d %d %d\n", policy, getpriority(PRIO_PROCESS, 0), (int)syscall(SYS_personality, 0xffffffff));
}"#;

#[test]
fn a_privileged_gateway_has_ordinary_plugins() {
    let name = "races::a_privileged_gateway_has_ordinary_plugins";
    let words = [
        "setarch", "-R", "nice", "-n", "-5", "chrt", "-r", "1", "ionice", "-c", "1", "-n", "0",
    ];
    let can = Command::new(words[0])
        .args(&words[1..])
        .arg("true")
        .status();
    if is_root() && can.is_ok_and(|status| status.success()) {
        alone_under(&words, name, privileged);
    } else {
        skip::skip("a gateway cannot be given such privileges here");
    }
}

fn privileged() {
    // Not every container lets root do that.
    let spared = std::fs::write("/proc/self/oom_score_adj", "-1000");
    println!("spared when memory is short: {spared:?}");
    let folder = package(&[]);
    let outside = Command::new(compile(folder.path(), STANDING, Link::Static))
        .stdin(std::fs::File::open("/proc/self/status").unwrap())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&outside.stdout), "2 -5 262144\n");
    let sandbox = sandbox();
    let standing = program(STANDING, Link::Static);
    assert_eq!(
        text(&run(&sandbox, &standing, folder.path(), "{}\n")),
        "0 0 0\n"
    );
    let endless = program("int main(void) { for (;;) pause(); }", Link::Static);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            run_within(
                &sandbox,
                &endless,
                folder.path(),
                "{}\n",
                Duration::from_secs(2),
                limits(),
            )
        });
        let plugins = wait_for(|| children_of(std::process::id()), |found| found.len() == 1);
        let asked = Command::new("ionice")
            .args(["-p", &plugins[0].to_string()])
            .output();
        let disk = String::from_utf8_lossy(&asked.unwrap().stdout).into_owned();
        assert_eq!(disk, "best-effort: prio 7\n");
        let score = std::fs::read_to_string(format!("/proc/{}/oom_score_adj", plugins[0]));
        assert_eq!(score.unwrap(), "0\n");
    });
}
