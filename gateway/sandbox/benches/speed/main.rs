//! How fast the sandbox alone is, without ledger or checks. It measures and judges nothing: `scripts/bench` runs it.
//!
//! usage: speed [alone|layers|left]

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench prints, and ends when something does not work"
)]

mod alone;
mod jail;
#[expect(dead_code, reason = "the other bench uses the other half of the kit")]
#[path = "../../../../tests/benches/speed/kit/mod.rs"]
mod kit;
mod layers;
mod left;
mod peers;

fn main() {
    // cargo bench adds a flag of its own.
    match std::env::args()
        .skip(1)
        .find(|word| !word.starts_with("--"))
        .as_deref()
    {
        Some("layers") => layers::measure(),
        Some("left") => left::measure(),
        _ => alone::measure(),
    }
}
