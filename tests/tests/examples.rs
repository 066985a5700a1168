//! The examples beside the gateway do what they say, built as they stand.

use std::process::Command;

use campaigns::Said;
use campaigns::command::{binary, finish, sample};

/// Runs one example on the sample in the shell's language.
fn example(name: &str, more: &[&str]) -> Said {
    let program = binary().with_file_name("examples").join(name);
    assert!(
        program.exists(),
        "{} is missing: run `cargo build --examples` first",
        program.display()
    );
    let mut command = Command::new(program);
    command.arg(sample("hello-sh")).args(more);
    finish(command, b"").expect(0)
}

#[test]
fn inv_pnp_01_a_host_with_the_gateway_inside() {
    let said = example("embed", &["hello there"]).stdout;
    assert!(said.starts_with("ok"), "{said}");
    assert!(said.contains("recorded as "), "{said}");
}

#[test]
fn inv_pnp_01_several_plugins_on_one_request() {
    let said = example("pipeline", &[]).stdout;
    assert!(said.contains("p.hello.sh: ok"), "{said}");
    assert!(said.trim_end().ends_with("all: ok"), "{said}");
}

#[test]
fn inv_pnp_07_an_auditor_checks_a_proof_with_a_key_alone() {
    let said = example("audit", &[]).stdout;
    assert!(said.contains("run_completeness     pass"), "{said}");
    assert!(
        said.contains("valid, and one changed word is seen"),
        "{said}"
    );
}
