pub(crate) mod init;
pub(crate) mod quarantine;
pub(crate) mod recover;
pub(crate) mod survey;
pub(crate) mod torn;
