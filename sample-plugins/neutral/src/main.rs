//! A sample plugin.
fn main() {}
