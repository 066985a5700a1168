//! The files of a new plugin in each language: those in `files`, and the SDK's. `{name}`, `{id}` and their like are filled in as they are written.

/// A file of a template: its path and its text.
pub(super) type File = (&'static str, &'static str);

/// The files of a new plugin in one language, beside those that all have.
pub(super) struct Template {
    /// The manifest's member of that name.
    pub(super) entrypoint: &'static str,
    /// Files of the package.
    pub(super) package: &'static [File],
    /// Files beside it, from which its program is built.
    pub(super) sources: &'static [File],
    /// The file to change: of the sources where there are any, else of the package.
    pub(super) program: &'static str,
    /// The programs that build it.
    pub(super) needs: &'static [&'static str],
}

/// The manifest of all; what it leaves out has a default.
pub(super) const MANIFEST: &str = include_str!("files/plugin.json");

/// What every package has beside its manifest: schemas of what goes in and comes out, and the author's own tests.
pub(super) const COMMON: [File; 4] = [
    ("schemas/text.json", include_str!("files/schemas/text.json")),
    (
        "schemas/hello.json",
        include_str!("files/schemas/hello.json"),
    ),
    ("tests/words.json", include_str!("files/tests/words.json")),
    ("tests/empty.json", include_str!("files/tests/empty.json")),
];

/// It lies beside the program to change.
pub(super) const README: File = ("README.md", include_str!("files/README.md"));

/// The script that builds; it is the only file of a template that is executable.
pub(super) const BUILD: &str = "build";

const NATIVE: &str = r#"{ "type": "process", "command": ["./main"] }"#;

pub(super) const C: Template = Template {
    entrypoint: NATIVE,
    package: &[],
    sources: &[
        ("main.c", include_str!("files/c/main.c")),
        (
            "plugin.h",
            include_str!("../../../../plugin-protocol/sdk/c/plugin.h"),
        ),
        (BUILD, include_str!("files/c/build")),
    ],
    program: "main.c",
    needs: &["cc"],
};

pub(super) const GO: Template = Template {
    entrypoint: NATIVE,
    package: &[],
    sources: &[
        ("main.go", include_str!("files/go/main.go")),
        (
            "omegaplugin/omegaplugin.go",
            include_str!("../../../../plugin-protocol/sdk/go/omegaplugin.go"),
        ),
        (
            "omegaplugin/stdout_linux.go",
            include_str!("../../../../plugin-protocol/sdk/go/stdout_linux.go"),
        ),
        (
            "omegaplugin/stdout_other.go",
            include_str!("../../../../plugin-protocol/sdk/go/stdout_other.go"),
        ),
        ("go.mod", include_str!("files/go/go.mod.txt")),
        (BUILD, include_str!("files/go/build")),
    ],
    program: "main.go",
    needs: &["go"],
};

pub(super) const JAVA: Template = Template {
    entrypoint: r#"{ "type": "process", "command": ["java", "main.jar"] }"#,
    package: &[],
    sources: &[
        ("Main.java", include_str!("files/java/Main.java")),
        (
            "OmegaPlugin.java",
            include_str!("files/java/OmegaPlugin.java"),
        ),
        (".gitignore", "classes/\n"),
        (BUILD, include_str!("files/java/build")),
    ],
    program: "Main.java",
    needs: &["javac", "jar"],
};

const NODE_SDK: File = (
    "omega-plugin.js",
    include_str!("../../../../plugin-protocol/sdk/node/omega-plugin.js"),
);

pub(super) const NODE: Template = Template {
    entrypoint: r#"{ "type": "process", "command": ["node", "main.js"] }"#,
    package: &[("main.js", include_str!("files/node/main.js")), NODE_SDK],
    sources: &[],
    program: "main.js",
    needs: &[],
};

pub(super) const PYTHON: Template = Template {
    entrypoint: r#"{ "type": "process", "command": ["python3", "main.py"] }"#,
    package: &[
        ("main.py", include_str!("files/python/main.py")),
        (
            "omega_plugin.py",
            include_str!("../../../../plugin-protocol/sdk/python/omega_plugin.py"),
        ),
    ],
    sources: &[],
    program: "main.py",
    needs: &[],
};

pub(super) const RUST: Template = Template {
    entrypoint: NATIVE,
    package: &[],
    sources: &[
        ("src/main.rs", include_str!("files/rust/main.rs")),
        ("Cargo.toml", include_str!("files/rust/Cargo.toml.txt")),
        (".gitignore", "target/\n"),
        (BUILD, include_str!("files/rust/build")),
    ],
    program: "src/main.rs",
    needs: &["cargo"],
};

pub(super) const SH: Template = Template {
    entrypoint: r#"{ "type": "process", "command": ["sh", "main.sh"] }"#,
    package: &[
        ("main.sh", include_str!("files/sh/main.sh")),
        (
            "omega-plugin.sh",
            include_str!("../../../../plugin-protocol/sdk/sh/omega-plugin.sh"),
        ),
    ],
    sources: &[],
    program: "main.sh",
    needs: &[],
};

pub(super) const TYPESCRIPT: Template = Template {
    entrypoint: r#"{ "type": "process", "command": ["node", "main.mjs"] }"#,
    package: &[NODE_SDK],
    sources: &[
        ("src/main.mts", include_str!("files/ts/main.mts")),
        (
            "src/omega-plugin.d.ts",
            include_str!("../../../../plugin-protocol/sdk/node/omega-plugin.d.ts"),
        ),
        ("tsconfig.json", include_str!("files/ts/tsconfig.json")),
        ("package.json", include_str!("files/ts/package.json")),
        (".gitignore", "node_modules/\n"),
        (BUILD, include_str!("files/ts/build")),
    ],
    program: "src/main.mts",
    needs: &["node"],
};

pub(super) const WORKER: Template = Template {
    entrypoint: r#"{ "type": "worker", "file": "dist/worker.js", "export": "handleRequest" }"#,
    package: &[("dist/worker.js", include_str!("files/worker/worker.js"))],
    sources: &[],
    program: "dist/worker.js",
    needs: &[],
};
