//! The plugin gateway: the one door between a host and the plugins that it does not trust.

#[doc(hidden)]
pub mod registry;

#[doc(hidden)]
pub mod validator;
