//! Walks a package's folder without following a link, under limits; it never opens what is not a regular file or folder, and lets
//! no link pass that leads out.

use std::fs::File;
use std::io::Read;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use plugin_protocol::digest::FileHash;
use plugin_protocol::shown;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use sha2::{Digest as _, Sha256};

use super::Error;
use super::list::{self, List};

/// The most files and folders in a package (contract, section 4): a vendored dependency tree fits, a runaway copy does not.
pub(super) const MAX_ENTRIES: u64 = 65_536;
/// The largest package in bytes, all files together (contract, section 4): a native program with its data fits.
pub(super) const MAX_TOTAL_BYTES: u64 = 512 * 1024 * 1024;
/// The deepest folder, the package itself being 0: bounds the walk's open descriptors.
pub(super) const MAX_DEPTH: usize = 32;
/// The longest path inside a package in bytes, so that any tool and message can show it.
pub(super) const MAX_PATH_BYTES: usize = 255;

/// What the walk met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    File,
    /// With the link's text, which leads to a place in the package.
    Link(String),
}

/// A file, folder or link that the walk met; it is opened only on request.
pub(super) struct Entry<'a> {
    folder: BorrowedFd<'a>,
    name: &'a str,
    /// Its path from the package's root, with `/` between parts.
    pub(super) path: String,
    /// What the system said of it, without following a link.
    pub(super) stat: Stat,
    pub(super) kind: Kind,
}

/// Opens the package's own folder; its path may go through links, since the operator named it.
pub(super) fn open_root(path: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
        rustix::io::Errno::NOTDIR => Error::NotAPackage {
            path: path.to_owned(),
            why: "it is a file; name the folder that holds plugin.json".to_owned(),
        },
        other => Error::io("open package", path)(other),
    })
}

/// Visits every folder, regular file and link below `root`, a folder before it is opened; the order is otherwise the system's.
pub(super) fn walk(
    root: OwnedFd,
    shown: &Path,
    visit: &mut dyn FnMut(&Entry<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut walker = Walker {
        shown,
        entries: 0,
        visit,
    };
    walker.folder(root, "", 0)
}

struct Walker<'a> {
    shown: &'a Path,
    entries: u64,
    visit: &'a mut dyn FnMut(&Entry<'_>) -> Result<(), Error>,
}

impl Walker<'_> {
    fn folder(&mut self, folder: OwnedFd, prefix: &str, depth: usize) -> Result<(), Error> {
        let mut listing = Dir::new(folder).map_err(Error::io("list package", self.shown))?;
        while let Some(item) = listing.read() {
            let item = item.map_err(Error::io("list package", self.shown))?;
            let raw = item.file_name();
            if matches!(raw.to_bytes(), b"." | b"..") {
                continue;
            }
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return Err(self.too_large(MAX_ENTRIES, "files and folders"));
            }
            let name = checked_name(prefix, raw.to_bytes())?;
            let folder = listing
                .fd()
                .map_err(Error::io("list package", self.shown))?;
            self.entry(folder, prefix, name, depth)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        folder: BorrowedFd<'_>,
        prefix: &str,
        name: &str,
        depth: usize,
    ) -> Result<(), Error> {
        let path = format!("{prefix}{name}");
        let refuse = |why| {
            Err(Error::Entry {
                path: path.clone(),
                why,
            })
        };
        if path.len() > MAX_PATH_BYTES {
            return refuse("its path is longer than 255 bytes; shorten it");
        }
        let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(Error::io("examine", &self.shown.join(&path)))?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile if stat.st_mode & 0o7000 != 0 => {
                return refuse("it has a setuid, setgid or sticky bit; remove it with chmod");
            }
            FileType::RegularFile if name == VENV_FILE => return refuse(VENV),
            FileType::RegularFile => Kind::File,
            FileType::Directory if depth == MAX_DEPTH => {
                return refuse("it is more than 32 folders deep; move it up");
            }
            FileType::Directory => Kind::Folder,
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(folder, name, Vec::new())
                    .map_err(Error::io("read link", &self.shown.join(&path)))?;
                match inside(target.as_bytes(), depth) {
                    Ok(target) => Kind::Link(target.to_owned()),
                    Err(why) => return refuse(why),
                }
            }
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => {
                return refuse("it is neither a regular file nor a folder; remove it");
            }
        };
        let entry = Entry {
            folder,
            name,
            path,
            stat,
            kind,
        };
        (self.visit)(&entry)?;
        if entry.kind == Kind::Folder {
            let inner = entry.open_folder(self.shown)?;
            self.folder(inner, &format!("{}/", entry.path), depth + 1)?;
        }
        Ok(())
    }

    fn too_large(&self, limit: u64, unit: &'static str) -> Error {
        Error::TooLarge {
            path: self.shown.to_owned(),
            limit,
            unit,
        }
    }
}

/// What a Python virtual environment has at its root, and nothing else has.
const VENV_FILE: &str = "pyvenv.cfg";
/// Why it is refused.
const VENV: &str = "it belongs to a virtual environment, which leads to this machine's Python; install with `pip install --target FOLDER …` instead";

