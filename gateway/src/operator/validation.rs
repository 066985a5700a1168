//! Checks a manifest file, or a package folder with everything that its manifest names.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use plugin_protocol::digest::PackageDigest;
use plugin_protocol::report::{Severity, ValidationReport};

use crate::error::Error;
use crate::router::findings;
use registry::Package;

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
        let (report, digest) = (file(path)?, None);
        Ok(Validated { report, digest })
    }
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

fn file(path: &Path) -> Result<ValidationReport, Error> {
    let failed = |source| Error::File {
        action: "read the manifest",
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    File::open(path)
        .map_err(failed)?
        .take(MAX_FILE_BYTES)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(validator::check_manifest(&bytes).0)
}
