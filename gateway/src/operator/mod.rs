//! An operator's and author's tools beside the eight operations. None of them prints.

mod doctor;
mod inventory;
mod keys;
mod trial;
mod validation;

pub(crate) use doctor::examine;
pub(crate) use inventory::{details, inventory, parse_id};
pub(crate) use keys::sign;
pub(crate) use trial::{Trial, trial};
pub(crate) use validation::validate;
