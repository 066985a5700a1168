//! Checks a manifest file, or a package folder with everything that its manifest names.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use plugin_protocol::digest::PackageDigest;
use plugin_protocol::report::{Issue, Severity, ValidationReport};

use crate::config::Config;
use crate::error::Error;
use crate::router::{findings, sandbox_settings};
use registry::{MANIFEST_FILE, Package};
use sandbox::Runtimes;
use validator::{CheckedManifest, Entry};

/// The largest manifest file that is read, in bytes; the validator refuses much smaller ones.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Every finding about a manifest or package.
#[derive(Debug)]
pub(crate) struct Validated {
    pub(crate) report: ValidationReport,
    /// What a signature covers; none of a manifest alone.
    pub(crate) digest: Option<PackageDigest>,
}

/// Looks at the manifest file or package folder at `path`.
pub(crate) fn validate(path: &Path) -> Result<Validated, Error> {
    if path.is_dir() {
        package(path)
    } else {
        let (report, _) = validator::check_manifest(&manifest_bytes(path)?);
        Ok(Validated {
            report,
            digest: None,
        })
    }
}

/// Why this host, with the operator's settings, has nothing to run the package in `folder` with: a warning, since another host may have it.
/// None for a program, and where the manifest cannot be read, which others say.
pub(crate) fn host_warning(folder: &Path, config: &Config) -> Result<Option<Issue>, Error> {
    let runtimes = sandbox_settings(config)?.runtimes;
    Ok(host_warning_by(folder, &runtimes))
}

/// The same, where the runtimes are known.
pub(crate) fn host_warning_by(folder: &Path, runtimes: &Runtimes) -> Option<Issue> {
    let bytes = manifest_bytes(&folder.join(MANIFEST_FILE)).ok()?;
    host_warning_of(&bytes, runtimes)
}

/// The same of a manifest's bytes.
pub(crate) fn host_warning_of(manifest: &[u8], runtimes: &Runtimes) -> Option<Issue> {
    let (_, manifest) = validator::check_manifest(manifest);
    let Entry::Runtime { name, .. } = manifest.as_ref()?.entry() else {
        return None;
    };
    runtimes.obstacle(name).map(|obstacle| {
        let names = runtimes.names();
        let near = validator::nearest(name, names.iter().map(String::as_str).filter(|near| near != name));
        let meant = near.map_or(String::new(), |near| format!("if '{near}' is meant, write that; "));
        Issue {
            field: "/entrypoint/command/0".to_owned(),
            message: format!(
                "{obstacle}: here it cannot run; {meant}runtimes that are known: {}; another is set in config.toml by runtimes.{name} = {{ interpreter = \"PATH\" }}",
                names.join(", ")
            ),
            severity: Severity::Warning,
        }
    })
}

/// The manifest of the package in `folder`; none where it is not valid, which others say.
pub(crate) fn manifest_of(folder: &Path) -> Option<CheckedManifest> {
    let bytes = manifest_bytes(&folder.join(MANIFEST_FILE)).ok()?;
    validator::check_manifest(&bytes).1
}

fn package(path: &Path) -> Result<Validated, Error> {
    let package = Package::read(path)?;
    let (mut report, manifest) = validator::check_manifest(package.manifest_bytes());
    if let Some(manifest) = manifest {
        report.issues.extend(findings(&manifest, &package));
        report.valid = report
            .issues
            .iter()
            .all(|issue| issue.severity != Severity::Error);
    }
    let digest = Some(package.digest());
    Ok(Validated { report, digest })
}

fn manifest_bytes(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut bytes))
        .map_err(Error::file("read the manifest", path))?;
    Ok(bytes)
}
