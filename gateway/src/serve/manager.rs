//! The service manager that started the gateway, where there is one: it is told when the gateway is ready and when it stops (sd_notify(3)).

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Names the manager's socket: a path, or, after an `@`, a name in the abstract namespace.
const SOCKET: &str = "NOTIFY_SOCKET";

/// Sends a line of state, such as `READY=1`. A manager that cannot be told is no reason to end; the log says it.
pub(super) fn tell(state: &str) {
    let Some(socket) = std::env::var_os(SOCKET).filter(|socket| !socket.is_empty()) else {
        return;
    };
    if let Err(error) = send(&socket, state) {
        tracing::warn!(
            socket = %socket.display(),
            reason = error.to_string(),
            "the service manager cannot be told '{state}'"
        );
    }
}

fn send(socket: &OsString, state: &str) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(OsStr::new(socket))?,
    };
    UnixDatagram::unbound()?
        .send_to_addr(state.as_bytes(), &address)
        .map(drop)
}
