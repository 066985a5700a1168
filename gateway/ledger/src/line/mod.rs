pub(crate) mod chain;
pub(crate) mod event;
pub(crate) mod scan;
