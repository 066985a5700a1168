//! Mistakes with what a plugin imports: what is not in the package, and what does not fit what runs it.

use std::fs;
use std::path::Path;
use std::process::Command;

use campaigns::Package;
use serde_json::json;
use tempfile::TempDir;

use super::{PYTHON, Row, script};

#[test]
fn inv_pnp_10_mistakes_with_imports_are_told_with_their_cure() {
    super::told(rows());
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = python();
    rows.extend(node());
    rows.extend(others());
    if !Path::new(MUSL).exists() {
        rows.push(Row::package(
            "a program for another C library",
            || Package::native("p.test.mistake", &linked_with_musl()),
            "a C library that this host does not have",
            "link it with `-static`",
        ));
    }
    rows
}

fn python() -> Vec<Row> {
    vec![
        Row::python(
            "a Python module that is not in the package",
            "import no_such_thing.deep",
            "the Python module 'no_such_thing' is not in the package",
            "pip install --target PACKAGE no_such_thing",
        ),
        Row::python(
            "the SDK left behind",
            "import omega_plugin",
            "omega_plugin.py is not in the package",
            "copy it there",
        ),
        Row::python(
            "a module outside of the package",
            "sys.path.append('/opt/mylib')\nimport mylib",
            "the Python module 'mylib' is not in the package",
            "put it there",
        ),
        Row::python(
            "a relative import in the main file",
            "from . import helper",
            "a relative import works only inside of a Python package",
            "`import helper`",
        ),
        Row::python(
            "a name that a module does not have",
            "from json import no_such_name",
            "'no_such_name'",
            "another version",
        ),
        Row::package(
            "a file named as a standard module",
            || {
                let text = format!("{PYTHON}import random\nrandom.randint(1, 2)\n");
                script("python3", "main.py", &text).file("random.py", b"x = 1\n", 0o644)
            },
            "a file of the package has the name of a module",
            "rename",
        )
        .needs("python3"),
        Row::package(
            "a module compiled for another Python",
            || {
                let text = format!("{PYTHON}import fast._core\n");
                script("python3", "main.py", &text)
                    .file("fast/__init__.py", b"", 0o644)
                    .file(
                        "fast/_core.cpython-36m-x86_64-linux-gnu.so",
                        b"\x7fELF",
                        0o644,
                    )
            },
            "for another Python",
            "pip install --target PACKAGE fast",
        )
        .needs("python3"),
        Row::package(
            "a module compiled for another processor",
            || {
                let text = format!("{PYTHON}import fast\n");
                script("python3", "main.py", &text).file("fast.abi3.so", &foreign_program(), 0o644)
            },
            "for another kind of processor",
            "for x86_64",
        )
        .needs("python3"),
        Row::package(
            "an extension module whose library is missing",
            || {
                let text = format!("{PYTHON}import fast\n");
                script("python3", "main.py", &text).file("fast.abi3.so", &lacking_library(), 0o644)
            },
            "libnowhere.so",
            "$ORIGIN",
        )
        .needs("python3"),
        Row::script(
            "Python 2",
            ("python3", "main.py"),
            "import sys\nprint sys.stdin.readline()\n",
            "it is written for Python 2",
            "2to3",
        ),
        Row::script(
            "a syntax error",
            ("python3", "main.py"),
            "import sys\nx = (\n",
            "a syntax error",
            "line",
        ),
    ]
}

