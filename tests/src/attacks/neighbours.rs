//! Plugins that want others to fare badly, each with how its calls must end; the code is in `neighbours.c` and `poison.c`.
//!
//! They are called at full speed beside a neighbour: by the campaign `neighbours`, which asks whether its calls fail, and by the
//! bench, which asks how long they take.

use serde_json::json;

use super::poison;
use crate::package::Package;
use crate::program::{self, Link};

/// One kind of hostile plugin.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// What it does, in a few words.
    pub what: &'static str,
    /// What it runs.
    pub plugin: Plugin,
    /// The name of its function, where its program has several.
    pub attack: &'static str,
    /// How long one of its calls may take.
    pub timeout_ms: u64,
    /// How its calls may end.
    pub ends: &'static [&'static str],
}

/// A hostile plugin's package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plugin {
    /// The programs of T10.
    Poison,
    /// Those of this room.
    Neighbours,
    /// As many arguments as may be, each as long as may be.
    Arguments,
    /// Little memory beside a large file.
    Reader,
}

impl Kind {
    /// Whether it only takes its fair share of the processors, so that the others can be compared with it.
    #[must_use]
    pub fn is_fair_share(&self) -> bool {
        self.attack == "processor_spin"
    }
}

const fn kind(
    what: &'static str,
    plugin: Plugin,
    attack: &'static str,
    timeout_ms: u64,
    ends: &'static [&'static str],
) -> Kind {
    Kind {
        what,
        plugin,
        attack,
        timeout_ms,
        ends,
    }
}

/// Long enough for whoever ends by itself, however busy the machine is.
const BY_ITSELF: u64 = 60_000;
/// Ended by their deadline: soon, so that there are many ends as well.
const SHORT: u64 = 250;

/// What it may cost, where a wall can be met before or after the deadline.
const WALL_OR_TIME: &[&str] = &["error", "rejected", "timeout"];

/// Every kind. Whoever is busy on all processors stands last.
pub const KINDS: [Kind; 19] = {
    use Plugin::{Arguments, Neighbours, Poison, Reader};
    [
        kind(
            "256 arguments of 4,096 bytes",
            Arguments,
            "",
            BY_ITSELF,
            &["ok"],
        ),
        kind(
            "ends at once by SIGSEGV",
            Poison,
            "segfault",
            BY_ITSELF,
            &["error"],
        ),
        kind("aborts at once", Poison, "aborted", BY_ITSELF, &["error"]),
        kind(
            "ends at a hostile call",
            Neighbours,
            "hostile_call",
            BY_ITSELF,
            &["rejected"],
        ),
        kind(
            "128 refused calls, then ends",
            Neighbours,
            "refused_few",
            BY_ITSELF,
            &["error"],
        ),
        kind(
            "refused calls, one after the other",
            Neighbours,
            "refused_flood",
            BY_ITSELF,
            &["rejected"],
        ),
        kind(
            "refused calls from 48 threads",
            Neighbours,
            "refused_flood_of_threads",
            BY_ITSELF,
            &["rejected"],
        ),
        kind(
            "answered probes from 48 threads",
            Neighbours,
            "answered_flood_of_threads",
            BY_ITSELF,
            &["rejected"],
        ),
        kind("fork bomb", Poison, "fork_bomb", BY_ITSELF, &["rejected"]),
        kind(
            "thread bomb",
            Poison,
            "thread_bomb",
            BY_ITSELF,
            &["ok", "error"],
        ),
        kind(
            "kills and stops all it can name",
            Neighbours,
            "kill_everybody",
            BY_ITSELF,
            &["error", "rejected"],
        ),
        kind(
            "stops itself",
            Neighbours,
            "stop_everybody_and_itself",
            SHORT,
            &["timeout"],
        ),
        kind(
            "endless line on stdout",
            Neighbours,
            "huge_answer",
            BY_ITSELF,
            &["rejected"],
        ),
        kind(
            "endless stderr",
            Poison,
            "endless_stderr",
            SHORT,
            &["timeout", "error"],
        ),
        kind(
            "takes memory until it is ended",
            Poison,
            "private_memory",
            BY_ITSELF,
            &["error"],
        ),
        kind(
            "reads a large file again and again",
            Reader,
            "read_again",
            SHORT,
            &["timeout", "error"],
        ),
        kind("never answers", Poison, "sleep_long", SHORT, &["timeout"]),
        kind("spins", Poison, "processor_spin", SHORT, WALL_OR_TIME),
        kind(
            "spins with 4 threads",
            Poison,
            "busy_threads",
            SHORT,
            WALL_OR_TIME,
        ),
    ]
};

/// Bytes of the file that a reader reads: more than the memory it has.
const READ_BYTES: usize = 64 << 20;

impl Plugin {
    /// Every plugin.
    pub const ALL: [Self; 4] = [
        Self::Poison,
        Self::Neighbours,
        Self::Arguments,
        Self::Reader,
    ];

    /// Its id.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Poison => "p.hostile.poison",
            Self::Neighbours => "p.hostile.neighbours",
            Self::Arguments => "p.hostile.arguments",
            Self::Reader => "p.hostile.reader",
        }
    }

    /// Its package, to be installed.
    #[must_use]
    pub fn package(self) -> Package {
        let long = |manifest: &mut serde_json::Value| manifest["limits"]["max_ms"] = json!(60_000);
        match self {
            Self::Poison => Package::native(self.id(), &poison::program(Link::Static)).with(long),
            Self::Neighbours => Package::native(self.id(), &program(Link::Static)).with(long),
            Self::Arguments => {
                let answers =
                    "int main(int count, char **words) { read_line(); answer(\"{}\"); return 0; }";
                let answers = program::c(answers, Link::Static);
                Package::native(self.id(), &answers).with(|manifest| {
                    let mut command = vec!["./program".to_owned()];
                    command.resize(256, "x".repeat(4096));
                    manifest["entrypoint"]["command"] = json!(command);
                })
            }
            Self::Reader => Package::native(self.id(), &program(Link::Dynamic))
                .file("data", &vec![b'x'; READ_BYTES], 0o644)
                .with(|manifest| manifest["limits"]["max_memory_bytes"] = json!(16 << 20)),
        }
    }
}

fn program(link: Link) -> Vec<u8> {
    let own = KINDS
        .iter()
        .filter(|kind| !matches!(kind.plugin, Plugin::Poison | Plugin::Arguments));
    let source = super::assemble(
        include_str!("neighbours.c"),
        own.map(|kind| kind.attack),
        include_str!("poison_end.h"),
    );
    program::c(&source, link)
}
