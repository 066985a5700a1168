//! The plugin gateway.

#[doc(hidden)]
pub mod sandbox;
pub(crate) mod sys;
