//! An auditor's tools: checking and reading a proof bundle, offline, with nothing but the bundle and a key.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use plugin_protocol::payload::Payload;
use serde::Serialize;

use super::fleet_proof::{is_fleet_proof, verify_fleet_proof};
use crate::error::Error;
use ledger::{self, LogKey, Policy, ProofBundle, ProofReport, Salt};
use registry::PublicKey;

/// The largest bundle that is read, in bytes: about a hundred thousand events.
const MAX_BUNDLE_BYTES: u64 = 512 * 1024 * 1024;
/// The largest key file, in bytes; ours have about a hundred.
pub(super) const MAX_KEY_BYTES: u64 = 64 * 1024;

/// Checks the bundle or the proof of an event in `file` against the log's public key in `key`, PEM or C2SP verifier key, and against the
/// auditor's policy about witnesses; a fleet's proof against its operator's key.
pub(crate) fn verify_proof(
    file: &Path,
    key: &Path,
    policy: Option<&Path>,
) -> Result<ProofReport, Error> {
    let proof = read(file, MAX_BUNDLE_BYTES)?;
    if is_fleet_proof(&proof) {
        return Ok(verify_fleet_proof(&proof, &PublicKey::read(key)?));
    }
    let key = read_key(key)?;
    let policy = policy.map(read_policy).transpose()?;
    Ok(ledger::verify_proof_by(&proof, &key, policy.as_ref()))
}

/// Reads the log's public key.
pub(super) fn read_key(key: &Path) -> Result<LogKey, Error> {
    let text = read(key, MAX_KEY_BYTES)?;
    LogKey::parse(&String::from_utf8_lossy(&text)).map_err(|error| Error::Usage {
        message: format!("'{}': {error}", key.display()),
        hint: "the log's public key is <state>/log.pub or <state>/log.vkey, from the operator and not from the bundle".to_owned(),
    })
}

fn read_policy(file: &Path) -> Result<Policy, Error> {
    let text = read(file, MAX_KEY_BYTES)?;
    // Words that are no UTF-8 may stand in a policy; names are compared as they are read.
    Policy::parse(&String::from_utf8_lossy(&text)).map_err(|error| Error::Usage {
        message: format!("'{}': {error}", file.display()),
        hint: "a policy is C2SP's tlog-policy; the operator's `plugin-gateway witness list --policy` prints one".to_owned(),
    })
}

/// Reads the bundle in `file` without judging it.
pub(crate) fn read_proof(file: &Path) -> Result<ProofBundle, Error> {
    let bytes = read(file, MAX_BUNDLE_BYTES)?;
    plugin_protocol::json::read_as(&bytes).map_err(|error| Error::Invalid {
        message: format!("'{}' is not a proof bundle: {error}", file.display()),
    })
}

/// Where a payload is found in a bundle.
#[derive(Debug, Serialize)]
pub(crate) struct Carriers {
    /// The events that carry it.
    pub(crate) events: Vec<Carrier>,
    /// How many events have salted hashes that were not made with the salt given.
    pub(crate) unsalted: usize,
}

/// An event that carries the payload.
#[derive(Debug, Serialize)]
pub(crate) struct Carrier {
    pub(crate) index: u64,
    pub(crate) input: bool,
    pub(crate) output: bool,
}

/// Finds the events of the bundle in `file` that carry the payload in the file `payload`. `salt` is the file of the run's salt, or its digits.
pub(crate) fn carriers(file: &Path, payload: &Path, salt: Option<&str>) -> Result<Carriers, Error> {
    let bundle = read_proof(file)?;
    let salt = salt.map(read_salt).transpose()?;
    let bytes = read(payload, MAX_BUNDLE_BYTES)?;
    let payload: Payload =
        plugin_protocol::json::read_as(&bytes).map_err(|error| Error::Invalid {
            message: format!("'{}' is not a payload: {error}", payload.display()),
        })?;
    let plain = payload.hash();
    let mut found = Carriers {
        events: Vec::new(),
        unsalted: 0,
    };
    for (place, event) in bundle.inclusion.iter().zip(&bundle.events) {
        let salted = ledger::is_salted(event);
        let wanted = match salt.as_ref().filter(|salt| salt.is_of(event)) {
            Some(salt) if salted => salt.payload(&plain),
            Some(_) | None if salted => {
                found.unsalted += 1;
                continue;
            }
            Some(_) | None => plain,
        };
        let [input, output] =
            [event.input_hash, event.output_hash].map(|hash| hash == Some(wanted));
        let index = place.index;
        let carrier = Carrier {
            index,
            input,
            output,
        };
        found.events.extend((input || output).then_some(carrier));
    }
    Ok(found)
}

fn read_salt(given: &str) -> Result<Salt, Error> {
    if let Some(salt) = Salt::parse(given) {
        return Ok(salt);
    }
    let text = read(Path::new(given), MAX_KEY_BYTES)?;
    Salt::parse(&String::from_utf8_lossy(&text)).ok_or_else(|| Error::Invalid {
        message: format!("'{given}' is not a salt: it has 64 hex digits"),
    })
}

pub(super) fn read(file: &Path, max_bytes: u64) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::File {
        action: "read",
        path: file.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    File::open(file)
        .map_err(failed)?
        .take(max_bytes + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > max_bytes {
        return Err(Error::Invalid {
            message: format!("'{}' is larger than {max_bytes} bytes", file.display()),
        });
    }
    Ok(bytes)
}
