//! A package: a folder read once, with the digest that a signature covers; it never judges what the files say.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use plugin_protocol::canonical;
use plugin_protocol::digest::{FileHash, PackageDigest};
use serde::{Deserialize, Serialize};

use super::Error;
use super::signature::MAX_SIGNATURE_BYTES;
use super::tree::{self, Entry, MAX_TOTAL_BYTES};

/// The manifest's name in a package.
pub const MANIFEST_FILE: &str = "plugin.json";
/// The signature's name in a package; the one file that the digest leaves out.
pub const SIGNATURE_FILE: &str = "plugin.sig";
/// The largest manifest file in bytes, some hundred times a usual one.
const MAX_MANIFEST_BYTES: u64 = 2 * 1024 * 1024;

/// A folder that was read: its files by hash, and the bytes of manifest and signature from that same read.
#[derive(Debug, Clone)]
pub struct Package {
    root: PathBuf,
    files: Vec<PackageFile>,
    digest: PackageDigest,
    manifest_bytes: Vec<u8>,
    signature_bytes: Option<Vec<u8>>,
}

/// One file of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackageFile {
    /// Its path from the package's root, with `/` between parts.
    pub path: String,
    /// Whether its owner may execute it.
    pub executable: bool,
    /// SHA-256 of its bytes.
    pub sha256: FileHash,
    /// Its size in bytes.
    pub size: u64,
}

/// A file as the digest's list holds it (contract, section 4): `mode` is `"executable"` or `"regular"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listed {
    pub(super) path: String,
    pub(super) mode: Mode,
    pub(super) sha256: FileHash,
}

/// What a digest says of a file's mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mode {
    /// Its owner may execute it.
    Executable,
    /// Its owner may not.
    Regular,
}

impl Mode {
    pub(super) fn of(executable: bool) -> Self {
        if executable {
            Self::Executable
        } else {
            Self::Regular
        }
    }
}

impl Package {
    /// Reads the folder at `path`: every file once, links and special files refused.
    ///
    /// # Errors
    /// When the folder is not a package, holds what a package may not, is over a limit, or cannot be read.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let root = tree::open_root(path)?;
        let mut reader = Reader::new(path);
        tree::walk(root, path, &mut |entry| reader.take(entry))?;
        reader.finish()
    }

    /// The folder that was read.
    #[must_use]
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The digest that a signature covers.
    #[must_use]
    pub fn digest(&self) -> PackageDigest {
        self.digest
    }

    /// The manifest's bytes, from the read that was hashed.
    #[must_use]
    pub fn manifest_bytes(&self) -> &[u8] {
        &self.manifest_bytes
    }

    /// The bytes of `plugin.sig`, where there is one.
    #[must_use]
    pub fn signature_bytes(&self) -> Option<&[u8]> {
        self.signature_bytes.as_deref()
    }

    /// Whether the package has the file `path`.
    #[must_use]
    pub fn contains(&self, path: &str) -> bool {
        self.find(path).is_some()
    }

    /// Whether the file `path` is there and executable.
    #[must_use]
    pub fn executable(&self, path: &str) -> bool {
        self.find(path).is_some_and(|file| file.executable)
    }

    /// The bytes of the file `path`, which have the hash that was read before.
    ///
    /// # Errors
    /// [`Error::Changed`] when the file is missing or differs.
    pub fn file(&self, path: &str) -> Result<Vec<u8>, Error> {
        let changed = || Error::Changed {
            path: path.to_owned(),
        };
        let file = self.find(path).ok_or_else(changed)?;
        tree::verified_bytes(&self.root, path, file.sha256)
    }

    fn find(&self, path: &str) -> Option<&PackageFile> {
        let at = self
            .files
            .binary_search_by(|file| file.path.as_str().cmp(path))
            .ok()?;
        self.files.get(at)
    }

    pub(super) fn list(&self) -> Vec<Listed> {
        self.files.iter().map(Listed::of).collect()
    }
}

impl Listed {
    fn of(file: &PackageFile) -> Self {
        Self {
            path: file.path.clone(),
            mode: Mode::of(file.executable),
            sha256: file.sha256,
        }
    }
}

/// The bytes whose SHA-256 is the package digest.
pub(super) fn list_bytes(list: &[Listed]) -> Vec<u8> {
    canonical::bytes(&list)
}

struct Reader<'a> {
    root: &'a Path,
    budget: u64,
    files: Vec<PackageFile>,
    manifest: Option<Vec<u8>>,
    signature: Option<Vec<u8>>,
}

impl<'a> Reader<'a> {
    fn new(root: &'a Path) -> Self {
        Self {
            root,
            budget: MAX_TOTAL_BYTES,
            files: Vec::new(),
            manifest: None,
            signature: None,
        }
    }

    fn take(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        if entry.is_folder {
            return Ok(());
        }
        if entry.path == SIGNATURE_FILE {
            self.signature = Some(self.signature_file(entry)?);
            return Ok(());
        }
        let shown = self.root.join(&entry.path);
        let mut kept = (entry.path == MANIFEST_FILE).then(Vec::new);
        let (sha256, size) = tree::hash_file(
            &mut entry.open(self.root)?,
            &shown,
            &mut self.budget,
            &mut |bytes| {
                keep(kept.as_mut(), bytes);
                Ok(())
            },
        )?;
        if kept.is_some() && size > MAX_MANIFEST_BYTES {
            return Err(self.refuse("its plugin.json is larger than 2 MiB"));
        }
        self.manifest = kept.or(self.manifest.take());
        self.files.push(PackageFile {
            path: entry.path.clone(),
            executable: entry.executable(),
            sha256,
            size,
        });
        Ok(())
    }

    fn signature_file(&self, entry: &Entry<'_>) -> Result<Vec<u8>, Error> {
        // One byte more than is ever valid is read, so that a longer file is refused as too large without being read whole.
        let mut bytes = Vec::new();
        entry
            .open(self.root)?
            .take(MAX_SIGNATURE_BYTES as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(Error::io("read", &self.root.join(&entry.path)))?;
        Ok(bytes)
    }

    fn finish(mut self) -> Result<Package, Error> {
        let Some(manifest_bytes) = self.manifest.take() else {
            return Err(self.refuse("it has no plugin.json; put the manifest beside the program"));
        };
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
        let list: Vec<Listed> = self.files.iter().map(Listed::of).collect();
        Ok(Package {
            root: self.root.to_owned(),
            digest: PackageDigest::of(&list_bytes(&list)),
            files: self.files,
            manifest_bytes,
            signature_bytes: self.signature,
        })
    }

    fn refuse(&self, why: &str) -> Error {
        Error::NotAPackage {
            path: self.root.to_owned(),
            why: why.to_owned(),
        }
    }
}

/// Keeps a manifest's bytes as they are hashed, up to a little more than its limit.
fn keep(kept: Option<&mut Vec<u8>>, bytes: &[u8]) {
    if let Some(kept) = kept
        && kept.len() as u64 <= MAX_MANIFEST_BYTES
    {
        kept.extend_from_slice(bytes);
    }
}

/// The entry for `path` in a list, which is sorted by path.
pub(super) fn find<'a>(list: &'a [Listed], path: &str) -> Option<&'a Listed> {
    let at = list
        .binary_search_by(|file| file.path.as_str().cmp(path))
        .ok()?;
    list.get(at)
}
