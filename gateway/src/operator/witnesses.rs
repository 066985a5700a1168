//! An operator's tools about witnesses: who they are, what they cosigned, the log as a static site, and the program that speaks with them.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config::Config;
use crate::error::Error;
use crate::router::awaiting;
use ledger::{EventProof, Place, Published, Witness, WitnessKey, Witnesses};
use plugin_protocol::ids::EventId;

/// The program beside this one that opens connections. This one opens none.
const EDGE: &str = "plugin-gateway-witness";

/// A witness, for people and programs.
#[derive(Debug, Serialize)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) vkey: String,
    pub(crate) place: String,
}

/// Adds a witness; false when it is there already.
///
/// # Errors
/// When its key is none, its name, key or place cannot be used, or the system refuses.
pub(crate) fn add_witness(
    state: &Path,
    name: &str,
    vkey: &str,
    place: Place,
) -> Result<bool, Error> {
    let usage = |error: &dyn std::fmt::Display| {
        Error::Usage {
        message: format!("witness '{name}': {error}"),
        hint: "a witness has a name of its own without spaces, a verifier key of its own (`name+hash+base64`), and an http(s) address or a folder".to_owned(),
    }
    };
    let key = WitnessKey::parse(vkey).map_err(|error| usage(&error))?;
    let witness = Witness {
        name: name.to_owned(),
        key,
        place,
    };
    match Witnesses::load(state)?.add(state, witness) {
        Err(ledger::Error::Note { source, .. }) => Err(usage(&source)),
        added => Ok(added?),
    }
}

/// Removes a witness; false when there is none of this name.
pub(crate) fn remove_witness(state: &Path, name: &str) -> Result<bool, Error> {
    Ok(Witnesses::load(state)?.remove(state, name)?)
}

/// Every witness.
pub(crate) fn witnesses(state: &Path) -> Result<Vec<Named>, Error> {
    let witnesses = Witnesses::load(state)?;
    let named = witnesses.list().iter().map(|witness| Named {
        name: witness.name.clone(),
        vkey: witness.key.vkey(),
        place: witness.place.text(),
    });
    Ok(named.collect())
}

/// The policy for auditors: this log, its witnesses, and how many of them have to cosign.
pub(crate) fn policy(state: &Path) -> Result<String, Error> {
    let quorum = Config::load(state)?.witness.quorum;
    let log = ledger::init(state)?.log_key;
    Ok(Witnesses::load(state)?.policy(Some(&log), quorum)?.0)
}

/// Makes the proof of a single event. It leads to a checkpoint that enough witnesses cosigned, where they do so in time.
pub(crate) fn prove_event(
    state: &Path,
    id: &EventId,
) -> Result<(EventProof, Option<String>), Error> {
    let rules = Config::load(state)?.witness;
    let proof = awaiting(state, rules, |awaited| {
        ledger::prove_event(state, id, awaited)
    })?;
    let missing = missing(state, &proof.checkpoint)?;
    Ok((proof, missing))
}

/// Publishes the log in the folder `to`.
pub(crate) fn publish(state: &Path, to: &Path, lines: bool) -> Result<Published, Error> {
    let rules = Config::load(state)?.witness;
    awaiting(state, rules, |awaited| {
        ledger::publish(state, to, lines, awaited)
    })
}

/// What is missing in the signatures of a checkpoint by this state's settings, in words.
pub(crate) fn missing(state: &Path, note: &str) -> Result<Option<String>, Error> {
    let rules = Config::load(state)?.witness;
    if rules.quorum == 0 {
        return Ok(None);
    }
    let judged = Witnesses::load(state)?.policy(None, rules.quorum);
    let judged = judged.and_then(|(_, policy)| {
        let path = PathBuf::from("checkpoint");
        policy
            .judge(note)
            .map_err(|source| ledger::Error::Note { path, source })
    });
    Ok(match judged {
        Ok(cosigned) if cosigned.reached => None,
        Ok(cosigned) => Some(format!(
            "it leaves without the quorum of {}: {} within {} ms",
            rules.quorum,
            cosigned.words(),
            rules.wait_ms
        )),
        Err(error) => Some(format!("it leaves without a quorum: {error}")),
    })
}

/// The program that speaks with witnesses.
///
/// # Errors
/// When it is not beside this one.
pub(crate) fn edge() -> Result<PathBuf, Error> {
    let own = std::env::current_exe().map_err(Error::file("find", Path::new("/proc/self/exe")))?;
    let folder = own.parent().unwrap_or(Path::new("."));
    // What cargo builds for tests and examples lies one folder below.
    let places = [Some(folder), folder.parent()];
    let found = places
        .into_iter()
        .flatten()
        .map(|folder| folder.join(EDGE))
        .find(|path| path.is_file());
    found.ok_or_else(|| Error::Usage {
        message: format!(
            "'{EDGE}' is not beside this command in '{}'",
            folder.display()
        ),
        hint: "the command itself opens no network: install both programs in one folder".to_owned(),
    })
}
