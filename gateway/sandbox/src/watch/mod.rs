//! One run from its start to its end: the pipes, the clock, and what is made of how it went. It never reads what an answer means.

mod memory;
pub(crate) mod run;
pub(crate) mod streams;
pub(crate) mod watching;
