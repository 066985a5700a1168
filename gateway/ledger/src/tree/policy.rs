//! Policies about which logs and how many witnesses are enough (C2SP `tlog-policy`): reading one, and judging a checkpoint by it.
//! It says nothing about what the log holds.

use std::collections::{BTreeMap, BTreeSet};

use super::checkpoint::LogKey;
use super::cosign::WitnessKey;
use super::note::Note;
use crate::disk::MAX_NOTE_BYTES;
use crate::error::InvalidNote;

/// The name that stands for no witness at all.
const NONE: &str = "none";

/// A policy: whose logs, whose witnesses, and which of them are enough.
#[derive(Debug, Clone)]
pub struct Policy {
    logs: Vec<LogKey>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<Group>,
    /// What has to be reached; none for `quorum none`.
    quorum: Option<Member>,
}

/// A witness of a policy.
#[derive(Debug, Clone)]
pub(crate) struct PolicyWitness {
    pub(crate) name: String,
    pub(crate) key: WitnessKey,
    pub(crate) url: Option<String>,
}

/// So many of these.
#[derive(Debug, Clone)]
struct Group {
    least: usize,
    members: Vec<Member>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Witness(usize),
    Group(usize),
}

/// Who of a policy's witnesses cosigned a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    /// The names that the policy gives them, in its order.
    pub names: Vec<String>,
    /// How many witnesses the policy knows.
    pub of: usize,
    /// Whether they are enough.
    pub reached: bool,
}

impl Cosigned {
    /// For people.
    #[must_use]
    pub fn words(&self) -> String {
        match self.names.as_slice() {
            [] => format!("none of {} witnesses cosigned", self.of),
            names => format!(
                "{} of {} witnesses cosigned: {}",
                names.len(),
                self.of,
                names.join(", ")
            ),
        }
    }
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// When a line is none of a policy, a name or a key stands twice, or there is not exactly one quorum.
    pub fn parse(text: &str) -> Result<Self, InvalidNote> {
        if text.len() > MAX_NOTE_BYTES {
            return Err(InvalidNote::Policy("it is too long".to_owned()));
        }
        let mut reader = Reader::default();
        for (number, line) in text.split('\n').enumerate() {
            reader.take(line).map_err(|why| {
                InvalidNote::Policy(format!("line {}: {why}", number.saturating_add(1)))
            })?;
        }
        let Some(quorum) = reader.quorum else {
            return Err(InvalidNote::Policy("it has no line 'quorum'".to_owned()));
        };
        Ok(Self {
            logs: reader.logs,
            witnesses: reader.witnesses,
            groups: reader.groups,
            quorum,
        })
    }

    pub(crate) fn witnesses(&self) -> &[PolicyWitness] {
        &self.witnesses
    }

    /// Who cosigned a checkpoint, and whether they are enough. Signatures of keys that the policy does not know are passed over.
    ///
    /// # Errors
    /// When it has not the form of a note, or a signature under the name and key of one of the witnesses does not hold, or stands twice.
    pub fn judge(&self, note: &str) -> Result<Cosigned, InvalidNote> {
        let note = Note::split(note)?;
        let mut found = vec![false; self.witnesses.len()];
        for (witness, found) in self.witnesses.iter().zip(&mut found) {
            let mut lines = note.lines.iter().filter(|line| witness.key.is_of(line));
            let Some(line) = lines.next() else { continue };
            if lines.next().is_some() {
                return Err(InvalidNote::Form("it has two signatures by one key"));
            }
            witness.key.check(note.text, line)?;
            *found = true;
        }
        let names = self.witnesses.iter().zip(&found);
        let names = names.filter(|(_, found)| **found);
        Ok(Cosigned {
            names: names.map(|(witness, _)| witness.name.clone()).collect(),
            of: self.witnesses.len(),
            reached: self
                .quorum
                .is_none_or(|quorum| self.is_reached(quorum, &found)),
        })
    }

    /// Whether the policy names logs, and this key is of none of them.
    #[must_use]
    pub fn excludes(&self, key: &LogKey) -> bool {
        !self.logs.is_empty() && !self.logs.iter().any(|log| log.is_same_key(key))
    }

