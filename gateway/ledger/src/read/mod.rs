pub(crate) mod index;
pub(crate) mod mark;
pub(crate) mod ordered;
pub(crate) mod query;
pub(crate) mod tally;
pub(crate) mod verify;
pub(crate) mod walk;
