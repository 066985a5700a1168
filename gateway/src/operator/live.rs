//! The running gateway of a state, reached through its control socket.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::{Error, Kind};

/// The control socket's name in the state folder.
pub(crate) const SOCKET: &str = "control.sock";

/// Names of methods that both ends of the control socket use.
pub(crate) mod methods {
    pub(crate) const PING: &str = "ping";
    pub(crate) const ENABLE: &str = "enablePlugin";
    pub(crate) const DISABLE: &str = "disablePlugin";
    pub(crate) const PIPELINE: &str = "invokePipeline";
    pub(crate) const EXPORT_PROOF: &str = "exportProof";
    pub(crate) const METRICS: &str = "metrics";
    pub(crate) const OPERATOR_REGISTER: &str = "operator.register";
    pub(crate) const OPERATOR_INVOKE: &str = "operator.invoke";
    pub(crate) const TRUST_ADD: &str = "operator.trustAdd";
    pub(crate) const TRUST_REMOVE: &str = "operator.trustRemove";
    pub(crate) const REMOVE: &str = "operator.remove";
    pub(crate) const PRUNE: &str = "operator.prune";
    pub(crate) const ERASE: &str = "operator.erase";
    pub(crate) const RECORD_REFUSAL: &str = "operator.recordRefusal";
}

/// The longest answer that is read, in bytes: far above any sensible one, but bounded.
const MAX_ANSWER_BYTES: u64 = 1024 * 1024 * 1024;

/// A connection to a running gateway.
#[derive(Debug)]
pub(crate) struct Live {
    socket: PathBuf,
    to: UnixStream,
    from: BufReader<UnixStream>,
}

impl Live {
    /// Connects to the gateway that holds `state`.
    ///
    /// # Errors
    /// When nobody answers there.
    pub(crate) fn connect(state: &Path) -> io::Result<Self> {
        let (short, _folder) = short_path(state)?;
        let to = UnixStream::connect(short)?;
        let from = BufReader::new(to.try_clone()?);
        let socket = state.join(SOCKET);
        Ok(Self { socket, to, from })
    }

    /// The connection itself, for a caller with many calls in flight; nothing is under way on it.
    pub(crate) fn into_stream(self) -> UnixStream {
        self.to
    }

    /// Makes one call and waits for its answer.
    ///
    /// # Errors
    /// What the gateway answered, or that the connection to it failed.
    pub(crate) fn call<T: DeserializeOwned>(
        &mut self,
        method: &str,
        params: Value,
    ) -> Result<T, Error> {
        let failed = |socket: &Path| {
            let path = socket.to_owned();
            move |source| Error::File {
                action: "speak to the gateway at",
                path,
                source,
            }
        };
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let mut line = message.to_string();
        line.push('\n');
        self.to
            .write_all(line.as_bytes())
            .map_err(failed(&self.socket))?;
        let mut answer = Vec::new();
        self.from
            .by_ref()
            .take(MAX_ANSWER_BYTES)
            .read_until(b'\n', &mut answer)
            .map_err(failed(&self.socket))?;
        let unreadable =
            |error: serde_json::Error| io::Error::new(io::ErrorKind::UnexpectedEof, error);
        let mut answer: Value = serde_json::from_slice(&answer)
            .map_err(unreadable)
            .map_err(failed(&self.socket))?;
        match answer.get_mut("error").map(Value::take) {
            Some(error) => Err(refused(&error)),
            None => serde_json::from_value(answer["result"].take())
                .map_err(unreadable)
                .map_err(failed(&self.socket)),
        }
    }
}

fn refused(error: &Value) -> Error {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let data = error.get("data");
    let kind = data
        .and_then(|data| data.get("kind"))
        .and_then(Value::as_str);
    Error::Live {
        kind: kind.and_then(Kind::from_name).unwrap_or(Kind::Internal),
        message: text(error.get("message")),
        hint: text(data.and_then(|data| data.get("hint"))),
    }
}

/// The socket's path through the open folder's descriptor, since a socket's address holds only 107 bytes
/// (unix(7)). It is valid as long as the folder is open.
pub(crate) fn short_path(state: &Path) -> io::Result<(PathBuf, File)> {
    let folder = File::open(state)?;
    let path = format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd());
    Ok((path.into(), folder))
}