/// A link's text, when it leads to a place in the package whatever the other links are: up first, at most to the root, which is `depth`
/// folders above, then only down. After a part that may itself be a link, `..` would go up from where that one leads.
fn inside(target: &[u8], depth: usize) -> Result<&str, &'static str> {
    let Ok(target) = std::str::from_utf8(target) else {
        return Err("it is a symbolic link whose text is not UTF-8; remove it");
    };
    if !target.chars().all(shown::is_plain) {
        return Err(
            "it is a symbolic link whose text holds a control or invisible character; remove it",
        );
    }
    let mut parts = target.split('/').filter(|part| *part != ".").peekable();
    let mut up = 0;
    while parts.next_if_eq(&"..").is_some() {
        up += 1;
    }
    if target.starts_with('/') || up > depth {
        return Err("it is a symbolic link out of the package; put the file itself in its place");
    }
    if parts.any(|part| part == "..") {
        return Err("it is a symbolic link that goes down and up again; make it the direct one");
    }
    Ok(target)
}

impl Entry<'_> {
    /// Whether its owner may execute it, which is the one mode bit that a digest covers.
    fn executable(&self) -> bool {
        self.stat.st_mode & 0o100 != 0
    }

    /// How a digest's list has it; none for a folder, which the list has by what it holds.
    pub(super) fn mode(&self) -> Option<list::Mode> {
        match self.kind {
            Kind::Folder => None,
            Kind::Link(_) => Some(list::Mode::Link),
            Kind::File if self.executable() => Some(list::Mode::Executable),
            Kind::File => Some(list::Mode::Regular),
        }
    }

    /// Opens the file; fails when another file took its place since it was met.
    pub(super) fn open(&self, shown: &Path) -> Result<File, Error> {
        // NONBLOCK: opening a FIFO that was put in the file's place must not block the gateway.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = rustix::fs::openat(self.folder, self.name, flags, Mode::empty())
            .map_err(Error::io("open", &shown.join(&self.path)))?;
        let now = rustix::fs::fstat(&fd).map_err(Error::io("examine", &shown.join(&self.path)))?;
        if (now.st_dev, now.st_ino, now.st_mode)
            == (self.stat.st_dev, self.stat.st_ino, self.stat.st_mode)
        {
            Ok(File::from(fd))
        } else {
            Err(Error::Entry {
                path: self.path.clone(),
                why: "it was exchanged while it was read; try again",
            })
        }
    }

    fn open_folder(&self, shown: &Path) -> Result<OwnedFd, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(self.folder, self.name, flags, Mode::empty())
            .map_err(Error::io("open folder", &shown.join(&self.path)))
    }
}

/// Reads `file` to its end, giving every piece to `take`, and hashes what was read.
///
/// `budget` is how many bytes of the whole package may still be read; this file's bytes are taken off it.
pub(super) fn hash_file(
    file: &mut File,
    shown: &Path,
    budget: &mut u64,
    take: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
) -> Result<(FileHash, u64), Error> {
    const PIECE_BYTES: usize = 64 * 1024;
    let mut piece = vec![0; PIECE_BYTES];
    let mut hash = Sha256::new();
    let mut size = 0;
    loop {
        let count = file.read(&mut piece).map_err(Error::io("read", shown))?;
        if count == 0 {
            return Ok((FileHash::from_bytes(hash.finalize().into()), size));
        }
        let bytes = piece.get(..count).unwrap_or_default();
        size += bytes.len() as u64;
        *budget = budget
            .checked_sub(bytes.len() as u64)
            .ok_or(Error::TooLarge {
                path: shown.to_owned(),
                limit: MAX_TOTAL_BYTES,
                unit: "bytes in all",
            })?;
        hash.update(bytes);
        take(bytes).map_err(Error::io("copy", shown))?;
    }
}

fn checked_name<'a>(prefix: &str, raw: &'a [u8]) -> Result<&'a str, Error> {
    let refuse = |why| {
        Err(Error::Entry {
            path: format!("{prefix}{}", raw.escape_ascii()),
            why,
        })
    };
    match std::str::from_utf8(raw) {
        Err(_) => refuse("its name is not UTF-8; rename it"),
        Ok(name) if !name.chars().all(shown::is_plain) => {
            refuse("its name holds a control or invisible character; rename it")
        }
        Ok(name) => Ok(name),
    }
}

/// Reads the file that `path` leads to whole; its bytes have the hash in the list.
pub(super) fn listed_bytes(root: &Path, list: &List, path: &str) -> Result<Vec<u8>, Error> {
    let changed = || Error::Changed {
        path: path.to_owned(),
    };
    let listed = list.resolve(path).ok_or_else(changed)?;
    let shown = root.join(&listed.path);
    let mut file = open_below(open_root(root)?, &listed.path).ok_or_else(changed)?;
    let mut bytes = Vec::new();
    let mut budget = MAX_TOTAL_BYTES;
    let (hash, _) = hash_file(&mut file, &shown, &mut budget, &mut |piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    })?;
    if hash == listed.sha256 {
        Ok(bytes)
    } else {
        Err(changed())
    }
}

/// Opens the regular file `path` below `root`, part by part; none when anything on the way is a link or not there.
fn open_below(root: OwnedFd, path: &str) -> Option<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let mut at = root;
    for part in path.split('/') {
        if matches!(part, "" | "." | "..") {
            return None;
        }
        at = rustix::fs::openat(&at, part, flags, Mode::empty()).ok()?;
    }
    let stat = rustix::fs::fstat(&at).ok()?;
    (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then(|| File::from(at))
}
