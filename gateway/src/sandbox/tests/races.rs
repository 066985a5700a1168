//! What could go wrong between gateway, launcher and plugin at an unlucky moment, each brought about on purpose.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::support::{
    Link, alone, children, children_of, launchers_of, limits, package, program, run, run_within,
    sandbox, text, wait_for,
};
use crate::sandbox::error::Error;
use crate::sandbox::filter::Wanted;
use crate::sandbox::host::Host;
use crate::sandbox::image::Class;
use crate::sandbox::launcher::{Launcher, Outfit, Start};
use crate::sandbox::layout::Layout;
use crate::sandbox::rules::Places;
use crate::sandbox::{End, Entry, Image, Limits, Settings, plan};
use crate::sys::spawn::Child;
use crate::sys::wait::{self, Death};

/// Sixty threads that ask for harmless files without end, each question of which is a report to the gateway.
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
    const FLOODS: usize = 3;
    const TIME: Duration = Duration::from_secs(3);
    let sandbox = sandbox();
    let folder = package(&[]);
    let echo = program("int main(void) { request(); answer(line); }", Link::Static);
    let floods = program(FLOOD, Link::Static);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let one = || {
            let limits = Limits {
                cpu: Duration::from_secs(20),
                ..limits()
            };
            let report = run_within(&sandbox, &floods, folder.path(), "{}\n", TIME, limits);
            over.store(true, Ordering::SeqCst);
            report
        };
        let all: Vec<_> = (0..FLOODS).map(|_| scope.spawn(one)).collect();
        wait_for(
            || children_of(std::process::id()),
            |found| found.len() == FLOODS,
        );
        // All static programs have the same launcher, and so the same listener.
        for _ in 0..3 {
            let answered = run(&sandbox, &echo, folder.path(), "{}\n");
            assert_eq!(text(&answered), "{}\n");
        }
        assert!(!over.load(Ordering::SeqCst), "it waited for the floods");
        for flood in all {
            let report = flood.join().unwrap();
            assert_eq!(report.end, End::TimedOut, "{report:?}");
            assert!(report.probes > 0);
        }
    });
}

/// A launcher of static programs, and what it needs.
fn launcher() -> (Host, Launcher) {
    let host = Host::probe(&Settings::default()).unwrap();
    let private_root = host.private_root();
    let outfit = Outfit {
        namespaces: host.namespaces,
        root: private_root.then(|| Layout::plan(&[], None).unwrap()),
        wanted: Wanted {
            class: Class::Static,
            makes_code: false,
            private_root,
            reported: host.reported,
            extra_calls: Vec::new(),
        },
        ruleset: host.ruleset(&Places::default()).unwrap(),
        limits: plan::limits_of_all(),
    };
    let launcher = Launcher::start(&host, &outfit).unwrap();
    (host, launcher)
}

/// A program that never ends.
fn endless() -> std::sync::Arc<Image> {
    let entry = program("int main(void) { for (;;) pause(); }", Link::Static);
    let Entry::Program { image, .. } = entry else {
        unreachable!("a program is sealed as one");
    };
    image
}

/// Starts the program, as a run without a control group would, after the doors that are given.
fn start(
    launcher: &Launcher,
    host: &Host,
    image: &Image,
    doors: &[OwnedFd],
) -> Result<Child, Error> {
    let null = std::fs::File::open("/dev/null").unwrap();
    let loan = host.identity().unwrap();
    launcher.launch(&Start {
        user: loan.as_ref().map(crate::sandbox::uids::Loan::id),
        cookies: [1, 2],
        descriptors: 16,
        limits: &[],
        arguments: &[CString::new("plugin").unwrap()],
        stdio: [null.as_fd(); 3],
        program: Some(image.file()),
        birthplace: None,
        doors: doors.iter().map(AsFd::as_fd).collect(),
    })
}

#[test]
fn no_plugin_is_lost_where_descriptors_run_out() {
    let name = "races::no_plugin_is_lost_where_descriptors_run_out";
    alone(name, out_of_descriptors);
}

/// There is a descriptor for everything but the new plugin's own.
fn out_of_descriptors() {
    let (host, launcher) = launcher();
    let image = endless();
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    // So that the socket for replies is there.
    let first = start(&launcher, &host, &image, &[]).unwrap();
    end(&launcher, &first);
    let mut failed = 0;
    // One is for what the plugin reads from.
    for more in 1..4 {
        let free = std::fs::File::open("/dev/null").unwrap().as_raw_fd();
        let most = u64::try_from(free).unwrap() + more;
        setrlimit(Resource::RLIMIT_NOFILE, most, hard).unwrap();
        let started = start(&launcher, &host, &image, &[]);
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
        match started {
            Ok(child) => end(&launcher, &child),
            Err(_) => failed += 1,
        }
        assert!(children().is_empty(), "{more}: {:?}", children());
    }
    assert!((1..3).contains(&failed), "{failed}");
    assert!(!launcher.is_gone(), "it does what it can for the others");
}

fn end(launcher: &Launcher, child: &Child) {
    wait::kill(&child.pidfd).unwrap();
    let reaped = launcher.reap(child).unwrap();
    assert_eq!(reaped.end, Death::Signalled(libc::SIGKILL));
}

#[test]
fn no_plugin_is_lost_with_its_launcher() {
    let name = "races::no_plugin_is_lost_with_its_launcher";
    alone(name, lost_with_its_launcher);
}

/// The launcher ends while its child has not yet asked to die with anybody.
fn lost_with_its_launcher() {
    let (host, launcher) = launcher();
    let image = endless();
    let known = start(&launcher, &host, &image, &[]).unwrap();
    let (drain, door) = full_pipe();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| start(&launcher, &host, &image, &[door]));
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
    // That one is its run's to reap, as ever.
    let reaped = launcher.reap(&known).unwrap();
    assert_eq!(reaped.end, Death::Signalled(libc::SIGKILL));
    assert!(children().is_empty(), "{:?}", children());
}

/// A pipe that takes nothing more: whoever writes to it waits until something is read.
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
