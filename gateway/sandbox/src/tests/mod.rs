//! The sandbox from outside: what plugins can do, what they are refused, what bounds them, and what the host must offer.

mod acts;
mod channels;
mod echo;
mod ends;
mod every_call;
mod headers;
mod honest;
mod host;
mod launcher;
mod libraries;
mod limits;
mod musl;
mod orders;
mod poorer;
mod races;
mod reads;
mod refuse;
mod runtimes;
mod seeds;
mod shims;
mod support;
mod talks;
mod uncounted;

#[test]
fn again_as_an_ordinary_user() {
    support::again_as_an_ordinary_user();
}
