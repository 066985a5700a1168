//! The plugin gateway.
