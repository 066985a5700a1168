//! What is kept of requests and results beside the ledger, for plugins whose manifest says `log_level: full`. It never keeps
//! a value that a redaction names, and nothing that no event leads to.
//!
//! ```text
//! <state>/evidence/kept/<run>/<sha256>.json            a request or a result, canonical JSON; the name is SHA-256 of its bytes
//! <state>/evidence/kept/<run>/<sha256>.redacted.json   the same, with at least one value replaced by `"[redacted]"`
//! <state>/evidence/new/<n>                             a file that is being written; emptied at opening
//! <state>/evidence/erasing/<run>                       an erasure that is under way: `{"erasure":…,"run_id":…}`
//! ```
//!
//! `<run>` is SHA-256 of the run's id, since an id may hold any character. Files have mode 0600, folders 0700; none is made before
//! there is something to keep. The event's `meta` leads to the file: `request_evidence` in `INVOKE`, `result_evidence` in `RESULT`,
//! and `request_redacted` or `result_redacted` with the number of values that are missing. An unredacted result's name is its
//! event's `output_hash`; an unredacted request's `payload` has the event's `input_hash`.
//!
//! The store belongs to the ledger's crate because it shares the writer's lock, the way to the disk, and the order of writes. A file is durable before the event that names it (`open(O_CREAT|O_EXCL)`, `pwrite`, `fdatasync`, `rename`, `fsync` of the
//! folder), so an event never leads to nothing; a crash in between leaves a file that no event names and that goes with its run.
//!
//! Each run has a folder of its own, in place of one store for all: then erasing a run costs the run's size and not the
//! ledger's, finds also what a crash left, and cannot touch what another run kept, be it the same bytes.
//!
//! An erasure is recorded as `DISABLE` of the run `system` with an empty `plugin_id` and `meta` `{subject: "evidence", run, files,
//! erasure}`: an operator takes something away, as with a key. So the run's own events stay what a proof of them said, no call is
//! opened or closed by it, the registry's fold passes over it, and it is let through when the disk is nearly full, when it is needed most.
//! Its happy path: the note in `erasing`, durable; the event, durable; `unlink` of each file; `rmdir` and `fsync`; `unlink` of the note. Whatever is cut
//! off after the first step is completed when the ledger is opened, or when the run is erased again. Where the disk is too full for the
//! note it is left out.

mod document;
mod erase;
mod store;

pub use document::{Document, EvidenceLink, REQUEST_LINK};
pub use erase::{Erased, was_erased};
pub(crate) use erase::{complete_erasures, erase_evidence};
pub(crate) use store::Store;
pub use store::kept_evidence;
