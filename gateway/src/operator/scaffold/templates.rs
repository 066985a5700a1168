//! The files of a new plugin in each language: those of the samples and SDKs, and the build script of a compiled one.

/// A file of a template: its path and its text.
pub(super) type File = (&'static str, &'static str);

/// The files of a new plugin in one language.
pub(super) struct Template {
    pub(super) manifest: &'static str,
    /// Files of the package.
    pub(super) package: &'static [File],
    /// Files beside it, from which its program is built.
    pub(super) sources: &'static [File],
    /// The file to change.
    pub(super) program: &'static str,
}

/// The schema of the answer, the same in each language.
const SCHEMA: File = (
    "schemas/hello.json",
    include_str!("../../../../sample-plugins/hello-python/schemas/hello.json"),
);

/// The script that builds; it is the only file of a template that is executable.
pub(super) const BUILD: &str = "build";

const BUILD_C: &str = r#"#!/bin/sh
# Compiles the program into the package. Static, it needs no file of the host; where the static C library is
# missing it is dynamic, and the gateway shows it the libraries.
set -eu
cd "$(dirname "$0")"
compile() { cc -std=c99 -Wall -Wextra -O2 -s "$@" hello.c -o ../{name}/hello; }
compile -static 2>/dev/null || compile
"#;

const BUILD_RUST: &str = r#"#!/bin/sh
# Compiles the program into the package. Static, it needs no file of the host.
set -eu
cd "$(dirname "$0")"
host=$(rustc -vV | sed -n 's/^host: //p')
RUSTFLAGS='-C target-feature=+crt-static -C strip=symbols' cargo build --quiet --release --target "$host"
install -m 755 "${CARGO_TARGET_DIR:-target}/$host/release/plugin" ../{name}/hello
"#;

const CARGO_TOML: &str = r#"[package]
name = "plugin"
version = "1.0.0"
edition = "2024"
publish = false

[dependencies]
plugin-protocol = { path = "{sdk}" }
serde_json = "1"

[profile.release]
debug = "line-tables-only"
lto = "thin"

# A project of its own, whatever folder it is in.
[workspace]
"#;

pub(super) const C: Template = Template {
    manifest: include_str!("../../../../sample-plugins/hello-c/plugin.json"),
    package: &[SCHEMA],
    sources: &[
        (
            "hello.c",
            include_str!("../../../../sample-plugins/hello-c/hello.c"),
        ),
        (
            "plugin.h",
            include_str!("../../../../plugin-protocol/sdk/c/plugin.h"),
        ),
        (BUILD, BUILD_C),
    ],
    program: "hello.c",
};

pub(super) const NODE: Template = Template {
    manifest: include_str!("../../../../sample-plugins/hello-node/plugin.json"),
    package: &[
        SCHEMA,
        (
            "hello.js",
            include_str!("../../../../sample-plugins/hello-node/hello.js"),
        ),
        (
            "omega-plugin.js",
            include_str!("../../../../plugin-protocol/sdk/node/omega-plugin.js"),
        ),
    ],
    sources: &[],
    program: "hello.js",
};

pub(super) const PYTHON: Template = Template {
    manifest: include_str!("../../../../sample-plugins/hello-python/plugin.json"),
    package: &[
        SCHEMA,
        (
            "hello.py",
            include_str!("../../../../sample-plugins/hello-python/hello.py"),
        ),
        (
            "omega_plugin.py",
            include_str!("../../../../plugin-protocol/sdk/python/omega_plugin.py"),
        ),
    ],
    sources: &[],
    program: "hello.py",
};

pub(super) const RUST: Template = Template {
    manifest: include_str!("../../../../sample-plugins/hello-rust/plugin.json"),
    package: &[SCHEMA],
    sources: &[
        (
            "src/main.rs",
            include_str!("../../../../sample-plugins/hello-rust/src/main.rs"),
        ),
        ("Cargo.toml", CARGO_TOML),
        (".gitignore", "target/\n"),
        (BUILD, BUILD_RUST),
    ],
    program: "src/main.rs",
};

pub(super) const SH: Template = Template {
    manifest: include_str!("../../../../sample-plugins/hello-sh/plugin.json"),
    package: &[
        SCHEMA,
        (
            "hello.sh",
            include_str!("../../../../sample-plugins/hello-sh/hello.sh"),
        ),
        (
            "omega-plugin.sh",
            include_str!("../../../../plugin-protocol/sdk/sh/omega-plugin.sh"),
        ),
    ],
    sources: &[],
    program: "hello.sh",
};

pub(super) const WORKER: Template = Template {
    manifest: include_str!("../../../../sample-plugins/hello-worker/plugin.json"),
    package: &[
        SCHEMA,
        (
            "dist/worker.js",
            include_str!("../../../../sample-plugins/hello-worker/dist/worker.js"),
        ),
    ],
    sources: &[],
    program: "dist/worker.js",
};
