//! The command `plugin-gateway`.
fn main() {}
