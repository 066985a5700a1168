//! What the jail costs, layer by layer: the same program started bare, by a launcher that puts on little, and by ones that
//! put on more and more. `scripts/bench` runs this; it judges nothing.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::super::host::{self, Host};
use super::super::launcher::{Launcher, Outfit, Start};
use super::super::layout::Layout;
use super::super::plan::{self, Plan};
use super::super::rules::Places;
use super::super::uids::Loan;
use super::super::{cgroup, runtimes::Runtimes};
use super::support::{Link, Permit, compile, limits, package, run, sandbox, seal};
use crate::sandbox::{Entry, Job, Sandbox, Settings};
use crate::sys::wait;

const ROUNDS: usize = 7;
/// Calls of one round of one way.
const CALLS: usize = 200;
const AT_ONCE: [usize; 3] = [1, 2, 8];
const LINE: &[u8] = b"{\"type\":\"invoke\",\"request\":{}}\n";
const ECHO: &str = "int main(void) { request(); answer(line); return 0; }";

/// What is put on, each including all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Layers {
    Filters,
    Limits,
    User,
    Landlock,
    PrivateRoot,
    PidNamespace,
    ControlGroup,
}

const LADDER: [(Layers, &str); 7] = [
    (
        Layers::Filters,
        "a launcher: session, death signal, no privileges, both filters, exec once",
    ),
    (Layers::Limits, "+ resource limits"),
    (Layers::User, "+ a user id of its own (as root)"),
    (Layers::Landlock, "+ a Landlock domain of its own"),
    (
        Layers::PrivateRoot,
        "+ mount, ipc, uts, cgroup and network namespaces, private root",
    ),
    (Layers::PidNamespace, "+ a pid namespace of its own"),
    (
        Layers::ControlGroup,
        "+ a control group (where there is one)",
    ),
];

type Call<'a> = Box<dyn Fn() + Sync + 'a>;

struct Bench {
    host: Host,
    plan: Plan,
    path: std::path::PathBuf,
    ways: Vec<(Layers, Launcher)>,
    sandbox: Sandbox<Permit>,
    entry: Entry,
    package: TempDir,
    _folder: TempDir,
}

