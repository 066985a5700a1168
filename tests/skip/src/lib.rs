//! Says that a test could not be run here, and why. A test never returns early without it.
//!
//! With `REQUIRE_ALL=1` in the environment, as in `.ci/run`, a test that cannot be run fails, so that a green run skipped
//! nothing. Only what a package registry did not give is passed over even then: its bad hour is nobody's fault here.

#![forbid(unsafe_code)]

use std::io::Write as _;

/// The variable that turns a skipped test into a failed one.
const REQUIRE_ALL: &str = "REQUIRE_ALL";

/// The calling test cannot be run, for this reason. Return from it afterwards.
///
/// # Panics
/// With `REQUIRE_ALL=1`.
#[expect(
    clippy::panic,
    reason = "a test that must not be skipped fails by panicking"
)]
pub fn skip(reason: &str) {
    tell(reason);
    if std::env::var_os(REQUIRE_ALL).is_some_and(|value| value == "1") {
        panic!("skipped, and {REQUIRE_ALL}=1 says that nothing may be: {reason}");
    }
}

/// The calling test cannot be run because a package registry did not give what it needs. Return from it afterwards.
pub fn skip_for_registry(reason: &str) {
    tell(reason);
}

/// Says it on the real stderr, which the test runner does not keep to itself.
fn tell(reason: &str) {
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    let told = writeln!(std::io::stderr(), "skipped {name}: {reason}");
    debug_assert!(told.is_ok(), "stderr can be written");
}
