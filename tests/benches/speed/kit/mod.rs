//! What all measures of speed share: rounds of contestants in turns, the plugin, the bare way to start it, and one line of the table.
//!
//! The bench is one user of it, the gateway's own ignored tests are the other: they reach the sandbox alone, which the library
//! does not show.

pub(crate) mod bare;
pub(crate) mod echo;
pub(crate) mod measure;
pub(crate) mod row;

pub(crate) use bare::Bare;
pub(crate) use echo::Echo;
pub(crate) use measure::{Call, Contest, Plan, Undisturbed};
pub(crate) use row::{Target, Unit, row, skipped};
