//! The sandbox from outside: what plugins can do, what they are refused, what bounds them, and what the host must offer.

mod acts;
mod ahead;
mod channels;
mod compiled;
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
mod output;
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

/// The last by its name, so that it finds what the others compiled.
mod without_privileges {
    #[test]
    fn again_as_an_ordinary_user() {
        super::support::again_as_an_ordinary_user();
    }
}
