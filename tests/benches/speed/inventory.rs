//! S11: whether a large inventory makes one plugin's part of a listing, or of a validation, dearer.

use std::path::Path;
use std::time::Instant;

use campaigns::Host;
use campaigns::package::Package;
use plugin_gateway::{Gateway, Registration};
use plugin_protocol::report::PluginStatus;
use serde_json::Value;

use crate::kit::measure::Figures;
use crate::kit::{Contest, Echo, Plan, Target, Unit, row};

/// The small inventory.
const FEW: usize = 100;

/// Plugins of one inventory whose manifests are validated in a round.
const VALIDATED: usize = 100;

/// Where nothing is synced to a disk: registering is no measure here.
const MEMORY: &str = "/dev/shm";

/// A gateway with many registered plugins.
struct Inventory {
    gateway: Gateway,
    manifests: Vec<Vec<u8>>,
    count: usize,
    _host: Host,
}

impl Inventory {
    fn new(count: usize, echo: &Echo) -> Self {
        let place = Some(Path::new(MEMORY)).filter(|place| place.is_dir());
        let host = Host::new_in(place.unwrap_or(&std::env::temp_dir()));
        let folders: Vec<_> = (0..count)
            .map(|at| host.lay_out(&Package::native(&format!("p.bench.n{at}"), &echo.bytes)))
            .collect();
        // Each is signed by the command, which is most of the work.
        let half = folders.len() / 2;
        std::thread::scope(|scope| {
            for part in [&folders[..half], &folders[half..]] {
                scope.spawn(|| part.iter().for_each(|folder| host.sign(folder)));
            }
        });
        let gateway = Gateway::open(&host.state()).expect("the state can be opened");
        for package in &folders {
            let registration = Registration {
                package,
                signature: None,
                replace: false,
            };
            let info = gateway.register_plugin(registration).unwrap();
            assert_eq!(info.status, PluginStatus::Registered, "{info:?}");
        }
        let read = |folder: &Path| std::fs::read(folder.join("plugin.json")).unwrap();
        let step = count.div_ceil(VALIDATED);
        let manifests = folders
            .iter()
            .step_by(step)
            .map(|path| read(path))
            .collect();
        Self {
            gateway,
            manifests,
            count,
            _host: host,
        }
    }

    /// Lists everything: time for one.
    fn list(&self) -> Figures {
        each(self.count, || {
            assert_eq!(self.gateway.list_plugins().len(), self.count);
        })
    }

    /// Validates manifests beside the inventory: time for one.
    fn validate(&self) -> Figures {
        each(self.manifests.len(), || {
            for manifest in &self.manifests {
                assert!(Gateway::validate_manifest(manifest).valid);
            }
        })
    }
}

/// The time of `work` for each of `count`.
fn each(count: usize, work: impl Fn()) -> Figures {
    // Often enough that a clock's grain and a lost time slice do not show.
    const ITEMS: usize = 20_000;
    let times = (ITEMS / count).max(1);
    let start = Instant::now();
    for _ in 0..times {
        work();
    }
    let seconds = start.elapsed().as_secs_f64() / (times * count) as f64;
    Figures {
        p50_us: seconds * 1e6,
        rate: 1.0 / seconds,
    }
}

pub(crate) fn rows(plan: Plan, many: usize, echo: &Echo) -> Vec<Value> {
    let (large, small) = (Inventory::new(many, echo), Inventory::new(FEW, echo));
    let line = |what: &str, look: fn(&Inventory) -> Figures| {
        let round = |_| vec![look(&large), look(&small)];
        let contest = Contest::of((0..plan.rounds()).map(round).collect());
        let what = format!("{what} with {many} registered, against {FEW}: time for one");
        row(
            "S11",
            &what,
            Unit::Micros,
            contest.p50(0, 1),
            Target::RatioTo(1.2),
        )
    };
    vec![
        line("listing", Inventory::list),
        line("validating", Inventory::validate),
    ]
}
