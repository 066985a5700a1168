//! Makes plugin processes: what the host has for that, the launchers, and the user id, control group and rules of each process. It never looks at
//! what a plugin says.

pub(crate) mod cgroup;
pub(crate) mod children;
pub(crate) mod keeper;
pub(crate) mod launcher;
pub(crate) mod launchers;
pub(crate) mod letter;
pub(crate) mod means;
pub(crate) mod order;
pub(crate) mod rules;
pub(crate) mod uids;
