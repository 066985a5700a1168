//! The catalogue of attacks: what each one tries, who can do it without a sandbox, and how it must end inside.
//! It only describes and stages attacks; `jail` runs them.

pub mod descriptors;
pub mod files;
pub mod jail;
pub mod kernel;
pub mod memory;
pub mod neighbours;
pub mod network;
pub mod poison;
pub mod processes;
pub mod scene;
pub mod scripts;

use crate::program::{self, Link};

/// Who succeeds when the attack is run plainly, without the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    /// Everyone: the test fails when it does not work.
    Works,
    /// Root: an ordinary user is told why it is not shown.
    Root,
    /// Whoever the host lets, for this reason; tried, and shown where it works.
    Depends(&'static str),
}

/// How the attack must end inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inside {
    /// Refused in any way that does nothing: an error number for the plugin, or its end.
    Refused,
    /// One of these calls does nothing and is named: by answer and ledger where it ends the plugin, as it always does where refused
    /// calls are to end it; else by the ledger.
    Named(&'static [&'static str]),
}

/// One attack.
#[derive(Debug, Clone, Copy)]
pub struct Attack {
    /// The name of its function in the catalogue's C source or script.
    pub name: &'static str,
    /// Who can do it outside.
    pub outside: Outside,
    /// Whether doing it leaves something in the scene that can be seen.
    pub marks: bool,
    /// How it must end inside.
    pub inside: Inside,
}

/// An attack that must be refused in any way.
pub(crate) const fn quiet(name: &'static str, outside: Outside) -> Attack {
    Attack {
        name,
        outside,
        marks: false,
        inside: Inside::Refused,
    }
}

/// An attack that must be refused with one of `calls` named.
pub(crate) const fn named(
    name: &'static str,
    outside: Outside,
    calls: &'static [&'static str],
) -> Attack {
    Attack {
        name,
        outside,
        marks: false,
        inside: Inside::Named(calls),
    }
}

impl Attack {
    /// The same attack, which is seen in the scene when it is done.
    pub(crate) const fn marks(self) -> Self {
        Self {
            marks: true,
            ..self
        }
    }
}

/// The themes, each a table of attacks and the C source behind it.
const THEMES: [(&[&[Attack]], &str); 6] = [
    (&[files::ATTACKS], include_str!("files.c")),
    (&[network::ATTACKS], include_str!("network.c")),
    (
        &[descriptors::ATTACKS, descriptors::ANY],
        include_str!("descriptors.c"),
    ),
    (&[processes::ATTACKS], include_str!("processes.c")),
    (
        &[
            memory::ATTACKS,
            memory::KERNEL_SIDE,
            memory::MERGING,
            memory::CODE,
            memory::OVER_LIMIT,
        ],
        include_str!("memory.c"),
    ),
    (
        &[kernel::ATTACKS, kernel::IDENTITY],
        include_str!("kernel.c"),
    ),
];

/// The whole catalogue as one program (or library): the request's text names the attack.
pub fn program(link: Link) -> Vec<u8> {
    // Shows that a plugin of the catalogue runs at all, so that a refusal means something.
    let mut bodies = "ATTACK(harmless) { return 0; }\n".to_owned();
    for (_, body) in THEMES {
        bodies.push_str(body);
    }
    let attacks = THEMES.iter().flat_map(|(tables, _)| tables.concat());
    let names = attacks
        .map(|attack| attack.name)
        .chain(std::iter::once("harmless"));
    let source = assemble(&bodies, names, include_str!("stage_end.h"));
    program::c(&source, link)
}

/// C code whose functions can be called by name.
fn assemble(bodies: &str, names: impl Iterator<Item = &'static str>, end: &str) -> String {
    let rows: String = names
        .map(|name| format!("{{\"{name}\", {name}}},\n"))
        .collect();
    let stage = include_str!("stage.h");
    format!(
        "{stage}\n{bodies}\nstatic const struct {{ const char *name; int (*run)(void); }} attacks[] = {{\n{rows}}};\n{end}"
    )
}
