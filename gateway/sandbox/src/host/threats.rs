//! The threats to the host and the layers that answer each, by class of plugin; and whether this host has two for each.
//! It tries nothing: which layers are in force was found out by rehearsing.

use crate::error::Error;
use crate::host::advice;
use crate::image::Class;
use crate::launch::means::Means;
use crate::layer::{Layer, Protection};
use crate::threat::Threat;

/// How many layers must answer each threat: one of them may have a fault.
pub(crate) const LAYERS_MIN: usize = 2;

/// How much of a threat a layer answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strength {
    /// All of it, should every other layer fail.
    Whole,
    /// A part of it. Parts alone are no answer, however many there are: neither a user id of its own nor a file size of 0
    /// keeps a plugin from reading what everybody may read.
    Part,
}

/// Where an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    /// Whenever its layer is in force.
    Always,
    /// For static programs alone, whose filter opens no file.
    Static,
    /// For programs, which are run from a sealed copy; interpreters are the operator's. A program that its loader starts from its package has the
    /// other answers, which every host has.
    Programs,
    /// Where the gateway is root, so that a plugin has a user id that nothing else has.
    AsRoot,
}

/// One answer to a threat.
#[derive(Debug, Clone, Copy)]
struct Answer {
    layer: Layer,
    strength: Strength,
    holds: Where,
    /// The lowest Landlock version that answers this threat; 0 for other layers.
    version_min: u32,
}

const fn whole(layer: Layer) -> Answer {
    Answer {
        layer,
        strength: Strength::Whole,
        holds: Where::Always,
        version_min: 0,
    }
}

const fn part(layer: Layer) -> Answer {
    Answer {
        strength: Strength::Part,
        ..whole(layer)
    }
}

impl Answer {
    const fn only(self, holds: Where) -> Self {
        Self { holds, ..self }
    }

    const fn since_version(self, version_min: u32) -> Self {
        Self {
            version_min,
            ..self
        }
    }

    fn applies(&self, class: Class, root: bool) -> bool {
        match self.holds {
            Where::Always => true,
            Where::Static => class == Class::Static,
            Where::Programs => class != Class::Runtime,
            Where::AsRoot => root,
        }
    }

    fn words(&self) -> String {
        let condition = match self.holds {
            Where::Always => "",
            Where::Static => " (static programs)",
            Where::Programs => " (programs)",
            Where::AsRoot => " (gateway as root)",
        };
        let version = match self.version_min {
            0 => String::new(),
            least => format!(" {least}"),
        };
        let strength = match self.strength {
            Strength::Whole => "**",
            Strength::Part => "",
        };
        format!("{strength}{}{version}{strength}{condition}", self.layer)
    }
}

/// One row of the table.
struct Row {
    threat: Threat,
    answers: &'static [Answer],
    /// What the gateway itself does about it on every host.
    also: &'static str,
}

/// The table. Each answer's reason is in SECURITY.md under the layer's name.
const TABLE: [Row; 8] = [
    Row {
        threat: Threat::Files,
        answers: &[
            whole(Layer::MountNs),
            whole(Layer::Landlock).since_version(1),
            whole(Layer::Seccomp).only(Where::Static),
            part(Layer::Seccomp),
            part(Layer::Uid).only(Where::AsRoot),
            part(Layer::Rlimits),
        ],
        also: "",
    },
    Row {
        threat: Threat::Network,
        answers: &[
            whole(Layer::Seccomp),
            whole(Layer::NetNs),
            part(Layer::Landlock).since_version(4),
        ],
        also: "",
    },
    Row {
        threat: Threat::Processes,
        answers: &[
            whole(Layer::PidNs),
            whole(Layer::Landlock).since_version(6),
            whole(Layer::Uid).only(Where::AsRoot),
            part(Layer::Seccomp),
        ],
        also: "",
    },
    Row {
        threat: Threat::Starts,
        answers: &[
            whole(Layer::Seccomp),
            part(Layer::ExecOnce),
            part(Layer::Rlimits),
            part(Layer::Cgroup),
        ],
        also: "",
    },
    Row {
        threat: Threat::Privilege,
        answers: &[
            whole(Layer::NoNewPrivs),
            part(Layer::Uid),
            part(Layer::UserNs),
            part(Layer::Seccomp),
        ],
        also: "",
    },
    Row {
        threat: Threat::Starves,
        answers: &[
            whole(Layer::Cgroup),
            whole(Layer::Rlimits),
            part(Layer::Seccomp),
        ],
        also: "the deadline of each call",
    },
    Row {
        threat: Threat::Outlives,
        answers: &[
            whole(Layer::DeathSignal),
            whole(Layer::PidNs),
            part(Layer::Session),
        ],
        also: "the kill by pidfd",
    },
    Row {
        threat: Threat::ChangedCode,
        answers: &[
            whole(Layer::SealedImage).only(Where::Programs),
            whole(Layer::ExecOnce),
            part(Layer::Seccomp),
        ],
        also: "the signature, verified at each call",
    },
];

