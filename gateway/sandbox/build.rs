//! Compiles the launcher: a program of a few kilobytes without any library, which the gateway carries within itself.

use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::process::Command;

/// Where the launcher's program begins.
const SOURCE: &str = "src/sys/launcher/start.rs";

/// A panic ends it, addresses are fixed so that nothing needs relocating, and no library is linked.
const FLAGS: &[&str] = &[
    "--edition=2024",
    "--crate-type=bin",
    "--crate-name=launcher",
    "--cfg=freestanding",
    "--check-cfg=cfg(freestanding, test)",
    "-Copt-level=2",
    "-Cpanic=abort",
    "-Crelocation-model=static",
    "-Cstrip=symbols",
    "-Clink-arg=-nostartfiles",
    "-Clink-arg=-nostdlib",
    "-Clink-arg=-static",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rustc-check-cfg=cfg(freestanding)");
    println!("cargo::rerun-if-changed=src/sys/launcher");
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name| env::var_os(name).ok_or_else(|| format!("cargo did not set {name}"));
    let program = PathBuf::from(variable("OUT_DIR")?).join("launcher");
    let mut compiler = Command::new(variable("RUSTC")?);
    compiler
        .args(FLAGS)
        .arg("--target")
        .arg(variable("TARGET")?);
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        compiler.arg("-C").arg({
            let mut argument = std::ffi::OsString::from("linker=");
            argument.push(linker);
            argument
        });
    }
    let status = compiler.arg("-o").arg(&program).arg(SOURCE).status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("the launcher cannot be compiled: {status}").into())
    }
}
