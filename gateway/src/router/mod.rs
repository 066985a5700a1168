//! One call from request to answer. The router alone talks to all rooms; no room talks to another.

mod breaker;
mod budget;
mod cause;
mod denial;
mod diagnosis;
mod discarded;
mod evidence;
mod exchange;
mod export;
mod files;
mod invocation;
mod judge;
mod looks;
mod metrics;
mod pipeline;
mod pool;
mod prepare;
mod record;
mod refusal;
mod registration;
mod settings;
mod slots;
mod stock;
mod talk;
mod witnessed;

pub use cause::Cause;
pub use record::{Invoke, Outcome};

pub(crate) use denial::{changes_files, told as told_denials};
pub(crate) use diagnosis::{Diagnosis, is_nearly_full, likely};
pub(crate) use exchange::Call;
pub(crate) use export::proof_extras;
pub(crate) use files::{InStore, findings};
pub(crate) use invocation::Router;
pub(crate) use judge::CANCELLED_NOTES;
pub(crate) use metrics::{CONTENT_TYPE, Counts};
pub(crate) use pipeline::Pipeline;
pub(crate) use registration::{Candidate, RegistryEvent, Rejection};
pub(crate) use settings::sandbox_settings;
pub(crate) use witnessed::{Standing, awaiting};
