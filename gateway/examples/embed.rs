//! A host with the gateway inside: a plugin is installed in a throw-away state and asked once.
//!
//! `cargo run --example embed -- PACKAGE TEXT`, where PACKAGE is a folder such as `target/packages/hello-sh`. A host that keeps
//! its state opens one that `plugin-gateway init` made, with `Gateway::open`, in place of the one for tests.

use std::env;
use std::error::Error;
use std::path::PathBuf;

use plugin_gateway::{Payload, testing};

fn main() -> Result<(), Box<dyn Error>> {
    let [package, text] = arguments()?;
    let gateway = testing::Gateway::new()?;
    let plugin = gateway.install(&PathBuf::from(package))?;
    // What comes back was written down before: there is no other way to an outcome.
    let outcome = gateway.invoke(&plugin, Payload::text(text))?;
    let event = outcome.event().event_hash;
    let response = outcome.into_inner().response;
    print(&format!("{} {}", response.status, response.notes));
    print(&serde_json::to_string_pretty(&response.result)?);
    print(&format!("recorded as {event}"));
    Ok(())
}

fn arguments() -> Result<[String; 2], &'static str> {
    let given: Vec<String> = env::args().skip(1).collect();
    given.try_into().map_err(|_| "usage: embed PACKAGE TEXT")
}

#[expect(clippy::print_stdout, reason = "an example shows what it did")]
fn print(line: &str) {
    println!("{line}");
}
