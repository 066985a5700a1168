//! An operator's and author's tools beside the eight operations. None of them prints.

mod backup;
mod certify;
mod doctor;
mod door;
mod fleet_proof;
mod harness;
mod import;
mod inventory;
mod keys;
mod live;
mod page;
mod proofs;
mod replay;
mod scaffold;
mod tools;
mod trial;
mod validation;
mod watch;
mod witnesses;

pub(crate) use backup::backup;
pub(crate) use certify::{ComplianceReport, certify, sarif};
pub(crate) use doctor::{examine, layers};
pub(crate) use door::{
    Door, LogFormat, LogLevel, Registered, Removed, Serve, Told, TrustChange, check_anchor, init,
    metrics, metrics_of, reach, settings, version,
};
pub(crate) use harness::Harness;
pub(crate) use import::{Imported, ImportedTool, import};
pub(crate) use inventory::{details, inventory, parse_id};
pub(crate) use keys::sign;
pub(crate) use live::{SOCKET, methods, short_path};
pub(crate) use page::{Page, page, page_of_file};
pub(crate) use proofs::{carriers, read_proof, verify_proof};
pub(crate) use replay::{Comparison, Replay, replay};
pub(crate) use scaffold::{Language, Made, from_omega, scaffold};
pub(crate) use tools::{NO_TOOL, Servers, Tool, tool_words, tools};
pub(crate) use trial::{Trial, trial};
pub(crate) use validation::{Validated, host_warning, host_warning_of, validate};
pub(crate) use watch::Look;
pub(crate) use witnesses::{
    add_witness, edge, missing, policy, prove_event, publish, remove_witness, witnesses,
};
