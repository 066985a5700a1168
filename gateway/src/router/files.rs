//! A package's files as the validator asks for them, and all findings about a package. The registry, the validator and the sandbox
//! do not know each other; here they meet.

use std::io;

use plugin_protocol::report::{Issue, Severity};
use plugin_protocol::shown::cut;
use registry::{Package, StoredPackage};
use sandbox::Image;
use validator::{CheckedManifest, Entry, PackageFiles};

/// The most characters of a path that a message shows, as the validator's own messages do.
const PATH_CHARS: usize = 60;

/// Every finding about a package: the validator's, and the sandbox's about a native program that the validator lets pass.
pub(crate) fn findings(manifest: &CheckedManifest, package: &Package) -> Vec<Issue> {
    let files = Offered(package);
    let mut issues = validator::check_package(manifest, &files);
    if issues.iter().any(|issue| issue.severity == Severity::Error) {
        return issues;
    }
    if let Entry::Program { path, .. } = manifest.entry()
        && let Ok(bytes) = files.read(path)
        && let Err(refused) = Image::check(&bytes)
    {
        issues.push(Issue {
            field: "/entrypoint/command/0".to_owned(),
            message: format!("'{}': {refused}", cut(path, PATH_CHARS)),
            severity: Severity::Error,
        });
    }
    issues
}

/// The files of a folder that was read once; a file that the validator asks for is read again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offered<'a>(&'a Package);

/// The files of a package in the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InStore<'a>(pub(crate) &'a StoredPackage);

impl PackageFiles for Offered<'_> {
    fn contains(&self, path: &str) -> bool {
        self.0.contains(path)
    }

    fn executable(&self, path: &str) -> bool {
        self.0.executable(path)
    }

    fn is_folder(&self, path: &str) -> bool {
        self.0.has_folder(path)
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.0.file(path).map_err(io::Error::other)
    }
}

impl PackageFiles for InStore<'_> {
    fn contains(&self, path: &str) -> bool {
        self.0.contains(path)
    }

    fn executable(&self, path: &str) -> bool {
        self.0.executable(path)
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.0.file(path).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// Sets the flags of the stack's program header to "read and execute".
    fn with_executable_stack(mut program: Vec<u8>) -> Vec<u8> {
        let first = usize::from(program[32]);
        let mut headers = program[first..].chunks_exact_mut(56);
        let stack = headers.find(|header| header[..4] == 0x6474_e551_u32.to_le_bytes());
        stack.unwrap()[4] = 5;
        program
    }

    #[test]
    fn a_program_that_no_sandbox_would_run_is_found_before_it_is_registered() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = r#"{"plugin_id":"p.test.headers","name":"n","vendor":"v","description":"","supported_omega_api_versions":"^1.0.0","limits":{"max_bytes":1024,"max_ms":1000,"max_concurrency":1},"determinism":{"mode":"deterministic","notes":""},"evidence":{"log_level":"summary","redactions":[]},"version":"1.0.0","api_version":"1.0.0","capabilities":["read_text","write_report"],"io":{"inputs":[{"kind":"text","schema_ref":"any/1","limits":{"max_bytes":512}}],"outputs":[{"kind":"text","schema_ref":"any/1","limits":{"max_bytes":512}}]},"entrypoint":{"type":"process","command":["./run"]}}"#;
        fs::write(folder.path().join("plugin.json"), manifest).unwrap();
        let program = folder.path().join("run");
        let whole = fs::read("/bin/true").unwrap();
        for (bytes, found) in [
            (whole.clone(), None),
            (with_executable_stack(whole), Some("-z noexecstack")),
        ] {
            fs::write(&program, bytes).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
            let package = Package::read(folder.path()).unwrap();
            let (report, manifest) = validator::check_manifest(package.manifest_bytes());
            let issues = findings(&manifest.unwrap_or_else(|| panic!("{report:?}")), &package);
            let words = issues.first().map(|issue| issue.message.as_str());
            assert_eq!(words.is_some(), found.is_some(), "{issues:?}");
            assert!(
                words
                    .unwrap_or_default()
                    .contains(found.unwrap_or_default()),
                "{issues:?}"
            );
        }
    }
}
