//! `witness sync`: hands each new checkpoint to each witness, and keeps what they answer. What a witness says is believed as far as its
//! signature, or this log's, stands under it.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use ledger::{Collector, Place, Submission, Weighed, Witness, Witnesses};
use serde_json::json;

use crate::disk;
use crate::error::Error;
use crate::exchange::{CHECKPOINT, REFUSAL, REQUEST, folder_of, origin_hash};
use crate::http::Client;
use crate::{Sync, Voice};

/// How often it looks for a new checkpoint; one is signed each second at most, while there are events.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How many looks a witness that could not be asked is left alone.
const PATIENCE: u32 = 25;

/// What came of asking a witness.
enum Said {
    /// It cosigned the newest checkpoint.
    Cosigned,
    /// It was left a request, and has not answered it yet.
    Left,
    /// It did not cosign, or cannot be asked.
    Fault(String),
    /// It has a checkpoint of this log that the ledger does not go on from.
    RolledBack(u64),
}

/// One witness, and what is known of it.
struct Asked {
    witness: Witness,
    /// How many events it has seen.
    seen: u64,
    /// How many of them it has cosigned here.
    done: u64,
    /// What was last said about it.
    told: String,
    /// Looks to let pass before it is asked again.
    rest: u32,
}

/// Hands checkpoints over; whether every witness cosigned the newest.
pub(crate) fn sync(asked: &Sync, voice: Voice) -> Result<bool, Error> {
    if asked.until_eof {
        end_with_input();
    }
    let Some(collector) = Collector::begin(&asked.state)? else {
        return Err(Error::Usage(format!(
            "another `witness sync` is at work on '{}'",
            asked.state.display()
        )));
    };
    let client = Client::new();
    let mut known: Vec<Asked> = Vec::new();
    loop {
        take_up(&mut known, Witnesses::load(&asked.state)?.list());
        if let Some(mut submission) = Submission::newest(&asked.state)? {
            for one in &mut known {
                one.round(&client, &collector, &mut submission, voice)?;
            }
            if asked.once {
                return Ok(report(&known, submission.size(), voice));
            }
        } else if asked.once {
            voice.answer(
                &json!({ "size": 0, "witnesses": [] }),
                "there is no checkpoint yet",
            );
            return Ok(true);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Ends this process when its parent is gone.
fn end_with_input() {
    std::thread::spawn(|| {
        let mut byte = [0];
        // Nothing is ever written to it; an error is its end too.
        while std::io::stdin().read(&mut byte).unwrap_or(0) > 0 {}
        std::process::exit(0);
    });
}

/// Follows the operator's list: what is known of a witness stays, as long as it is on it.
fn take_up(known: &mut Vec<Asked>, list: &[Witness]) {
    known.retain(|one| list.contains(&one.witness));
    for witness in list {
        if !known.iter().any(|one| one.witness == *witness) {
            known.push(Asked {
                witness: witness.clone(),
                seen: 0,
                done: 0,
                told: String::new(),
                rest: 0,
            });
        }
    }
}

fn report(known: &[Asked], size: u64, voice: Voice) -> bool {
    let rows = known
        .iter()
        .map(|one| json!({ "name": one.witness.name, "cosigned": one.done, "problem": one.told }));
    let document = json!({ "size": size, "witnesses": rows.collect::<Vec<_>>() });
    let done = known.iter().filter(|one| one.done == size).count();
    let words = format!(
        "{done} of {} witnesses cosigned the first {size} events",
        known.len()
    );
    voice.answer(&document, &words);
    done == known.len()
}

impl Asked {
    fn round(
        &mut self,
        client: &Client,
        collector: &Collector,
        submission: &mut Submission,
        voice: Voice,
    ) -> Result<(), Error> {
        if self.done == submission.size() || self.rest > 0 {
            self.rest = self.rest.saturating_sub(1);
            return Ok(());
        }
        let said = match self.witness.place.clone() {
            Place::Url(url) => self.by_http(client, &url, collector, submission)?,
            Place::Folder(folder) => self.by_files(&folder, collector, submission)?,
        };
        let words = match said {
            Said::Cosigned | Said::Left => String::new(),
            Said::Fault(words) => {
                self.rest = PATIENCE;
                words
            }
            Said::RolledBack(size) => {
                return Err(Error::Refused(format!(
                    "witness '{}' has a checkpoint of this log over {size} events that this ledger does not go on from: an old copy was put back, or two gateways use one key. The gateway takes no more calls, and its ledger is not opened, until the true one is there",
                    self.witness.name
                )));
            }
        };
        if words != self.told && !words.is_empty() {
            voice.warn(&format!(
                "warning: witness '{}': {words}",
                self.witness.name
            ));
        }
        self.told = words;
        Ok(())
    }

    fn by_http(
        &mut self,
        client: &Client,
        url: &str,
        collector: &Collector,
        submission: &mut Submission,
    ) -> Result<Said, Error> {
        /// The first from what is known, the second from what the witness says then; one more for a witness that others ask too.
        const TRIES: usize = 3;
        let address = format!("{url}/add-checkpoint");
        for _ in 0..TRIES {
            let Some(request) = submission.request(self.seen)? else {
                return claim(
                    client,
                    url,
                    submission,
                    &format!("it says that it has seen {} events", self.seen),
                );
            };
            let answer =
                match client.post(&address, "text/plain; charset=utf-8", request.as_bytes()) {
                    Ok(answer) => answer,
                    Err(error) => return Ok(Said::Fault(format!("it cannot be asked: {error}"))),
                };
            match answer.status {
                200 => return self.keep(collector, submission, submission.note(), &answer.text()),
                409 => match size_of(&answer.text()) {
                    Some(size) if size != self.seen => self.seen = size,
                    _ => {
                        return Ok(Said::Fault(
                            "it answered 409 without another size".to_owned(),
                        ));
                    }
                },
                422 => {
                    return claim(
                        client,
                        url,
                        submission,
                        "it says that this ledger does not go on from what it has seen",
                    );
                }
                status => {
                    return Ok(Said::Fault(format!(
                        "it answered {status}: {}",
                        shown(&answer.text())
                    )));
                }
            }
        }
        Ok(Said::Fault("it answers 409 again and again".to_owned()))
    }

    fn by_files(
        &mut self,
        folder: &Path,
        collector: &Collector,
        submission: &mut Submission,
    ) -> Result<Said, Error> {
        let folder = folder_of(folder, submission.origin());
        let refused = |error: std::io::Error| {
            Ok(Said::Fault(format!(
                "its folder '{}' cannot be used: {error}",
                folder.display()
            )))
        };
        let shown_note = match disk::read(&folder.join(CHECKPOINT)) {
            Ok(shown) => shown,
            Err(error) => return refused(error),
        };
        if let Some(note) = shown_note {
            match submission.weigh(&note)? {
                Weighed::RolledBack(checkpoint) => {
                    submission.believe(&note)?;
                    return Ok(Said::RolledBack(checkpoint.size));
                }
                Weighed::NotOurs => {
                    return Ok(Said::Fault(
                        "the checkpoint in its folder is not this log's".to_owned(),
                    ));
                }
                Weighed::Held(checkpoint) => {
                    self.seen = checkpoint.size;
                    let lines = note.rsplit_once("\n\n").map_or("", |(_, lines)| lines);
                    let said = self.keep(collector, submission, &note, lines)?;
                    if self.done == submission.size() || matches!(said, Said::Fault(_)) {
                        return Ok(said);
                    }
                }
            }
        }
        let Some(request) = submission.request(self.seen)? else {
            return Ok(Said::Left);
        };
        if let Ok(Some(why)) = disk::read(&folder.join(REFUSAL)) {
            return Ok(Said::Fault(format!("it refused: {}", shown(&why))));
        }
        let path = folder.join(REQUEST);
        let written =
            std::fs::create_dir_all(&folder).and_then(|()| disk::write(&path, request.as_bytes()));
        match written {
            Ok(()) => Ok(Said::Left),
            Err(error) => refused(error),
        }
    }

    /// Keeps the cosignature over the checkpoint `note`.
    fn keep(
        &mut self,
        collector: &Collector,
        submission: &Submission,
        note: &str,
        lines: &str,
    ) -> Result<Said, Error> {
        match collector.keep(note, &self.witness.key, lines) {
            Ok(true) => {}
            Ok(false) => {
                return Ok(Said::Fault(
                    "its answer has no signature by its key".to_owned(),
                ));
            }
            Err(ledger::Error::Note { source, .. }) => return Ok(Said::Fault(source.to_string())),
            Err(error) => return Err(error.into()),
        }
        let size = size_in(note);
        (self.seen, self.done) = (size, size);
        match size == submission.size() {
            true => Ok(Said::Cosigned),
            false => Ok(Said::Left),
        }
    }
}

/// A witness claims to know this log otherwise than it is here. It is asked to show the checkpoint: a number is nobody's word.
fn claim(client: &Client, url: &str, submission: &Submission, what: &str) -> Result<Said, Error> {
    let address = format!("{url}/{}/checkpoint", origin_hash(submission.origin()));
    let shown = match client.get(&address) {
        Ok(answer) if answer.status == 200 => answer.text(),
        Ok(answer) => {
            let status = answer.status;
            return Ok(Said::Fault(format!(
                "{what}, and shows no checkpoint for it (status {status})"
            )));
        }
        Err(error) => {
            return Ok(Said::Fault(format!(
                "{what}, and cannot be asked for it: {error}"
            )));
        }
    };
    Ok(match submission.weigh(&shown)? {
        Weighed::RolledBack(checkpoint) => {
            submission.believe(&shown)?;
            Said::RolledBack(checkpoint.size)
        }
        Weighed::Held(checkpoint) => Said::Fault(format!(
            "{what}, but what it shows is over {} events, and this ledger goes on from that",
            checkpoint.size
        )),
        Weighed::NotOurs => Said::Fault(format!(
            "{what}, but what it shows is not signed by this log's key"
        )),
    })
}

/// The size in the second line of a checkpoint.
fn size_in(note: &str) -> u64 {
    let size = note.lines().nth(1).and_then(|size| size.parse().ok());
    size.unwrap_or_default()
}

/// The size in an answer 409: a plain number and a newline.
fn size_of(body: &str) -> Option<u64> {
    let text = body.strip_suffix('\n')?;
    text.parse()
        .ok()
        .filter(|size: &u64| size.to_string() == text)
}

/// A text of somebody else's as it may be shown.
fn shown(text: &str) -> String {
    const CHARS: usize = 200;
    text.trim()
        .chars()
        .take(CHARS)
        .flat_map(char::escape_debug)
        .collect()
}
