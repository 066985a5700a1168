//! Mistakes with the package: what is missing, what is there and may not be, and what this machine cannot run.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use campaigns::answers::prompt;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Row, command, script};

#[test]
fn inv_pnp_10_mistakes_with_the_package_are_told_with_their_cure() {
    super::told(rows());
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = entrypoint();
    rows.extend(programs());
    rows.extend(entries());
    rows.extend(places());
    rows
}

/// Gives the folder another entrypoint.
fn enter(folder: &Path, command: &[&str]) {
    let file = folder.join("plugin.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    manifest["entrypoint"]["command"] = json!(command);
    fs::write(file, manifest.to_string()).unwrap();
}

/// Puts other bytes in the program's place.
fn program(folder: &Path, bytes: &[u8]) {
    fs::write(folder.join("program"), bytes).unwrap();
}

fn entrypoint() -> Vec<Row> {
    vec![
        Row::folder(
            "a program that is not in the package",
            |folder| fs::remove_file(folder.join("program")).unwrap(),
            "'program' is not in the package",
            "add the file",
        ),
        Row::folder(
            "a script that is not in the package",
            |folder| enter(folder, &["python3", "main.py"]),
            "'main.py' is not in the package",
            "add the file",
        ),
        Row::folder(
            "a program without the executable bit",
            |folder| {
                fs::set_permissions(folder.join("program"), fs::Permissions::from_mode(0o644))
                    .unwrap()
            },
            "'program' is not executable",
            "run chmod +x on it",
        ),
        Row::folder(
            "a folder in the program's place",
            |folder| {
                fs::create_dir(folder.join("bin")).unwrap();
                fs::write(folder.join("bin/hello"), "x").unwrap();
                enter(folder, &["./bin"]);
            },
            "'bin' is a folder",
            "name the file in it",
        ),
        Row::folder(
            "a runtime without a script",
            |folder| enter(folder, &["python3"]),
            "'python3' is not in the package",
            "a runtime is followed by its script",
        ),
        Row::folder(
            "a command in one word",
            |folder| enter(folder, &["python3 main.py"]),
            "is not in the package",
            "[\"python3\", \"main.py\"]",
        ),
        Row::folder(
            "a program of the host",
            |folder| enter(folder, &["/usr/bin/python3", "main.py"]),
            "it is absolute",
            "write it relative to plugin.json",
        ),
        Row::folder(
            "a program above the package",
            |folder| enter(folder, &["../program"]),
            "it holds '..'",
            "write it relative to plugin.json",
        ),
        Row::folder(
            "a program with arguments and no slash",
            |folder| enter(folder, &["program", "program"]),
            "'program' is read as a runtime's name",
            "write \"./program\"",
        ),
    ]
}

fn programs() -> Vec<Row> {
    vec![
        Row::folder(
            "a script without its runtime",
            |folder| program(folder, b"#!/usr/bin/env python3\nprint(1)\n"),
            "is a script",
            "name its runtime before it",
        ),
        Row::folder(
            "a script with Windows line ends",
            |folder| program(folder, b"#!/bin/sh\r\necho\r\n"),
            "is a script",
            "name its runtime before it",
        ),
        Row::package(
            "Windows line ends in a script of the shell",
            || {
                script(
                    "sh",
                    "main.sh",
                    "read -r line\r\nif true; then\r\n  :\r\nfi\r\n",
                )
            },
            "Windows line ends",
            "sed -i",
        ),
        Row::folder(
            "a program for another processor",
            |folder| {
                let mut bytes = fs::read(folder.join("program")).unwrap();
                bytes[18..20].copy_from_slice(&183_u16.to_le_bytes());
                program(folder, &bytes);
            },
            "is a program for another kind of processor",
            "build it for this one",
        ),
        Row::folder(
            "a program for Windows",
            |folder| program(folder, b"MZ\x90\0\x03\0\0\0"),
            "is a program for Windows",
            "build it for Linux",
        ),
        Row::folder(
            "a program for macOS",
            |folder| program(folder, b"\xcf\xfa\xed\xfe\x0c\0\0\x01"),
            "is a program for macOS",
            "build it for Linux",
        ),
        Row::folder(
            "an empty program",
            |folder| program(folder, b""),
            "is empty",
            "build it",
        ),
        Row::folder(
            "a program cut off on its way",
            |folder| {
                let bytes = fs::read(folder.join("program")).unwrap();
                program(folder, &bytes[..60]);
            },
            "its program headers are damaged",
            "build it anew",
        ),
        Row::folder(
            "a source file as the program",
            |folder| program(folder, b"int main(void) { return 0; }\n"),
            "is not a Linux program (ELF)",
            "build it for Linux",
        ),
    ]
}

fn entries() -> Vec<Row> {
    vec![
        Row::folder(
            "a link out of the package",
            |folder| symlink("/etc/hosts", folder.join("hosts")).unwrap(),
            "'hosts' is refused: it is a symbolic link out of the package",
            "put the file itself in its place",
        ),
        Row::folder(
            "a virtual environment",
            |folder| {
                fs::create_dir(folder.join("venv")).unwrap();
                fs::write(folder.join("venv/pyvenv.cfg"), "home = /usr/bin\n").unwrap();
            },
            "it belongs to a virtual environment",
            "pip install --target",
        ),
        Row::folder(
            "a setuid bit",
            |folder| {
                fs::set_permissions(folder.join("program"), fs::Permissions::from_mode(0o4755))
                    .unwrap()
            },
            "setuid",
            "remove it with chmod",
        ),
        Row::folder(
            "a pipe in the package",
            |folder| {
                nix::unistd::mkfifo(&folder.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
            },
            "it is neither a regular file nor a folder",
            "remove it",
        ),
        Row::folder(
            "a manifest by a link",
            |folder| {
                fs::rename(folder.join("plugin.json"), folder.join("other.json")).unwrap();
                symlink("other.json", folder.join("plugin.json")).unwrap();
            },
            "it is a symbolic link",
            "put the file itself in its place",
        ),
        Row::folder(
            "folders that are too deep",
            |folder| fs::create_dir_all(folder.join(["a"; 40].join("/"))).unwrap(),
            "more than 32 folders deep",
            "move",
        ),
    ]
}

fn places() -> Vec<Row> {
    vec![
        Row::folder(
            "a package without a manifest",
            |folder| fs::remove_file(folder.join("plugin.json")).unwrap(),
            "it has no plugin.json",
            "put the manifest beside the program",
        ),
        Row::folder(
            "a manifest of another name",
            |folder| fs::rename(folder.join("plugin.json"), folder.join("manifest.json")).unwrap(),
            "it has no plugin.json",
            "put the manifest beside the program",
        ),
        Row::verbs(
            "the folder above the package",
            1,
            |_| {
                let folder = TempDir::new().unwrap();
                let inner = folder.path().join("hello");
                fs::create_dir(&inner).unwrap();
                prompt("p.test.mistake").write(&inner);
                command(&["validate"], folder.path(), &[])
            },
            "it has no plugin.json",
            "name the folder 'hello' in it",
        ),
        Row::verbs(
            "the manifest in the package's place",
            1,
            |_| {
                let folder = TempDir::new().unwrap();
                prompt("p.test.mistake").write(folder.path());
                command(
                    &["run"],
                    &folder.path().join("plugin.json"),
                    &["--text", "x"],
                )
            },
            "it is a file",
            "name the folder that holds plugin.json",
        ),
        Row::verbs(
            "a manifest that is not there",
            2,
            |_| command(&["validate"], Path::new("/nowhere/plugin.json"), &[]),
            "cannot read the manifest '/nowhere/plugin.json'",
            "name a manifest file or a package's folder",
        ),
        Row::verbs(
            "a package that is not there",
            2,
            |_| command(&["run"], Path::new("/nowhere/at/all"), &["--text", "x"]),
            "/nowhere/at/all",
            "name the folder that holds plugin.json",
        ),
    ]
}
