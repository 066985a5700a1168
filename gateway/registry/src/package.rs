//! A package: a folder read once, with the digest that a signature covers; it never judges what the files say.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use plugin_protocol::digest::{FileHash, PackageDigest};

use super::Error;
use super::list::{Links, List, Listed, Mode};
use super::progress::{Step, Tell, untold};
use super::signature::MAX_SIGNATURE_BYTES;
use super::tree::{self, Entry, Kind, MAX_TOTAL_BYTES};

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
    list: List,
    digest: PackageDigest,
    manifest_bytes: Vec<u8>,
    signature_bytes: Option<Vec<u8>>,
}

impl Package {
    /// Reads the folder at `path`: every file once; special files are refused, and links that lead out.
    ///
    /// # Errors
    /// When the folder is not a package, holds what a package may not, is over a limit, or cannot be read.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::read_telling(path, &untold)
    }

    /// The same, telling how far it is.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_telling(path: &Path, tell: &Tell<'_>) -> Result<Self, Error> {
        let root = tree::open_root(path)?;
        let mut reader = Reader::new(path);
        tree::walk(root, path, &mut |entry| {
            reader.take(entry)?;
            tell(Step::Reading, reader.files.len(), None);
            Ok(())
        })?;
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

    /// Whether the package has the file `path`, or a link there that leads to a file.
    #[must_use]
    pub fn contains(&self, path: &str) -> bool {
        self.list.resolve(path).is_some()
    }

    /// Whether the package has a folder `path`.
    #[must_use]
    pub fn has_folder(&self, path: &str) -> bool {
        self.list.has_folder(path)
    }

    /// Whether the file `path` is there and executable.
    #[must_use]
    pub fn executable(&self, path: &str) -> bool {
        self.list.is_executable(path)
    }

    /// The bytes of the file `path`, which have the hash that was read before.
    ///
    /// # Errors
    /// [`Error::Changed`] when the file is missing or differs.
    pub fn file(&self, path: &str) -> Result<Vec<u8>, Error> {
        tree::listed_bytes(&self.root, &self.list, path)
    }

    pub(super) fn list(&self) -> &List {
        &self.list
    }
}

struct Reader<'a> {
    root: &'a Path,
    budget: u64,
    files: Vec<Listed>,
    links: Links,
    manifest: Option<Vec<u8>>,
    signature: Option<Vec<u8>>,
}

impl<'a> Reader<'a> {
    fn new(root: &'a Path) -> Self {
        Self {
            root,
            budget: MAX_TOTAL_BYTES,
            files: Vec::new(),
            links: Links::new(),
            manifest: None,
            signature: None,
        }
    }

    fn take(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        let Some(mode) = entry.mode() else {
            return Ok(());
        };
        if let Kind::Link(target) = &entry.kind {
            return self.take_link(entry, target);
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
        self.files.push(Listed {
            path: entry.path.clone(),
            mode,
            sha256,
        });
        Ok(())
    }

    fn take_link(&mut self, entry: &Entry<'_>, target: &str) -> Result<(), Error> {
        if matches!(entry.path.as_str(), MANIFEST_FILE | SIGNATURE_FILE) {
            return Err(Error::Entry {
                path: entry.path.clone(),
                why: "it is a symbolic link; put the file itself in its place",
            });
        }
        self.files.push(Listed {
            path: entry.path.clone(),
            mode: Mode::Link,
            sha256: FileHash::of(target.as_bytes()),
        });
        self.links.insert(entry.path.clone(), target.to_owned());
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
            return Err(self.refuse(&self.no_manifest()));
        };
        let list = List::new(self.files, self.links)?;
        Ok(Package {
            root: self.root.to_owned(),
            digest: list.digest(),
            list,
            manifest_bytes,
            signature_bytes: self.signature,
        })
    }

    /// What to do about a folder without a manifest: it may be the one around the package.
    fn no_manifest(&self) -> String {
        let inner = self.files.iter().find_map(|file| {
            let (folder, name) = file.path.split_once('/')?;
            (name == MANIFEST_FILE).then_some(folder)
        });
        match inner {
            Some(folder) => format!(
                "it has no {MANIFEST_FILE}; name the folder '{folder}' in it, which has one"
            ),
            None => format!(
                "it has no {MANIFEST_FILE}; put the manifest beside the program, under that name"
            ),
        }
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
