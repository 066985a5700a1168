pub(crate) mod bundle;
pub(crate) mod check;
