//! The witnesses that the operator named, in one file: the witness lines of a C2SP policy. It asks none of them.

use std::path::{Path, PathBuf};

use crate::disk::{Layout, RealDisk, make_folder, read_small, write_whole};
use crate::error::{Error, InvalidNote};
use crate::tree::{LogKey, Policy, PolicyWitness, WitnessKey};

/// What a folder's place begins with in the file.
const FILE: &str = "file://";

/// The name of the group that has to be reached.
const GROUP: &str = "enough";

/// A witness, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// What the operator calls it.
    pub name: String,
    /// Its public key.
    pub key: WitnessKey,
    /// Where it is.
    pub place: Place,
}

/// Where a witness is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// By HTTP, at this submission prefix.
    Url(String),
    /// By files in this folder, which somebody else may carry.
    Folder(PathBuf),
}

impl Place {
    /// As it stands in the file.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Url(url) => url.clone(),
            Self::Folder(folder) => format!("{FILE}{}", folder.display()),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let plain = !text.contains(|c: char| c.is_whitespace() || c.is_control());
        let place = match text.strip_prefix(FILE) {
            Some(folder) if folder.starts_with('/') => Self::Folder(PathBuf::from(folder)),
            Some(_) => return None,
            None if text.starts_with("http://") || text.starts_with("https://") => {
                Self::Url(text.trim_end_matches('/').to_owned())
            }
            None => return None,
        };
        plain.then_some(place)
    }
}

/// The witnesses of one state.
#[derive(Debug, Clone, Default)]
pub struct Witnesses {
    list: Vec<Witness>,
}

impl Witnesses {
    /// Those of the ledger below `state`; none where no file is.
    ///
    /// # Errors
    /// When the file is not what it should be, or the system refuses.
    pub fn load(state: &Path) -> Result<Self, Error> {
        let path = Layout::new(state).witness_list();
        if !path.exists() {
            return Ok(Self::default());
        }
        Self::parse(&read_small(&path)?).map_err(|source| Error::Note { path, source })
    }

    fn parse(text: &str) -> Result<Self, InvalidNote> {
        let policy = Policy::parse(&format!("{text}\nquorum none\n"))?;
        let list = policy.witnesses().iter().map(of_policy);
        Ok(Self {
            list: list.collect::<Result<_, _>>()?,
        })
    }

    /// Every witness, in the order in which they were added.
    #[must_use]
    pub fn list(&self) -> &[Witness] {
        &self.list
    }

    /// Adds one and keeps the list; false when it is there already.
    ///
    /// # Errors
    /// When its name or its key is another's, or the system refuses.
    pub fn add(&mut self, state: &Path, witness: Witness) -> Result<bool, Error> {
        if self.list.contains(&witness) {
            return Ok(false);
        }
        self.list.push(witness);
        self.keep(state).map(|()| true)
    }

    /// Removes the one of this name and keeps the list; false when there is none.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn remove(&mut self, state: &Path, name: &str) -> Result<bool, Error> {
        let before = self.list.len();
        self.list.retain(|witness| witness.name != name);
        if self.list.len() == before {
            return Ok(false);
        }
        self.keep(state).map(|()| true)
    }

    /// The policy that an auditor is given: this log's, and that `quorum` of the witnesses must have cosigned. Its text, and itself.
    ///
    /// # Errors
    /// When there are fewer witnesses than that.
    pub fn policy(&self, log: Option<&LogKey>, quorum: usize) -> Result<(String, Policy), Error> {
        let log = log.and_then(LogKey::vkey);
        let log = log.map_or_else(String::new, |vkey| format!("log {vkey}\n"));
        let names = self.list.iter().map(|witness| witness.name.as_str());
        let names = names.collect::<Vec<_>>().join(" ");
        let enough = match quorum {
            0 => "quorum none\n".to_owned(),
            least => format!("group {GROUP} {least} {names}\nquorum {GROUP}\n"),
        };
        let text = format!("{log}{}{enough}", self.lines());
        let policy = Policy::parse(&text).map_err(|_| Error::QuorumTooLarge {
            quorum,
            witnesses: self.list.len(),
        })?;
        Ok((text, policy))
    }

    fn lines(&self) -> String {
        let line = |witness: &Witness| {
            let (vkey, place) = (witness.key.vkey(), witness.place.text());
            format!("witness {} {vkey} {place}\n", witness.name)
        };
        self.list.iter().map(line).collect()
    }

    fn keep(&self, state: &Path) -> Result<(), Error> {
        let layout = Layout::existing(state)?;
        let path = layout.witness_list();
        let text = self.lines();
        // What is written can be read: names and keys are each there once.
        let read = Self::parse(&text).map_err(|source| Error::Note {
            path: path.clone(),
            source,
        })?;
        if read.list != self.list || self.list.iter().any(|witness| witness.name == GROUP) {
            let source = InvalidNote::Policy("a name or a place in it cannot be one".to_owned());
            return Err(Error::Note { path, source });
        }
        make_folder(&layout.witnesses())?;
        write_whole(&RealDisk, &path, text.as_bytes()).map_err(Error::io("write", &path))
    }
}

fn of_policy(witness: &PolicyWitness) -> Result<Witness, InvalidNote> {
    let place = witness.url.as_deref().and_then(Place::parse);
    let place = place.ok_or_else(|| {
        InvalidNote::Policy(format!("witness '{}' has no usable place", witness.name))
    })?;
    Ok(Witness {
        name: witness.name.clone(),
        key: witness.key.clone(),
        place,
    })
}