fn node() -> Vec<Row> {
    let module = ("node", "main.mjs");
    vec![
        Row::node(
            "a Node package that is not vendored",
            "require('left-pad');",
            "the Node module 'left-pad' is not in the package",
            "npm install --prefix PACKAGE left-pad",
        ),
        Row::script(
            "the same by import",
            module,
            "import x from '@scope/left-pad/deep';\n",
            "the Node module '@scope/left-pad' is not in the package",
            "npm install --prefix PACKAGE @scope/left-pad",
        ),
        Row::node(
            "a file beside the program that is missing",
            "require('./helper.js');",
            "the file './helper.js' that it imports is not in the package",
            "put it there",
        ),
        Row::script(
            "import in a file for require",
            ("node", "main.cjs"),
            "import fs from 'fs';\nconsole.log(fs);\n",
            "has an `import`",
            ".mjs",
        ),
        Row::script(
            "require in a file for import",
            module,
            "const fs = require('fs');\n",
            "`require`",
            ".cjs",
        ),
        Row::script(
            "TypeScript in a file for JavaScript",
            ("node", "main.js"),
            "function greet(name: string): string { return name; }\ngreet('x');\n",
            "it is TypeScript",
            "--lang ts",
        ),
        Row::script(
            "a declaration of TypeScript's in a module",
            module,
            "interface A { x: number }\n",
            "it is TypeScript",
            "`tsc`",
        ),
        Row::node(
            "a function that this version does not have",
            "[1].noSuchMethod();",
            "nobody caught TypeError: [1].noSuchMethod is not a function",
            "mend the line that the trace names",
        ),
    ]
}

fn others() -> Vec<Row> {
    vec![
        Row::script(
            "a Perl module that is not in the package",
            ("perl", "main.pl"),
            "use No::Such;\n",
            "the Perl module 'No::Such' is not in the package",
            "cpanm -L PACKAGE/local No::Such",
        ),
        Row::script(
            "a gem that is not in the package",
            ("ruby", "main.rb"),
            "require 'no_such_thing'\n",
            "the Ruby file or gem 'no_such_thing' is not in the package",
            "gem unpack no_such_thing",
        ),
        Row::package(
            "a program's library that is missing",
            || Package::native("p.test.mistake", &linked_with_nowhere()),
            "the library 'libnowhere.so' is not in the package",
            "$ORIGIN/lib",
        ),
        Row::package(
            "a jar that is none",
            || {
                script("java", "app.jar", "no jar").with(|manifest| {
                    manifest["limits"]["max_memory_bytes"] = json!(2_u64 << 30);
                })
            },
            "jar",
            "build it",
        )
        .needs("java"),
    ]
}

/// The loader of musl, where Debian and most others have none.
const MUSL: &str = "/lib/ld-musl-x86_64.so.1";

/// A program that was linked for musl.
fn linked_with_musl() -> Vec<u8> {
    let loader = format!("-Wl,--dynamic-linker={MUSL}");
    linked("int main(void) { return 0; }", &[&loader])
}

/// A shared library by its headers, for the processor aarch64.
fn foreign_program() -> Vec<u8> {
    let mut bytes = library("int x;", &[]);
    bytes[18..20].copy_from_slice(&183_u16.to_le_bytes());
    bytes
}

/// A library that needs another one, which is nowhere.
fn lacking_library() -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let nowhere = folder.path().join("libnowhere.so");
    let named = "-Wl,-soname,libnowhere.so";
    let bytes = library("int nowhere(void) { return 1; }", &[named]);
    fs::write(&nowhere, bytes).unwrap();
    library(
        "int nowhere(void); int here(void) { return nowhere(); }",
        &[nowhere.to_str().unwrap()],
    )
}

fn library(text: &str, with: &[&str]) -> Vec<u8> {
    linked(text, &[&["-shared", "-fPIC"], with].concat())
}

/// A program that needs a library, which is nowhere.
fn linked_with_nowhere() -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let nowhere = folder.path().join("libnowhere.so");
    let named = "-Wl,-soname,libnowhere.so";
    let bytes = library("int nowhere(void) { return 1; }", &[named]);
    fs::write(&nowhere, bytes).unwrap();
    linked(
        "int nowhere(void); int main(void) { return nowhere(); }",
        &[nowhere.to_str().unwrap()],
    )
}

fn linked(text: &str, with: &[&str]) -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let (source, made) = (folder.path().join("a.c"), folder.path().join("made"));
    fs::write(&source, text).unwrap();
    let mut cc = Command::new("cc");
    cc.arg("-o").arg(&made).arg(&source).args(with);
    assert!(cc.status().unwrap().success());
    fs::read(made).unwrap()
}
