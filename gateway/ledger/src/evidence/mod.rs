//! What is kept of requests and results beside the ledger, for plugins whose manifest says `log_level: full`. It never keeps
//! a value that a redaction names, and nothing that no event leads to.
//!
//! ```text
//! <state>/evidence/kept/<run>/<sha256>.json            a request or a result, canonical JSON; the name is SHA-256 of its bytes
//! <state>/evidence/kept/<run>/<sha256>.redacted.json   the same, with at least one value replaced by `"[redacted]"`
//! <state>/evidence/kept/<run>/salt                     the run's salt, 64 hex digits, where hashes are salted
//! <state>/evidence/new/<n>                             a file that is being written; emptied at opening
//! <state>/evidence/erasing/<run>                       an erasure in progress: `{"erasure":…,"run_id":…}`
//! ```
//!
//! `<run>` is SHA-256 of the run's id, since an id may hold any character. Files have mode 0600, folders 0700; a folder is made when
//! there is something to keep in it. The event's `meta` leads to the file: `request_evidence` in `INVOKE`, `result_evidence` in
//! `RESULT`, and `request_redacted` or `result_redacted` with the number of values that were replaced. An unredacted result is named
//! by its event's `output_hash`; an unredacted request's `payload` has the event's `input_hash`. Where hashes are salted, so is the name:
//! HMAC-SHA256, with the run's salt, of what it would be else.
//!
//! The store belongs to the ledger's crate because it shares the writer's lock, the way to the disk, and the order of writes. A file
//! is durable before the event that names it (`open(O_CREAT|O_EXCL)`, `pwrite`, `fdatasync`, `rename`, `fsync` of the folder), so an
//! event never names a missing file. A crash in between leaves a file that no event names; it is removed with its run.
//!
//! Each run has a folder of its own. So erasing a run costs time in proportion to the run and not to the ledger, finds also what a
//! crash left, and cannot touch what another run kept, even where the bytes are the same.
//!
//! An erasure is recorded as `DISABLE` of the run `system` with an empty `plugin_id` and `meta` `{subject: "evidence", run, files,
//! erasure}`: an operator takes something away, as with a key. So a proof of the run's own events stays true, the event opens and
//! closes no call, and the registry's fold passes over it. The writer also lets it through when the disk is nearly full, which is
//! when it is needed most.
//! Its happy path: the note in `erasing`, durable; the event, durable; `unlink` of each file; `rmdir` and `fsync`; `unlink` of the
//! note. An erasure that is cut off after the first step is completed when the ledger is opened, or when the run is erased again.
//! Where the disk is too full even for the note, the erasure goes on without one.

mod document;
mod erase;
mod salt;
mod store;

pub use document::{Document, EvidenceLink, REQUEST_LINK};
pub use erase::{Erased, was_erased};
pub(crate) use erase::{complete_erasures, erase_evidence};
pub use salt::{Salt, is_salted};
pub(crate) use store::{Held, Store};
pub use store::{keeps_evidence, kept_evidence, salt_of};