#[test]
#[ignore = "measures, and judges nothing: scripts/bench runs it"]
fn layer_by_layer() {
    let bench = Bench::new();
    let mut contestants: Vec<(&str, Call<'_>)> =
        vec![("a bare posix_spawn", Box::new(|| bench.bare()))];
    for ((_, name), (layers, launcher)) in LADDER.iter().zip(&bench.ways) {
        contestants.push((name, Box::new(|| bench.through(*layers, launcher))));
    }
    contestants.push((
        "the sandbox: the same, watched and reported",
        Box::new(|| bench.whole()),
    ));
    println!("\nlayer by layer: start, one line in, one line out, reaped; no ledger");
    println!(
        "{:>9} {:>9} {:>9} {:>9}  ",
        "p50 at 1", "/s at 1", "/s at 2", "/s at 8"
    );
    let mut rounds = vec![Vec::new(); contestants.len()];
    for _ in 0..ROUNDS {
        for (results, (_, call)) in rounds.iter_mut().zip(&contestants) {
            results.push(AT_ONCE.map(|at_once| round(at_once, call)));
        }
    }
    for (results, (name, _)) in rounds.iter().zip(&contestants) {
        let rates = [0, 1, 2].map(|at| median(results.iter().map(|round| round[at].1)));
        let p50 = median(results.iter().map(|round| round[0].0));
        let [one, two, eight] = rates;
        println!(
            "{:>6.0} µs {one:>9.0} {two:>9.0} {eight:>9.0}  {name}",
            p50 * 1e6
        );
    }
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = compile(folder.path(), ECHO, Link::Static);
        let entry = seal(&path);
        let package = package(&[]);
        let job = Job {
            entry: &entry,
            package: package.path(),
            input: LINE,
            deadline: Instant::now() + Duration::from_secs(60),
            limits: limits(),
            cancel: None,
        };
        let host = Host::probe(&Settings::default()).unwrap();
        let plan = Plan::new(&job, &Runtimes::default(), true).unwrap();
        let ways = LADDER
            .map(|(layers, _)| {
                (
                    layers,
                    Launcher::start(&host, &outfit(&host, &plan, layers)).unwrap(),
                )
            })
            .into();
        let sandbox = sandbox();
        Self {
            host,
            plan,
            path,
            ways,
            sandbox,
            entry,
            package,
            _folder: folder,
        }
    }

    fn bare(&self) {
        let mut child = Command::new(&self.path)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(LINE).unwrap();
        let mut answer = Vec::new();
        child
            .stdout
            .take()
            .unwrap()
            .read_to_end(&mut answer)
            .unwrap();
        assert_eq!(answer, LINE);
        child.wait().unwrap();
    }

    fn through(&self, layers: Layers, launcher: &Launcher) {
        let (their_in, our_in) = pipe();
        let (our_out, their_out) = pipe();
        let loan = if layers >= Layers::User {
            self.host.identity().unwrap()
        } else {
            None
        };
        let group = if layers >= Layers::ControlGroup {
            self.host.group(self.plan.caps).unwrap()
        } else {
            None
        };
        let child_limits = self.plan.limits(group.is_some());
        let child = launcher
            .launch(&Start {
                user: loan.as_ref().map(Loan::id),
                cookies: host::random_halves().unwrap(),
                descriptors: self.plan.descriptors,
                limits: if layers >= Layers::Limits {
                    &child_limits
                } else {
                    &[]
                },
                arguments: &self.plan.arguments,
                stdio: [their_in.as_fd(), their_out.as_fd(), their_out.as_fd()],
                program: Some(self.plan.file()),
                birthplace: group.as_ref().and_then(cgroup::Loan::birthplace),
                doors: group.as_ref().map(cgroup::Loan::doors).unwrap_or_default(),
            })
            .unwrap();
        drop((their_in, their_out));
        File::from(our_in).write_all(LINE).unwrap();
        let mut answer = Vec::new();
        File::from(our_out).read_to_end(&mut answer).unwrap();
        assert_eq!(answer, LINE);
        wait::reap(&child.pidfd).unwrap();
    }

    fn whole(&self) {
        let line = std::str::from_utf8(LINE).unwrap();
        let report = run(&self.sandbox, &self.entry, self.package.path(), line);
        assert_eq!(report.answer, LINE, "{report:?}");
    }
}

fn outfit(host: &Host, plan: &Plan, layers: Layers) -> Outfit {
    let private = layers >= Layers::PrivateRoot && host.private_root();
    let namespaces = match layers {
        Layers::Filters | Layers::Limits | Layers::User | Layers::Landlock => 0,
        Layers::PrivateRoot => host.namespaces & !libc::CLONE_NEWPID,
        Layers::PidNamespace | Layers::ControlGroup => host.namespaces,
    };
    let ruleset = if layers >= Layers::Landlock {
        host.ruleset(&Places::default()).unwrap()
    } else {
        None
    };
    Outfit {
        namespaces,
        root: private.then(|| Layout::plan(&[], None).unwrap()),
        wanted: plan.wanted(private, host.reported),
        ruleset,
        limits: if layers >= Layers::Limits {
            plan::limits_of_all()
        } else {
            Vec::new()
        },
    }
}

fn pipe() -> (OwnedFd, OwnedFd) {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap()
}

/// The middle latency in seconds, and calls a second.
fn round(at_once: usize, call: &(dyn Fn() + Sync)) -> (f64, f64) {
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    let work = || {
        let mut mine = Vec::new();
        while next.fetch_add(1, Ordering::Relaxed) < CALLS {
            let begun = Instant::now();
            call();
            mine.push(begun.elapsed().as_secs_f64());
        }
        mine
    };
    let latencies: Vec<f64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    (
        median(latencies.into_iter()),
        CALLS as f64 / start.elapsed().as_secs_f64(),
    )
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = values.collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
