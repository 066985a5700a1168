//! An operator's and author's tools beside the eight operations. None of them prints.

mod doctor;
mod inventory;
mod keys;
mod trial;

pub(crate) use doctor::{Check, Health, examine};
pub(crate) use inventory::{Details, details, inventory};
pub(crate) use keys::sign;
pub(crate) use trial::{Trial, trial};
