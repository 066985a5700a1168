//! The exchange by files between a gateway and a witness: for each log a folder in which the one leaves a request and the other the newest
//! checkpoint that it cosigned. Somebody may carry the folder.

use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};

/// The file of a request, the body of `add-checkpoint`.
pub(crate) const REQUEST: &str = "request";
/// The file of the newest cosigned checkpoint.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// The file that says why a request was refused.
pub(crate) const REFUSAL: &str = "refusal";

/// The folder of the log called `origin`.
pub(crate) fn folder_of(folder: &Path, origin: &str) -> PathBuf {
    folder.join(origin_hash(origin))
}

/// SHA-256 of a log's origin, as tlog-witness names a log in addresses.
pub(crate) fn origin_hash(origin: &str) -> String {
    hex(digest(&SHA256, origin.as_bytes()).as_ref())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
