//! Refused and hostile calls: what was asked for, by which plugin, and what is done about it. It decides nothing about calls that the filter lets
//! through.

mod device;
pub(crate) mod judge;
mod pace;
mod path;
mod probes;
pub(crate) mod reports;
pub(crate) mod run;
pub(crate) mod view;
mod words;