/// The classes, with what they are called.
const CLASSES: [(Class, &str); 3] = [
    (Class::Static, "static programs"),
    (Class::Dynamic, "dynamic programs"),
    (Class::Runtime, "scripts"),
];

/// The layers that are in force on a host, and what else the table asks.
#[derive(Debug, Clone)]
pub(crate) struct HostLayers {
    in_force: Vec<Layer>,
    waived: Vec<Layer>,
    landlock: u32,
    root: bool,
}

/// A threat that has too few answers for a class.
#[derive(Debug)]
struct Gap {
    held: Vec<Layer>,
    missing: Vec<Layer>,
}

impl HostLayers {
    /// Takes them from the layers' rows.
    pub(crate) fn of(means: &Means, rows: &[Protection], waived: &[Layer]) -> Self {
        let held = rows.iter().filter(|row| row.enforced);
        Self {
            in_force: held.map(|row| row.layer).collect(),
            waived: waived.to_vec(),
            landlock: means.landlock,
            root: means.uids.is_some(),
        }
    }

    /// Refuses a class for which some threat has too few answers here.
    ///
    /// # Errors
    /// [`Error::Unanswered`] with the first such threat.
    pub(crate) fn admit(&self, class: Class) -> Result<(), Error> {
        for row in &TABLE {
            if let Some(gap) = self.gap(row, class) {
                return Err(Error::Unanswered {
                    class: class_name(class),
                    threat: row.threat,
                    held: names(&gap.held),
                    missing: names(&gap.missing),
                    remedy: remedy(&gap.missing),
                });
            }
        }
        Ok(())
    }

    /// Refuses a host on which no class may run.
    ///
    /// # Errors
    /// As [`Self::admit`].
    pub(crate) fn admit_any(&self) -> Result<(), Error> {
        self.admit(Class::Static)
            .or_else(|first| self.admit(Class::Dynamic).map_err(|_| first))
            .or_else(|first| self.admit(Class::Runtime).map_err(|_| first))
    }

    /// One row for each threat, as `doctor` shows it.
    pub(crate) fn rows(&self) -> Vec<Protection> {
        TABLE.iter().map(|row| self.row(row)).collect()
    }

    fn row(&self, row: &Row) -> Protection {
        let gaps: Vec<(&str, Gap)> = CLASSES
            .iter()
            .filter_map(|(class, name)| Some((*name, self.gap(row, *class)?)))
            .collect();
        let detail = match gaps.first() {
            None => self.held_in_every_class(row),
            Some((_, gap)) => {
                let refused: Vec<&str> = gaps.iter().map(|(name, _)| *name).collect();
                format!(
                    "{} are refused: only {} in force",
                    refused.join(", "),
                    names(&gap.held)
                )
            }
        };
        let missing = gaps.first().map(|(_, gap)| gap.missing.as_slice());
        let layer = missing.and_then(|missing| missing.first().copied());
        let first = row.answers.iter().find(|answer| self.counts(answer));
        Protection {
            name: row.threat.as_str().into(),
            layer: layer
                .or(first.map(|answer| answer.layer))
                .unwrap_or(Layer::Seccomp),
            about_threat: true,
            required: true,
            enforced: gaps.is_empty(),
            detail,
            remedy: missing.map(remedy).unwrap_or_default(),
        }
    }

