//! What a witness does with a request (C2SP `tlog-witness`): it cosigns what goes on from the last that it cosigned, and nothing else.
//! It keeps nothing; its caller does, before the answer goes out.

use super::request::Request;
use crate::error::InvalidNote;
use crate::tree::{Cosigner, LogKey, Note, is_consistent};

/// A witness's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It cosigns. The caller keeps `note` as the newest of this log before it hands out `lines`.
    Cosigned {
        /// The checkpoint with the log's signature and the witness's.
        note: String,
        /// The witness's signature line.
        lines: String,
    },
    /// It has cosigned another size than the request goes on from.
    Conflict(u64),
    /// It does not cosign.
    Refused {
        /// The status of HTTP.
        status: u16,
        /// Why, in words.
        why: &'static str,
    },
}

/// Answers `body`, a request `add-checkpoint` that came at `time` (seconds since 1970). `logs` are those that it is a witness of, and
/// `latest` gives the note that it last cosigned for an origin.
pub fn attend(
    cosigner: &Cosigner,
    logs: &[LogKey],
    latest: &dyn Fn(&str) -> Option<String>,
    body: &str,
    time: u64,
) -> Answer {
    judged(cosigner, logs, latest, body, time).unwrap_or_else(|answer| answer)
}

fn judged(
    cosigner: &Cosigner,
    logs: &[LogKey],
    latest: &dyn Fn(&str) -> Option<String>,
    body: &str,
    time: u64,
) -> Result<Answer, Answer> {
    let refused = |status, why| Answer::Refused { status, why };
    let malformed = || refused(400, "this is no request add-checkpoint");
    let request = Request::read(body).ok_or_else(malformed)?;
    let note = Note::split(&request.note).map_err(|_| malformed())?;
    let origin = note.text.lines().next().unwrap_or_default();
    let log = logs.iter().find(|log| log.name() == Some(origin));
    let log = log.ok_or(refused(404, "no log of this origin is known here"))?;
    let checkpoint = log
        .open_cosigned(&request.note)
        .map_err(|flaw| match flaw {
            InvalidNote::NotSigned(_) | InvalidNote::BadSignature => {
                refused(403, "the log's key did not sign this checkpoint")
            }
            InvalidNote::Key
            | InvalidNote::Form(_)
            | InvalidNote::WitnessKey
            | InvalidNote::BadCosignature(_)
            | InvalidNote::Policy(_)
            | InvalidNote::Origin(_) => refused(400, "this is no checkpoint of that log"),
        })?;
    let own = log.own_line(&request.note).map_err(|_| malformed())?;
    if request.old > checkpoint.size {
        return Err(refused(400, "the old size is larger than the checkpoint's"));
    }
    let before = latest(origin);
    let before = before.as_deref();
    let seen = before.map(|note| log.open_cosigned(note)).transpose();
    // What was kept is not what was written: nothing is cosigned until somebody has looked.
    let seen = seen.map_err(|_| refused(500, "the witness's own state cannot be read"))?;
    let size = seen.map_or(0, |seen| seen.size);
    if request.old != size {
        return Err(Answer::Conflict(size));
    }
    let root = seen.map_or([0; 32], |seen| seen.root);
    if !is_consistent(
        (size, &root),
        (checkpoint.size, &checkpoint.root),
        &request.proof,
    ) {
        return Err(refused(
            422,
            "the proof does not show that it goes on from what was cosigned",
        ));
    }
    if before.is_some_and(|note| last_time(cosigner, note) > time) {
        return Err(refused(503, "the witness's clock went back"));
    }
    let lines = cosigner.cosign(note.text, time);
    Ok(Answer::Cosigned {
        note: format!("{own}{lines}"),
        lines,
    })
}

/// When the witness cosigned a note.
fn last_time(cosigner: &Cosigner, note: &str) -> u64 {
    let public = cosigner.public();
    let Ok(note) = Note::split(note) else {
        return 0;
    };
    let times = note
        .lines
        .iter()
        .filter_map(|line| public.check(note.text, line).ok());
    times.max().unwrap_or(0)
}
