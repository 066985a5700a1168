//! The verbs about the state folder, keys and trust.

use std::path::Path;

use plugin_protocol::digest::KeyId;
use serde_json::json;

use super::output::Output;
use super::words::{printable, table};
use super::{Answer, StateFolder, open, readable, warn_of_others};
use crate::error::Error;
use crate::operator;
use registry::{self, PublicKey};

pub(super) fn init(
    state: &StateFolder,
    origin: Option<&str>,
    out: Output,
) -> Result<Answer, Error> {
    let created = operator::init(state, state.anchor.as_deref(), origin)?;
    if created {
        warn_of_others(state, false, out);
    }
    let document = json!({ "state": state.state, "created": created });
    out.done(&document, || {
        if created {
            format!("made a state in {}", state.display())
        } else {
            format!(
                "there is a state in {} already: nothing was changed",
                state.display()
            )
        }
    })?;
    Ok(Answer::Yes)
}

pub(super) fn keygen(file: &Path, out: Output) -> Result<Answer, Error> {
    let key = registry::keygen(file)?;
    let public = format!("{}.pub", file.display());
    let document = json!({ "key_id": key.id(), "private_key": file, "public_key": public });
    out.done(&document, || {
        format!(
            "key {}\nprivate key {} (keep it secret)\npublic key  {public} (give it to operators)",
            key.id(),
            file.display()
        )
    })?;
    Ok(Answer::Yes)
}

pub(super) fn sign(package: &Path, key: &Path, out: Output) -> Result<Answer, Error> {
    let signed = operator::sign(package, key)?;
    let document = json!({ "package_digest": signed.digest, "key_id": signed.key_id, "signature": signed.file });
    out.done(&document, || {
        format!("signed {} with key {}", signed.digest, signed.key_id)
    })?;
    if signed.is_open {
        let key = printable(&key.display().to_string());
        out.note(&format!(
            "warning: others on this host may read or change the private key '{key}': `chmod 600` it, and if somebody did, make another"
        ));
    }
    Ok(Answer::Yes)
}

pub(super) fn trust_add(
    state: &StateFolder,
    file: &Path,
    label: Option<&str>,
    out: Output,
) -> Result<Answer, Error> {
    let key = PublicKey::read(file)?;
    let changed = open(state, out)?.trust_add(&key, label.unwrap_or_default())?;
    say_trust(key.id(), true, changed, out)
}

pub(super) fn trust_remove(
    state: &StateFolder,
    key_id: &str,
    out: Output,
) -> Result<Answer, Error> {
    let key_id = KeyId::parse(key_id).map_err(|error| Error::Usage {
        message: error.to_string(),
        hint: "`plugin-gateway trust list` shows the keys".to_owned(),
    })?;
    let changed = open(state, out)?.trust_remove(key_id)?;
    say_trust(key_id, false, changed, out)
}

fn say_trust(key_id: KeyId, trusted: bool, changed: bool, out: Output) -> Result<Answer, Error> {
    out.done(&json!({ "key_id": key_id, "trusted": trusted, "changed": changed }), || {
        let already = if changed { "" } else { " already" };
        if trusted {
            format!("key {key_id} is trusted{already}")
        } else {
            format!("key {key_id} is no longer trusted{already}; the plugins that it vouched for are disabled")
        }
    })?;
    Ok(Answer::Yes)
}

pub(super) fn trust_list(state: &StateFolder, out: Output) -> Result<Answer, Error> {
    let registry = operator::inventory(readable(state, out)?)?;
    let document: Vec<_> = registry
        .keys()
        .map(|key| json!({ "key_id": key.key.id(), "label": key.label, "trusted": key.trusted, "since": key.since }))
        .collect();
    out.answer(&document, || {
        let rows = registry.keys().map(|key| {
            let word = if key.trusted { "trusted" } else { "revoked" };
            vec![
                key.key.id().to_string(),
                word.to_owned(),
                key.since.to_string(),
                key.label.clone(),
            ]
        });
        if document.is_empty() {
            out.naming_state("no key is trusted: add one with `plugin-gateway trust add FILE.pub`")
        } else {
            table(&["KEY", "TRUST", "SINCE", "LABEL"], rows)
        }
    })?;
    Ok(Answer::Yes)
}