    fn held_in_every_class(&self, row: &Row) -> String {
        let mut said: Vec<(String, Vec<&str>)> = Vec::new();
        for (class, name) in CLASSES {
            let held = names(&self.held(row, class));
            match said.iter_mut().find(|(known, _)| *known == held) {
                Some((_, classes)) => classes.push(name),
                None => said.push((held, vec![name])),
            }
        }
        let each = said.iter().map(|(held, classes)| {
            if classes.len() == CLASSES.len() {
                held.clone()
            } else {
                format!("{}: {held}", classes.join(", "))
            }
        });
        let words = each.collect::<Vec<_>>().join("; ");
        if row.also.is_empty() {
            words
        } else {
            format!("{words}; and {}", row.also)
        }
    }

    /// Whether an answer counts here. A waived layer counts as if it were there; that is what waiving means.
    fn counts(&self, answer: &Answer) -> bool {
        let there = self.in_force.contains(&answer.layer)
            && (answer.layer != Layer::Landlock || self.landlock >= answer.version_min);
        there || self.waived.contains(&answer.layer)
    }

    /// The layers that answer a threat, each once.
    fn held(&self, row: &Row, class: Class) -> Vec<Layer> {
        let mut held = Vec::new();
        for answer in self.answers(row, class) {
            if self.counts(answer) && !held.contains(&answer.layer) {
                held.push(answer.layer);
            }
        }
        held
    }

    fn answers(&self, row: &Row, class: Class) -> impl Iterator<Item = &'static Answer> {
        let root = self.root;
        let applies = move |answer: &&Answer| answer.applies(class, root);
        row.answers.iter().filter(applies)
    }

    fn gap(&self, row: &Row, class: Class) -> Option<Gap> {
        let held = self.held(row, class);
        let has_whole = self
            .answers(row, class)
            .any(|answer| answer.strength == Strength::Whole && self.counts(answer));
        if held.len() >= LAYERS_MIN && has_whole {
            return None;
        }
        let absent = self
            .answers(row, class)
            .filter(|answer| !self.counts(answer));
        let absent = absent.filter(|answer| has_whole || answer.strength == Strength::Whole);
        let mut missing = Vec::new();
        for answer in absent {
            if !missing.contains(&answer.layer) {
                missing.push(answer.layer);
            }
        }
        Some(Gap { held, missing })
    }
}

/// The table as SECURITY.md prints it. A layer that answers all of a threat is in bold.
#[must_use]
pub fn threat_table() -> String {
    let mut text = "| a plugin that | is answered by |\n|---|---|\n".to_owned();
    for row in &TABLE {
        let mut answers: Vec<String> = row.answers.iter().map(Answer::words).collect();
        if !row.also.is_empty() {
            answers.push(row.also.to_owned());
        }
        text.push_str(&format!("| {} | {} |\n", row.threat, answers.join(" · ")));
    }
    text
}

fn class_name(class: Class) -> &'static str {
    CLASSES
        .iter()
        .find(|(known, _)| *known == class)
        .map_or("plugins", |(_, name)| name)
}

fn names(layers: &[Layer]) -> String {
    let names: Vec<&str> = layers.iter().map(|layer| layer.as_str()).collect();
    names.join(", ")
}

/// How to get one of the missing layers, each way once.
fn remedy(missing: &[Layer]) -> String {
    let mut ways: Vec<String> = Vec::new();
    for layer in missing {
        let way = advice::remedy_where_needed(*layer);
        if !way.is_empty() && !ways.contains(&way) {
            ways.push(way);
        }
    }
    ways.join("; or ")
}

#[cfg(test)]
mod tests;
