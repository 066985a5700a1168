//! Packages made on the spot: a manifest that is valid until a test changes it, and files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

/// A package in the making.
#[derive(Debug, Clone)]
pub struct Package {
    /// The manifest.
    pub manifest: Value,
    files: Vec<(String, Vec<u8>, u32)>,
}

/// A manifest that breaks no rule: text in, JSON out.
pub fn manifest(id: &str, command: &[&str]) -> Value {
    json!({
        "plugin_id": id,
        "name": "A test plugin",
        "vendor": "The campaigns",
        "description": "Made on the spot by a test.",
        "version": "1.0.0",
        "api_version": "1.0.0",
        "supported_omega_api_versions": ">=1.0.0 <2.0.0",
        "capabilities": ["read_text", "write_report"],
        "io": {
            "inputs": [{ "kind": "text", "schema_ref": "text/1", "limits": { "max_bytes": 65536 } }],
            "outputs": [{ "kind": "json", "schema_ref": "any/1", "limits": { "max_bytes": 65536 } }]
        },
        "limits": { "max_bytes": 131_072, "max_ms": 20_000, "max_concurrency": 64 },
        "determinism": { "mode": "deterministic", "notes": "" },
        "evidence": { "log_level": "minimal", "redactions": [] },
        "entrypoint": { "type": "process", "command": command }
    })
}

impl Package {
    /// A package whose entry is the native program `bytes`.
    pub fn native(id: &str, bytes: &[u8]) -> Self {
        Self {
            manifest: manifest(id, &["./program"]),
            files: Vec::new(),
        }
        .file("program", bytes, 0o755)
    }

    /// A package whose entry is a script under a runtime.
    pub fn script(id: &str, runtime: &str, text: &str) -> Self {
        let mut package = Self {
            manifest: manifest(id, &[runtime, "script"]),
            files: Vec::new(),
        }
        .file("script", text.as_bytes(), 0o644);
        // Interpreters reserve more than a small native program does.
        package.manifest["limits"]["max_memory_bytes"] = json!(1_u64 << 30);
        package
    }

    /// Adds a file.
    #[must_use]
    pub fn file(mut self, path: &str, bytes: &[u8], mode: u32) -> Self {
        self.files.push((path.to_owned(), bytes.to_vec(), mode));
        self
    }

    /// Changes the manifest.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.manifest);
        self
    }

    /// Writes the package into `folder`.
    pub fn write(&self, folder: &Path) {
        fs::write(
            folder.join("plugin.json"),
            serde_json::to_vec_pretty(&self.manifest).unwrap(),
        )
        .unwrap();
        for (path, bytes, mode) in &self.files {
            let file = folder.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, bytes).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(*mode)).unwrap();
        }
    }
}
