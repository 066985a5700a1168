//! A run's proof, as an operator exports it and as an auditor checks it, who has nothing but the bundle and the log's public key.
//!
//! `cargo run --example audit -- PACKAGE`, where PACKAGE is a folder such as `target/packages/hello-sh`.

use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

use ledger::{LogKey, verify_proof};
use plugin_gateway::{Payload, testing};

fn main() -> Result<(), Box<dyn Error>> {
    let package = env::args_os().nth(1).ok_or("usage: audit PACKAGE")?;
    let gateway = testing::Gateway::new()?;
    let plugin = gateway.install(&PathBuf::from(package))?;
    gateway.invoke(&plugin, Payload::text("hello there"))?;
    let bundle = gateway.export_proof(&testing::RUN.parse()?)?.to_bytes();

    // From here on it is the auditor's side. The key comes from the operator by another way, never from the bundle.
    let key = LogKey::parse(&fs::read_to_string(gateway.state().join("log.pub"))?)?;
    let report = verify_proof(&bundle, &key);
    for check in &report.checks {
        print(&format!("{:<20} {}", check.name, check.outcome.word()));
    }
    if !report.valid {
        return Err("the proof does not hold".into());
    }
    // One changed byte of any event is seen.
    let changed =
        String::from_utf8(bundle)?.replacen("\"kind\":\"INVOKE\"", "\"kind\":\"RESULT\"", 1);
    if verify_proof(changed.as_bytes(), &key).valid {
        return Err("a changed bundle was taken for a proof".into());
    }
    print("valid, and one changed word is seen");
    Ok(())
}

#[expect(clippy::print_stdout, reason = "an example shows what it did")]
fn print(line: &str) {
    println!("{line}");
}
