//! Signing a package: a vendor's key signs the digest of its files, and the signature is written beside them.

use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use plugin_protocol::digest::{KeyId, PackageDigest};

use crate::error::Error;
use registry::{Package, SIGNATURE_FILE, SigningKey};

/// What was signed, by whom, and where the signature is.
#[derive(Debug)]
pub(crate) struct Signed {
    pub(crate) digest: PackageDigest,
    pub(crate) key_id: KeyId,
    pub(crate) file: PathBuf,
    /// Whether others than its owner may read or change the key's file.
    pub(crate) is_open: bool,
}

/// Signs the package at `folder` with the private key in `key`, and writes `plugin.sig`.
pub(crate) fn sign(folder: &Path, key: &Path) -> Result<Signed, Error> {
    let is_open = is_open(key);
    let key = SigningKey::read(key)?;
    let package = Package::read(folder)?;
    let signature = key.sign(package.digest()).with_files_of(&package);
    let file = folder.join(SIGNATURE_FILE);
    replace(folder, &file, &signature.to_file_bytes()).map_err(|source| Error::File {
        action: "write signature",
        path: file.clone(),
        source,
    })?;
    Ok(Signed {
        digest: package.digest(),
        key_id: key.public().id(),
        file,
        is_open,
    })
}

/// By its mode; a pipe or a device has no say in it.
fn is_open(key: &Path) -> bool {
    const OTHERS: u32 = 0o066;
    let found = std::fs::metadata(key);
    found.is_ok_and(|found| found.is_file() && found.permissions().mode() & OTHERS != 0)
}

/// Writes a whole new file and puts it in place at once, so that nobody reads half a signature.
fn replace(folder: &Path, file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
    // Not through the wrapper, whose errors name the passing file and hide the system's number.
    fresh.as_file_mut().write_all(bytes)?;
    fresh
        .as_file()
        .set_permissions(std::fs::Permissions::from_mode(0o644))?;
    fresh.persist(file)?;
    Ok(())
}
