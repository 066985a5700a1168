//! What all measures of speed share: rounds of contestants in turns, the plugin, the bare way to start it, and one line of the table.
//!
//! The bench of the whole gateway is one user of it, the one of the sandbox alone the other.

pub(crate) mod bare;
pub(crate) mod echo;
pub(crate) mod measure;
pub(crate) mod row;

pub(crate) use bare::Bare;
pub(crate) use echo::Echo;
pub(crate) use measure::{Call, Contest, Plan, Undisturbed};
pub(crate) use row::{Target, Unit, row, skipped};
