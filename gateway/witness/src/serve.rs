//! `witness serve`: a witness for other gateways' logs, by HTTP (C2SP `tlog-witness`) and by files. It knows only the logs that it was given.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ledger::Answer;
use serde_json::json;
use tiny_http::{Header, Method, Request, Response, Server};

use crate::disk::{self, MAX_BYTES};
use crate::error::Error;
use crate::exchange::{CHECKPOINT, REFUSAL, REQUEST, folder_of};
use crate::state::Keeper;
use crate::{Serve, Voice};

/// How many requests are read at once: a slow one keeps no other waiting.
const AT_ONCE: usize = 16;

/// How often it looks for requests by files.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Serves until it is ended.
pub(crate) fn serve(asked: &Serve, voice: Voice) -> Result<bool, Error> {
    let keeper = Keeper::open(&asked.folder, asked.name.as_deref(), &asked.log)?;
    let keeper = Arc::new(keeper);
    let vkey = keeper.public().vkey();
    let address = asked
        .listen
        .as_deref()
        .map(|listen| begin(listen, &keeper))
        .transpose()?;
    let words = match &address {
        Some(address) => format!("{vkey}\nlistening on http://{address}"),
        None => vkey.clone(),
    };
    voice.answer(&json!({ "vkey": vkey, "listen": address }), &words);
    loop {
        answer_files(&asked.folder, &keeper)?;
        if asked.once {
            return Ok(true);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn begin(listen: &str, keeper: &Arc<Keeper>) -> Result<String, Error> {
    let server = Server::http(listen);
    let server =
        server.map_err(|error| Error::Usage(format!("cannot listen on '{listen}': {error}")))?;
    let address = server.server_addr().to_string();
    let server = Arc::new(server);
    for _ in 0..AT_ONCE {
        let (server, keeper) = (Arc::clone(&server), Arc::clone(keeper));
        std::thread::spawn(move || {
            while let Ok(request) = server.recv() {
                answer(&keeper, request);
            }
        });
    }
    Ok(address)
}

fn answer(keeper: &Keeper, mut request: Request) {
    let (status, kind, body) = match (request.method(), request.url()) {
        (Method::Post, "/add-checkpoint") => add(keeper, &mut request),
        (Method::Get, url) => show(keeper, url),
        _ => refused(404, "there is nothing here"),
    };
    let header = Header::from_bytes("Content-Type", kind);
    let mut response = Response::from_string(body).with_status_code(status);
    if let Ok(header) = header {
        response.add_header(header);
    }
    // A client that is gone has no use for its answer.
    request.respond(response).unwrap_or_default();
}

const TEXT: &str = "text/plain; charset=utf-8";

fn refused(status: u16, why: &str) -> (u16, &'static str, String) {
    (status, TEXT, format!("{why}\n"))
}

fn add(keeper: &Keeper, request: &mut Request) -> (u16, &'static str, String) {
    let mut body = String::new();
    let read = request
        .as_reader()
        .take(MAX_BYTES + 1)
        .read_to_string(&mut body);
    if read.is_err() {
        return refused(400, "the request is not text");
    }
    if body.len() as u64 > MAX_BYTES {
        return refused(413, "the request is too long");
    }
    match keeper.attend(&body) {
        Answer::Cosigned { lines, .. } => (200, TEXT, lines),
        Answer::Conflict(size) => (409, "text/x.tlog.size", format!("{size}\n")),
        Answer::Refused { status, why } => refused(status, why),
    }
}

/// The newest cosigned checkpoint of a log.
fn show(keeper: &Keeper, url: &str) -> (u16, &'static str, String) {
    let hash = url
        .strip_prefix('/')
        .and_then(|url| url.strip_suffix("/checkpoint"));
    match hash.and_then(|hash| keeper.latest(hash)) {
        Some(note) => (200, TEXT, note),
        None => refused(404, "no checkpoint of such a log was cosigned"),
    }
}

/// Answers the requests that lie in the folder. A request goes when its answer is there.
fn answer_files(folder: &Path, keeper: &Keeper) -> Result<(), Error> {
    for log in keeper.logs() {
        let folder = folder_of(folder, log.name().unwrap_or_default());
        let path = folder.join(REQUEST);
        let Some(request) = disk::read(&path).map_err(Error::file("read", &path))? else {
            continue;
        };
        let (name, text) = match keeper.attend(&request) {
            Answer::Cosigned { note, .. } => (CHECKPOINT, note),
            // Whoever asks sees from the checkpoint what to go on from.
            Answer::Conflict(_) => {
                let hash = crate::exchange::origin_hash(log.name().unwrap_or_default());
                match keeper.latest(&hash) {
                    Some(note) => (CHECKPOINT, note),
                    None => (REFUSAL, "nothing of this log was cosigned yet".to_owned()),
                }
            }
            Answer::Refused { why, .. } => (REFUSAL, why.to_owned()),
        };
        let refusal = folder.join(REFUSAL);
        disk::remove(&refusal).map_err(Error::file("remove", &refusal))?;
        let to = folder.join(name);
        disk::write(&to, text.as_bytes()).map_err(Error::file("write", &to))?;
        disk::remove(&path).map_err(Error::file("remove", &path))?;
    }
    Ok(())
}
