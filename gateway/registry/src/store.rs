//! The content-addressed store of manifests and packages; what it returns has the hash that was asked for, or is an error.
//!
//! ```text
//! store/manifests/<manifest hash>.json   canonical manifests
//! store/lists/<package digest>.json      the list whose SHA-256 is the digest
//! store/packages/<package digest>/…      the files, read-only
//! store/stamps/<package digest>          what its files' stamps were when they were verified; it only saves work
//! ```
//! Happy path of a package: `mkdir` beside its place, per file `open`, `write`, `fsync`, then folders `fsync`,
//! list `write` + `fsync` + `rename`, package `rename`, `fsync` of the parent. A crash before the last rename
//! leaves a `.new-*` folder that no digest names; after it, a whole package.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use plugin_protocol::digest::{ManifestHash, PackageDigest};

use super::copy::{copy, seal};
use super::disk::{Building, TakenOut, read_bounded, sync_folder, write_beside};
use super::kept::Kept;
use super::list::List;
use super::outline::{Drawing, Outline};
use super::progress::{Step, Tell, untold};
use super::stored::StoredPackage;
use super::tree::{self, Kind};
use super::verified::{Files, Glance, Stamps};
use super::watch::{Mark, Watch};
use super::{Error, Package};

/// The most packages whose verification is remembered. When there are more, all are forgotten and verified again when they are opened.
const MAX_REMEMBERED: usize = 16_384;
/// The most files and links of a package that is walked at each call: that takes a fraction of a millisecond, and sees more than a watch.
const MAX_WALKED: usize = 256;
/// How many bytes of a package are hashed before it is worth a file to have its stamps kept: some milliseconds of work.
const LARGE_BYTES: u64 = 4 * 1024 * 1024;
/// The most files that are made durable one by one; for more, the file system is asked once for all that it holds.
const MAX_SYNCED_EACH: usize = 64;

/// The store below a state folder.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    seen: Mutex<HashMap<PackageDigest, Seen>>,
    /// Held while a package and its list are put in their places or taken out, so that neither is ever there without the other.
    places: Mutex<()>,
    kept: Kept,
    watch: Watch,
    is_open_for_writing: fn(&File) -> bool,
}

/// What this process verified of a package.
#[derive(Debug, Clone)]
struct Seen {
    list: List,
    stamps: Arc<Stamps>,
    glance: Glance,
    /// By which a glance is taken again; none where a later change could give the same one.
    outline: Option<Arc<Outline>>,
    watched: Option<Watched>,
}

/// A package under watch, since before it was verified.
#[derive(Debug, Clone, Copy)]
struct Watched {
    /// What had been heard of it then.
    mark: Mark,
    /// Device and inode of its folder, in whose place another could be put with the folders above it.
    folder: (u64, u64),
}

/// The names in a folder that are text, as all of the store's own are.
fn names_in(folder: &Path) -> Result<Vec<String>, Error> {
    let entries = fs::read_dir(folder).map_err(Error::io("list", folder))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io("list", folder))?;
        names.extend(entry.file_name().into_string());
    }
    Ok(names)
}

/// The glance at a package's own folder, which the walk does not visit.
fn glance_at(folder: &OwnedFd, root: &Path) -> Result<Glance, Error> {
    let stat = rustix::fs::fstat(folder).map_err(Error::io("examine", root))?;
    let mut glance = Glance::default();
    glance.add("", &stat);
    Ok(glance)
}

/// Whether every entry of a package has the stamp that it was verified with.
fn looks_the_same(seen: &Seen) -> bool {
    let outline = seen.outline.as_ref();
    outline.is_some_and(|outline| outline.glance() == Some(seen.glance))
}

impl Store {
    /// Opens the store below the folder `state`, making its folders where they are missing.
    ///
    /// # Errors
    /// When a folder cannot be made.
    pub fn open(state: &Path) -> Result<Self, Error> {
        let root = state.join("store");
        for part in ["manifests", "lists", "packages"] {
            let folder = root.join(part);
            fs::create_dir_all(&folder).map_err(Error::io("create folder", &folder))?;
        }
        sync_folder(&root)?;
        Ok(Self {
            kept: Kept::below(&root),
            root,
            seen: Mutex::default(),
            places: Mutex::default(),
            watch: Watch::new(),
            is_open_for_writing: |_| false,
        })
    }