    // Groups are made of what stands before them, so this ends.
    fn is_reached(&self, member: Member, found: &[bool]) -> bool {
        match member {
            Member::Witness(at) => found.get(at).copied().unwrap_or(false),
            Member::Group(at) => self.groups.get(at).is_some_and(|group| {
                let reached = group
                    .members
                    .iter()
                    .filter(|member| self.is_reached(**member, found));
                reached.count() >= group.least
            }),
        }
    }
}

/// A policy as it is being read.
#[derive(Debug, Default)]
struct Reader {
    logs: Vec<LogKey>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<Group>,
    quorum: Option<Option<Member>>,
    names: BTreeMap<String, Member>,
    /// The names that are members of a group already: a witness counts in one way only.
    placed: BTreeSet<String>,
}

impl Reader {
    fn take(&mut self, line: &str) -> Result<(), String> {
        if let Some(other) = line.chars().find(|c| c.is_ascii_control() && *c != '\t') {
            return Err(format!("it holds the control character {other:?}"));
        }
        let words: Vec<&str> = line
            .split([' ', '\t'])
            .filter(|word| !word.is_empty())
            .collect();
        match words.as_slice() {
            [] => Ok(()),
            [first, ..] if first.starts_with('#') => Ok(()),
            ["log", vkey] | ["log", vkey, _] => self.log(vkey),
            ["witness", name, vkey] => self.witness(name, vkey, None),
            ["witness", name, vkey, url] => self.witness(name, vkey, Some(url)),
            ["group", name, least, members @ ..] if !members.is_empty() => {
                self.group(name, least, members)
            }
            ["quorum", name] => self.quorum(name),
            [word, ..] => Err(format!("'{word}' with these words is not one of a policy")),
        }
    }

    fn log(&mut self, vkey: &str) -> Result<(), String> {
        let key = LogKey::parse(vkey).map_err(|error| error.to_string())?;
        if self.logs.iter().any(|log| log.is_same_key(&key)) {
            return Err("the same log key stands twice".to_owned());
        }
        self.logs.push(key);
        Ok(())
    }

    fn witness(&mut self, name: &str, vkey: &str, url: Option<&&str>) -> Result<(), String> {
        let key = WitnessKey::parse(vkey).map_err(|error| error.to_string())?;
        // By the key itself: one witness under two names would count twice.
        if let Some(other) = self
            .witnesses
            .iter()
            .find(|other| other.key.bytes() == key.bytes())
        {
            return Err(format!(
                "witness '{name}' has the same key as witness '{}'",
                other.name
            ));
        }
        self.define(name, Member::Witness(self.witnesses.len()))?;
        self.witnesses.push(PolicyWitness {
            name: name.to_owned(),
            key,
            url: url.map(|url| (*url).to_owned()),
        });
        Ok(())
    }

    fn group(&mut self, name: &str, least: &str, members: &[&str]) -> Result<(), String> {
        let least = match least {
            "any" => 1,
            "all" => members.len(),
            number => number
                .parse()
                .ok()
                .filter(|least: &usize| least.to_string() == number)
                .ok_or(format!("'{number}' is neither a number, 'any' nor 'all'"))?,
        };
        if least == 0 || least > members.len() {
            return Err(format!("{least} of {} members", members.len()));
        }
        let members = members
            .iter()
            .map(|member| {
                let found = self.named(member)?;
                match self.placed.insert((*member).to_owned()) {
                    true => Ok(found),
                    false => Err(format!("'{member}' is a member already")),
                }
            })
            .collect::<Result<_, String>>()?;
        self.define(name, Member::Group(self.groups.len()))?;
        self.groups.push(Group { least, members });
        Ok(())
    }

    fn quorum(&mut self, name: &str) -> Result<(), String> {
        if self.quorum.is_some() {
            return Err("there is a quorum already".to_owned());
        }
        self.quorum = Some(match name {
            NONE => None,
            name => Some(self.named(name)?),
        });
        Ok(())
    }

    fn named(&self, name: &str) -> Result<Member, String> {
        let found = self.names.get(name).copied();
        found.ok_or(format!("'{name}' is not defined before it"))
    }

    fn define(&mut self, name: &str, member: Member) -> Result<(), String> {
        if name == NONE || self.names.contains_key(name) {
            return Err(format!("the name '{name}' is taken"));
        }
        self.names.insert(name.to_owned(), member);
        Ok(())
    }
}
