//! The verbs about proofs: an operator exports a run, an auditor checks and reads it.

use std::path::Path;

use plugin_protocol::canonical;
use plugin_protocol::event::meta;
use plugin_protocol::ids::RunId;
use serde_json::json;

use super::file::write_out;
use super::output::Output;
use super::words::{pairs, printable, table};
use super::{Answer, StateFolder, open};
use crate::error::Error;
use crate::operator;

/// The log's public key in its state folder, with the log's name.
const LOG_KEY: &str = "log.vkey";

pub(super) fn export(
    state: &StateFolder,
    run: &str,
    file: &Path,
    out: Output,
) -> Result<Answer, Error> {
    let run = run_id(run)?;
    let bundle = open(state, out)?.export_proof(&run)?;
    write(file, "write the proof to", &canonical::bytes(&bundle))?;
    let checkpoint = bundle["checkpoint"].as_str().unwrap_or_default();
    if let Some(missing) = operator::missing(state, checkpoint)? {
        out.note(&format!("note: {missing}"));
    }
    let events = bundle["events"].as_array().map_or(0, Vec::len);
    let document = json!({
        "proof_id": bundle["proof_id"], "run_id": run, "events": events, "file": file,
        "head_event_hash": bundle["head_event_hash"],
    });
    out.done(&document, || {
        format!(
            "proof of {events} events of run {} in {}",
            printable(run.as_str()),
            file.display()
        )
    })?;
    Ok(Answer::Yes)
}

/// The page of a bundle.
pub(super) fn page(
    file: &Path,
    key: Option<&Path>,
    to: &Path,
    out: Output,
) -> Result<Answer, Error> {
    let page = operator::page_of_file(file, key)?;
    write_page(&page, &format!("page of {}", file.display()), to, out)
}

/// The page of a run: its proof is exported for it, and the key that it trusts is this log's own.
pub(super) fn page_of_run(
    state: &StateFolder,
    run: &str,
    to: &Path,
    out: Output,
) -> Result<Answer, Error> {
    let run = run_id(run)?;
    let bundle = open(state, out)?.export_proof(&run)?;
    let page = operator::page(&canonical::bytes(&bundle), Some(&state.join(LOG_KEY)))?;
    let what = format!("page of run {}", printable(run.as_str()));
    write_page(&page, &what, to, out)
}

fn write_page(page: &operator::Page, what: &str, to: &Path, out: Output) -> Result<Answer, Error> {
    write(to, "write the page to", page.html.as_bytes())?;
    let document = json!({ "file": to, "bytes": page.html.len(), "key_id": page.key_id });
    out.done(&document, || {
        let trusts = match &page.key_id {
            Some(key) => format!("it trusts key {key}"),
            None => "its reader has to give it the log's public key".to_owned(),
        };
        format!("{what} in {}: {trusts}", to.display())
    })?;
    Ok(Answer::Yes)
}

fn run_id(run: &str) -> Result<RunId, Error> {
    RunId::parse(run).map_err(|error| Error::Usage {
        message: error.to_string(),
        hint: "`plugin-gateway ledger tail --json` shows the runs".to_owned(),
    })
}

fn write(file: &Path, action: &'static str, bytes: &[u8]) -> Result<(), Error> {
    write_out(file, bytes).map_err(|source| Error::File {
        action,
        path: file.to_owned(),
        source,
    })
}

pub(super) fn verify(
    file: &Path,
    key: &Path,
    policy: Option<&Path>,
    out: Output,
) -> Result<Answer, Error> {
    let report = operator::verify_proof(file, key, policy)?;
    out.answer(&report, || {
        let rows = report.checks.iter().map(|check| {
            let [name, word] = [check.name, check.outcome.word()].map(ToOwned::to_owned);
            vec![name, word, check.detail.clone()]
        });
        let verdict = if report.valid { "valid" } else { "NOT VALID" };
        format!(
            "{}\n\n{verdict}",
            table(&["CHECK", "OUTCOME", "DETAIL"], rows)
        )
    })?;
    Ok(report.valid.into())
}

pub(super) fn show(file: &Path, out: Output) -> Result<Answer, Error> {
    let bundle = operator::read_proof(file)?;
    out.answer(&bundle, || {
        let rows = bundle
            .inclusion
            .iter()
            .zip(&bundle.events)
            .map(|(place, event)| {
                vec![
                    place.index.to_string(),
                    event.ts.to_string(),
                    event.kind.as_str().to_owned(),
                    event
                        .plugin_id
                        .as_ref()
                        .map(ToString::to_string)
                        .unwrap_or_default(),
                    event
                        .request_id
                        .as_ref()
                        .map(ToString::to_string)
                        .unwrap_or_default(),
                    event.meta.get(meta::STATUS).cloned().unwrap_or_default(),
                ]
            });
        let head = [
            ("proof", bundle.proof_id.to_string()),
            ("run", bundle.run_id.to_string()),
            ("made", bundle.created_at.to_string()),
            ("head", bundle.head_event_hash.to_string()),
            (
                "plugins",
                bundle
                    .plugin_manifest_digests
                    .iter()
                    .map(|digest| format!("{} ({})", digest.plugin_id, digest.manifest_hash))
                    .collect::<Vec<_>>()
                    .join(", "),
            ),
        ];
        format!(
            "{}\n\n{}\n\nnothing was checked: `plugin-gateway proof verify FILE --key PUB` does",
            pairs(&head),
            table(
                &["INDEX", "TIME", "KIND", "PLUGIN", "REQUEST", "STATUS"],
                rows
            )
        )
    })?;
    Ok(Answer::Yes)
}

/// Which events of a bundle carry a payload. Nothing else of it is checked.
pub(super) fn carriers(
    file: &Path,
    payload: &Path,
    salt: Option<&str>,
    out: Output,
) -> Result<Answer, Error> {
    let found = operator::carriers(file, payload, salt)?;
    out.answer(&found, || {
        let carried = found.events.iter().map(|event| {
            let sides = [("input", event.input), ("output", event.output)];
            let sides = sides.iter().filter(|(_, carries)| *carries);
            let sides: Vec<_> = sides.map(|(side, _)| *side).collect();
            format!(
                "event {} carries it as {}",
                event.index,
                sides.join(" and ")
            )
        });
        let mut words: Vec<String> = carried.collect();
        if words.is_empty() {
            words.push("no event carries this payload".to_owned());
        }
        if found.unsalted > 0 {
            words.push(format!(
                "{} events have salted hashes, which say nothing without their salt",
                found.unsalted
            ));
        }
        words.push(
            "the bundle was not checked: `plugin-gateway proof verify FILE --key PUB` does"
                .to_owned(),
        );
        words.join("\n")
    })?;
    Ok((!found.events.is_empty()).into())
}
