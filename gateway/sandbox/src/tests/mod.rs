//! The sandbox from outside: what plugins can do, what they are refused, what bounds them, and what the host must offer.

mod alone;
mod cost;
mod echo;
mod every_call;
mod host;
#[expect(dead_code, reason = "the bench itself uses the other half of the kit")]
#[path = "../../../../tests/benches/speed/kit/mod.rs"]
mod kit;
mod launcher;
mod limits;
mod peers;
mod races;
mod refuse;
mod runtimes;
mod support;

#[test]
fn again_as_an_ordinary_user() {
    support::again_as_an_ordinary_user();
}
