//! What the campaigns share.
