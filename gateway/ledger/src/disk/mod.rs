pub(crate) mod io;
pub(crate) mod layout;
pub(crate) mod lock;
pub(crate) mod reserve;
pub(crate) mod segment;
