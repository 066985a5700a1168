//! Finds out what this host can enforce and says so; it never runs a plugin.

pub(crate) mod advice;
pub(crate) mod protections;
pub(crate) mod rehearsal;
pub(crate) mod threats;
