pub(crate) mod anchor;
pub(crate) mod checkpoint;
pub(crate) mod claims;
pub(crate) mod merkle;
pub(crate) mod tiles;
