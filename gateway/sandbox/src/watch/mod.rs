//! One run from its start to its end: the pipes, the clock, and the judgement of how it ended. It never reads what an answer means.

mod memory;
pub(crate) mod process;
pub(crate) mod run;
pub(crate) mod streams;
mod talk;
mod threads;
pub(crate) mod watching;
