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
use validator::Entry;

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
    let Ok(bytes) = manifest_bytes(&folder.join(MANIFEST_FILE)) else {
        return Ok(None);
    };
    let (_, manifest) = validator::check_manifest(&bytes);
    let Some(Entry::Runtime { name, .. }) = manifest.as_ref().map(|manifest| manifest.entry())
    else {
        return Ok(None);
    };
    let runtimes = sandbox_settings(config)?.runtimes;
    Ok(runtimes.obstacle(name).map(|obstacle| {
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
    }))
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
