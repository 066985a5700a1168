//! What the jail costs, layer by layer: the same program started bare, by a launcher that puts on little, and by ones that
//! put on more and more. `scripts/bench` runs this; it judges nothing.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use super::alone::Alone;
use super::kit::row::QUICK;
use super::kit::{self, Bare, Call, Contest, Echo, Plan as Measure, Undisturbed};
use super::support::{limits, package, seal_bytes};
use crate::host::rehearsal;
use crate::launch::cgroup;
use crate::launch::launcher::{Launcher, Outfit, Start};
use crate::launch::means;
use crate::launch::uids::Loan;
use crate::plan::layout::Layout;
use crate::plan::limits::limits_of_all;
use crate::plan::places::Places;
use crate::plan::runtimes::Runtimes;
use crate::sys::wait;
use crate::{Job, Settings};

const AT_ONCE: [usize; 3] = [1, 2, 8];

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

struct Bench {
    host: means::Means,
    plan: crate::plan::Plan,
    line: String,
    ways: Vec<(Layers, Launcher)>,
}

#[test]
#[ignore = "measures, and judges nothing: scripts/bench runs it"]
fn layer_by_layer() {
    let _undisturbed = Undisturbed::begin();
    let echo = Echo::freestanding();
    let (bench, bare, alone) = (Bench::new(&echo), Bare::new(&echo), Alone::new(&echo));
    let mut names = vec!["a bare posix_spawn"];
    let mut contestants: Vec<Call<'_>> = vec![Box::new(|| bare.call())];
    for ((_, name), (layers, launcher)) in LADDER.iter().zip(&bench.ways) {
        names.push(name);
        contestants.push(Box::new(|| bench.through(*layers, launcher)));
    }
    names.push("the sandbox: the same, watched and reported");
    contestants.push(Box::new(|| alone.call()));
    println!("\nlayer by layer: start, one line in, one line out, reaped; no ledger");
    println!(
        "{:>9} {:>9} {:>9} {:>9}  ",
        "p50 at 1", "/s at 1", "/s at 2", "/s at 8"
    );
    let measure = Measure::new(std::env::var_os(QUICK).is_some()).with_fewer_calls(2);
    let contests = AT_ONCE.map(|at_once| Contest::run(measure, at_once, &contestants));
    for (at, name) in names.iter().enumerate() {
        let p50 = contests[0].p50(at, 0).ours;
        let [one, two, eight] = contests.each_ref().map(|contest| contest.rate(at, 0).ours);
        println!("{p50:>6.0} µs {one:>9.0} {two:>9.0} {eight:>9.0}  {name}");
    }
}

impl Bench {
    fn new(echo: &Echo) -> Self {
        let entry = seal_bytes(&echo.bytes);
        let package = package(&[]);
        let line = kit::echo::line();
        let job = Job {
            entry: &entry,
            package: package.path(),
            input: line.as_bytes(),
            deadline: Instant::now() + Duration::from_secs(60),
            limits: limits(),
            cancel: None,
        };
        let host = rehearsal::means(&Settings::default()).unwrap();
        let plan = crate::plan::Plan::new(&job, &Runtimes::default(), true).unwrap();
        let ways = LADDER
            .map(|(layers, _)| {
                (
                    layers,
                    Launcher::start(&host, &outfit(&host, &plan, layers)).unwrap(),
                )
            })
            .into();
        Self {
            host,
            plan,
            line,
            ways,
        }
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
                cookies: means::random_halves().unwrap(),
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
        File::from(our_in).write_all(self.line.as_bytes()).unwrap();
        let mut answer = Vec::new();
        File::from(our_out).read_to_end(&mut answer).unwrap();
        assert!(answer.ends_with(b"\n"));
        wait::reap(&child.pidfd).unwrap();
    }
}

fn outfit(host: &means::Means, plan: &crate::plan::Plan, layers: Layers) -> Outfit {
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
            limits_of_all()
        } else {
            Vec::new()
        },
    }
}

fn pipe() -> (OwnedFd, OwnedFd) {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap()
}
