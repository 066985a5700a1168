//! Refused and hostile calls: what was asked for, whose it was, and what comes of it. It decides nothing about calls that the filter lets through.

pub(crate) mod judge;
pub(crate) mod reports;
pub(crate) mod run;
pub(crate) mod view;
