pub(crate) mod publish;
pub(crate) mod thread;
pub(crate) mod writer;
