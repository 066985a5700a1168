//! Compares what a manifest says about its package's files with the files; it never opens them itself.

use std::io;

use plugin_protocol::manifest::Entrypoint;
use plugin_protocol::report::Issue;

use super::redactions;
use super::words::{error, quoted};
use super::{CheckedManifest, Entry, Schemas};

/// A package's files by path, as the registry read and hashed them.
pub trait PackageFiles {
    /// Whether the file is there.
    fn contains(&self, path: &str) -> bool;
    /// Whether it is there and executable.
    fn executable(&self, path: &str) -> bool;
    /// Whether a folder is there.
    fn is_folder(&self, _path: &str) -> bool {
        false
    }
    /// Its bytes.
    ///
    /// # Errors
    /// When it cannot be read, or changed since it was hashed.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;
}

/// Checks that the files which the manifest names are there and are what it says.
#[must_use]
pub fn check_package(manifest: &CheckedManifest, files: &dyn PackageFiles) -> Vec<Issue> {
    let mut issues = match manifest.entry() {
        Entry::Program { path, .. } => program(path, is_bare(&manifest.entrypoint), files),
        Entry::Runtime { name, script, .. } => {
            let mut issues = present("/entrypoint/command/1", script, files);
            if files.contains(name) {
                let message = format!(
                    "'{name}' is read as a runtime's name: write \"./{name}\" for the file of the package"
                );
                issues.push(error("/entrypoint/command/0", message));
            }
            issues
        }
        Entry::Worker { file, .. } => present("/entrypoint/file", file, files),
    };
    match Schemas::compile(manifest, files) {
        Ok(schemas) => issues.extend(redactions::unnamed(manifest, &schemas)),
        Err(found) => issues.extend(found),
    }
    issues
}

/// Whether the command's first word has no `/`, so that its author may have meant a runtime.
fn is_bare(entrypoint: &Entrypoint) -> bool {
    match entrypoint {
        Entrypoint::Process { command } | Entrypoint::Mcp { command } => {
            command.iter().take(1).all(|word| !word.contains('/'))
        }
        Entrypoint::Worker { .. } => false,
    }
}

fn present(field: &str, path: &str, files: &dyn PackageFiles) -> Vec<Issue> {
    if files.contains(path) {
        return Vec::new();
    }
    let shown = quoted(path);
    let message = if files.is_folder(path) {
        format!("{shown} is a folder: name the file in it")
    } else {
        format!("{shown} is not in the package: add the file, or name another")
    };
    vec![error(field, message)]
}

fn program(path: &str, bare: bool, files: &dyn PackageFiles) -> Vec<Issue> {
    const FIELD: &str = "/entrypoint/command/0";
    let mut issues = present(FIELD, path, files);
    if let [missing] = issues.as_mut_slice() {
        if bare && path.contains(' ') {
            let words: Vec<String> = path
                .split_whitespace()
                .map(|word| format!("\"{word}\""))
                .collect();
            let words = words.join(", ");
            missing
                .message
                .push_str(&format!("; each word of a command stands alone: [{words}]"));
        } else if bare {
            missing.message.push_str(
                "; a runtime is followed by its script, for instance [\"python3\", \"./main.py\"]",
            );
        }
        return issues;
    }
    let shown = quoted(path);
    if !files.executable(path) {
        issues.push(error(
            FIELD,
            format!("{shown} is not executable: run chmod +x on it"),
        ));
    }
    match files.read(path) {
        Err(unread) => issues.push(error(FIELD, format!("{shown} cannot be read: {unread}"))),
        Ok(bytes) => {
            issues.extend(native(&bytes).map(|why| error(FIELD, format!("{shown} {why}"))))
        }
    }
    issues
}

/// How programs of other systems begin: PE, and Mach-O of one or several kinds of processor.
const FOREIGN: [(&[u8], &str); 4] = [
    (b"MZ", "is a program for Windows: build it for Linux"),
    (
        b"\xcf\xfa\xed\xfe",
        "is a program for macOS: build it for Linux",
    ),
    (
        b"\xca\xfe\xba\xbe\0\0\0\x02",
        "is a program for macOS: build it for Linux",
    ),
    (
        b"\xca\xfe\xba\xbe",
        "is a Java class: build a jar and name its runtime before it, for instance [\"java\", \"./app.jar\"]",
    ),
];

/// Why `bytes` are no program of this machine, if so. ELF's header (`elf(5)`): magic, class at 4, byte order at 5, machine at 18.
fn native(bytes: &[u8]) -> Option<&'static str> {
    const CLASS_64_LITTLE_ENDIAN: [u8; 2] = [2, 1];
    const MACHINE: u16 = if cfg!(target_arch = "aarch64") {
        183
    } else {
        62
    };
    if bytes.starts_with(b"#!") {
        return Some(
            "is a script: name its runtime before it, for instance [\"python3\", \"./main.py\"]",
        );
    }
    if let Some((_, why)) = FOREIGN.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Some(why);
    }
    if bytes.is_empty() {
        return Some("is empty: build it, and copy it whole");
    }
    if !bytes.starts_with(b"\x7fELF") {
        return Some(
            "is not a Linux program (ELF): build it for Linux, or name the runtime that reads it",
        );
    }
    let ours = bytes.get(4..6) == Some(&CLASS_64_LITTLE_ENDIAN)
        && bytes.get(18..20) == Some(&MACHINE.to_le_bytes());
    (!ours).then_some("is a program for another kind of processor: build it for this one")
}