    /// The same store, which refuses every file that somebody holds open for writing. Through a mapping that exists already, a file's
    /// bytes could be changed later without changing its stamp; a mapping that is made later changes the stamp at its first write.
    /// The caller gives the function, because this crate has no unsafe code and cannot ask the kernel itself.
    #[must_use]
    pub fn asking(mut self, is_open_for_writing: fn(&File) -> bool) -> Self {
        self.is_open_for_writing = is_open_for_writing;
        self
    }

    /// Keeps a manifest's canonical bytes under their hash.
    ///
    /// # Errors
    /// When they cannot be made durable.
    pub fn put_manifest(&self, canonical: &[u8]) -> Result<ManifestHash, Error> {
        let hash = ManifestHash::of(canonical);
        self.put_file(
            &self.root.join("manifests"),
            &format!("{hash}.json"),
            canonical,
        )?;
        Ok(hash)
    }

    /// The canonical bytes of the manifest with this hash.
    ///
    /// # Errors
    /// When it is missing, or the bytes on disk have another hash.
    pub fn manifest(&self, hash: ManifestHash) -> Result<Vec<u8>, Error> {
        let path = self.root.join(format!("manifests/{hash}.json"));
        let bytes = read_bounded(&path).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                return Error::ManifestMissing(hash);
            }
            Error::io("read manifest", &path)(error)
        })?;
        if ManifestHash::of(&bytes) == hash {
            Ok(bytes)
        } else {
            Err(Error::ManifestMissing(hash))
        }
    }

    /// Copies a package in, hashing what is copied. A package that is there and whole is left alone; a damaged copy is replaced.
    ///
    /// # Errors
    /// [`Error::Changed`] when a file differs from what [`Package::read`] saw; else when something cannot be made durable.
    pub fn put_package(&self, package: &Package) -> Result<StoredPackage, Error> {
        self.put_package_telling(package, &untold)
    }

    /// The same, telling how far it is.
    ///
    /// # Errors
    /// As [`Self::put_package`].
    pub fn put_package_telling(
        &self,
        package: &Package,
        tell: &Tell<'_>,
    ) -> Result<StoredPackage, Error> {
        let digest = package.digest();
        if let Ok(stored) = self.open_package(digest) {
            return Ok(stored);
        }
        let packages = self.root.join("packages");
        let building = Building::new(&packages)?;
        let syncs_each = package.list().files().len() <= MAX_SYNCED_EACH;
        copy(package, &building.path, syncs_each, tell)?;
        seal(&building.path, syncs_each)?;
        let damaged = self.put_in_place(package, &building)?;
        // Nobody waits for the places while the files of a damaged copy are removed.
        drop(damaged);
        self.open_telling(digest, tell)
    }

    /// Puts a copied package and its list in their places; what was there is a damaged copy, and goes away with what is returned.
    fn put_in_place(
        &self,
        package: &Package,
        building: &Building,
    ) -> Result<Option<Building>, Error> {
        let digest = package.digest();
        let _places = self.places();
        // Somebody else may have put the same package in meanwhile.
        if self.place(digest).exists() && self.open_package(digest).is_ok() {
            return Ok(None);
        }
        let packages = self.root.join("packages");
        self.put_file(
            &self.root.join("lists"),
            &format!("{digest}.json"),
            &package.list().bytes(),
        )?;
        let place = self.place(digest);
        let damaged = self.take_out(digest)?;
        fs::rename(&building.path, &place).map_err(Error::io("place package", &place))?;
        sync_folder(&packages)?;
        self.forget(digest);
        Ok(Some(damaged))
    }

    /// Copies every manifest and package to another store, hashing each again, and says how many packages there are. A package that is
    /// put in meanwhile may be left out.
    ///
    /// # Errors
    /// [`Error::Changed`] for a package that is not what it is named by; else when something cannot be read or made durable.
    pub fn back_up(&self, to: &Self) -> Result<usize, Error> {
        for name in names_in(&self.root.join("manifests"))? {
            if let Some(hash) = name
                .strip_suffix(".json")
                .and_then(|hash| ManifestHash::parse(hash).ok())
            {
                to.put_manifest(&self.manifest(hash)?)?;
            }
        }
        let mut packages = 0;
        for name in names_in(&self.root.join("packages"))? {
            let Ok(digest) = PackageDigest::parse(&name) else {
                continue;
            };
            let package = Package::read(&self.place(digest))?;
            if package.digest() != digest {
                let path = self.place(digest).display().to_string();
                return Err(Error::Changed { path });
            }
            to.put_package(&package)?;
            packages += 1;
        }
        Ok(packages)
    }

    /// Takes a package out of the store, if there is one. A plugin that runs from it meanwhile has no answer. Its files go away with what
    /// is returned, which takes a while for a large one.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn remove_package(&self, digest: PackageDigest) -> Result<Option<TakenOut>, Error> {
        let _places = self.places();
        self.forget(digest);
        self.kept.forget(digest);
        let is_there = self.place(digest).exists();
        let out = self.take_out(digest)?;
        let list = self.root.join(format!("lists/{digest}.json"));
        match fs::remove_file(&list) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", &list)(error))
            }
            Ok(()) | Err(_) => Ok(is_there.then_some(TakenOut { _files: out })),
        }
    }

    /// Moves a package's folder, if there is one, to where it is removed with what is returned.
    fn take_out(&self, digest: PackageDigest) -> Result<Building, Error> {
        let place = self.place(digest);
        let out = Building::new(&self.root.join("packages"))?;
        // In the place of the new folder, as it is empty: an ordinary user could not move a folder that is read-only into another.
        match fs::rename(&place, &out.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("take package out", &place)(error))
            }
            Ok(()) | Err(_) => Ok(out),
        }
    }

    /// Opens a package and verifies it: every file is hashed again unless device, inode, size and both
    /// times are those that this process verified before, or a large package's those that another kept in this boot of the system. A large
    /// package that is watched, and of which nothing was heard, is as it was; so is one whose every folder, file and link has the same stamp.
    ///
    /// # Errors
    /// [`Error::Changed`] for a changed, missing or additional file; [`Error::PackageMissing`] where there is none.
    pub fn open_package(&self, digest: PackageDigest) -> Result<StoredPackage, Error> {
        self.open_telling(digest, &untold)
    }

    fn open_telling(&self, digest: PackageDigest, tell: &Tell<'_>) -> Result<StoredPackage, Error> {
        let root = self.place(digest);
        let known = self.recall(digest);
        let seen = match known {
            Some(seen) if self.is_untouched(digest, &seen) || looks_the_same(&seen) => seen,
            known => self.verify(digest, &root, known, tell)?,
        };
        Ok(StoredPackage {
            digest,
            root,
            list: seen.list,
            glance: seen.glance,
        })
    }

    /// Takes a new glance at a package. If it equals [`StoredPackage::glance`], nothing in the package was touched in between.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn glance(&self, digest: PackageDigest) -> Result<Glance, Error> {
        if let Some(seen) = self.recall(digest)
            && (self.is_untouched(digest, &seen) || looks_the_same(&seen))
        {
            return Ok(seen.glance);
        }
        let root = self.place(digest);
        let folder = tree::open_root(&root)?;
        let mut glance = glance_at(&folder, &root)?;
        tree::walk(folder, &root, &mut |entry| {
            glance.add(&entry.path, &entry.stat);
            Ok(())
        })?;
        Ok(glance)
    }

    fn place(&self, digest: PackageDigest) -> PathBuf {
        self.root.join(format!("packages/{digest}"))
    }

    /// Whether a package is certain to be as it was when it was verified.
    fn is_untouched(&self, digest: PackageDigest, seen: &Seen) -> bool {
        seen.watched.is_some_and(|watched| {
            let stat = rustix::fs::stat(self.place(digest));
            self.watch.mark(digest) == Some(watched.mark)
                && stat.is_ok_and(|stat| (stat.st_dev, stat.st_ino) == watched.folder)
        })
    }

    /// Walks a package, comparing it with its list, and remembers what it was like.
    fn verify(
        &self,
        digest: PackageDigest,
        root: &Path,
        known: Option<Seen>,
        tell: &Tell<'_>,
    ) -> Result<Seen, Error> {
        let list = match &known {
            Some(seen) => seen.list.clone(),
            None => self.list(digest)?,
        };
        let folder = tree::open_root(root).map_err(|error| {
            if root.is_dir() {
                error
            } else {
                Error::PackageMissing(digest)
            }
        })?;
        let stamps = match known {
            Some(seen) => seen.stamps,
            None => Arc::new(self.kept.stamps(digest, &folder, &list)),
        };
        let mut watched = self.begin_watch(digest, root, &folder, &list);
        // Before the first look: what is changed afterwards gets a later time.
        let now = SystemTime::now();
        let begun = glance_at(&folder, root)?;
        let mut outline = Drawing::of(root);
        let mut seen = 0;
        let mut files = Files::new(root, &list, &stamps, begun, self.is_open_for_writing);
        tree::walk(folder, root, &mut |entry| {
            if entry.kind == Kind::Folder && watched.is_some() {
                watched = watched.filter(|_| self.watch.add(digest, &root.join(&entry.path)));
            }
            seen += usize::from(entry.kind != Kind::Folder);
            tell(Step::Checking, seen, Some(list.files().len()));
            outline.add(&entry.path);
            files.check(entry)
        })
        .map_err(as_changed)?;
        let checked = files.finish()?;
        if let Some(fresh) = &checked.fresh
            && (checked.hashed_bytes >= LARGE_BYTES || fresh.len() > MAX_WALKED)
        {
            self.kept.keep(digest, &list, fresh);
        }
        let seen = Seen {
            list: list.with_links(checked.links),
            stamps: checked.fresh.map_or(stamps, Arc::new),
            glance: checked.glance,
            outline: outline
                .finish()
                .filter(|_| checked.glance.was_settled(now))
                .map(Arc::new),
            watched,
        };
        self.remember(digest, seen.clone());
        Ok(seen)
    }

    fn begin_watch(
        &self,
        digest: PackageDigest,
        root: &Path,
        folder: &OwnedFd,
        list: &List,
    ) -> Option<Watched> {
        if list.files().len() <= MAX_WALKED {
            return None;
        }
        let mark = self.watch.begin(digest, folder)?;
        let stat = rustix::fs::fstat(folder).ok()?;
        let folder = (stat.st_dev, stat.st_ino);
        self.watch
            .add(digest, root)
            .then_some(Watched { mark, folder })
    }

    /// What a new process would believe of a package that it never opened.
    #[cfg(test)]
    pub(super) fn kept_stamps(&self, digest: PackageDigest) -> Stamps {
        let folder = tree::open_root(&self.place(digest)).unwrap();
        self.kept
            .stamps(digest, &folder, &self.list(digest).unwrap())
    }

    fn list(&self, digest: PackageDigest) -> Result<List, Error> {
        let path = self.root.join(format!("lists/{digest}.json"));
        let bytes = read_bounded(&path).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                return Error::PackageMissing(digest);
            }
            Error::io("read file list", &path)(error)
        })?;
        if PackageDigest::of(&bytes) != digest {
            return Err(Error::PackageMissing(digest));
        }
        List::parse(&bytes).ok_or(Error::PackageMissing(digest))
    }

    /// Writes `bytes` beside their place and renames them in; does nothing when they are there.
    fn put_file(&self, folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let place = folder.join(name);
        if read_bounded(&place).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        let action = Error::io("write", &place);
        write_beside(folder, &place, bytes).map_err(action)?;
        sync_folder(folder)
    }

    fn recall(&self, digest: PackageDigest) -> Option<Seen> {
        self.seen().get(&digest).cloned()
    }

    fn remember(&self, digest: PackageDigest, seen: Seen) {
        let mut all = self.seen();
        if all.len() >= MAX_REMEMBERED {
            all.clear();
        }
        all.insert(digest, seen);
    }

    fn forget(&self, digest: PackageDigest) {
        self.seen().remove(&digest);
    }

    fn places(&self) -> MutexGuard<'_, ()> {
        // What a panic elsewhere leaves half done is what a crash leaves, and is put right by the next that puts the package in.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<PackageDigest, Seen>> {
        // Each entry is put in whole, so a panic elsewhere leaves nothing half done.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a package may not hold was refused before it was signed, so in the store it is a change.
fn as_changed(error: Error) -> Error {
    if let Error::Entry { path, .. } = error {
        return Error::Changed { path };
    }
    error
}

#[cfg(test)]
mod tests;
