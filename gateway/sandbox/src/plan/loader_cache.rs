//! The loader's list of libraries (`ld.so.cache`) as programs see it: the host's, cut down to the folders that every program is shown. With it a
//! loader opens a library at once, in place of looking for it in ten folders, each a file that is opened in vain. It grants nothing: where
//! there is none, or what it names is gone, a loader searches.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::plan::places::LIBRARY_FOLDERS;
use crate::throw_away::ThrowAwayFolder;

/// Where a loader looks for it.
pub(crate) const LOADER_CACHE: &str = "/etc/ld.so.cache";

/// How it begins in the form that glibc writes since 2.32.
const MAGIC: &[u8; 20] = b"glibc-ld.so.cache1.1";

/// Magic, two counts, the order of bytes, the place of extensions, and words that nobody uses.
const HEADER_BYTES: usize = 48;

/// Kind, name, path, a version that nobody uses, and the processors that it is for.
const ENTRY_BYTES: usize = 24;

/// Some hundred bytes a library, and no host has a hundred thousand.
const MAX_BYTES: u64 = 16 << 20;

/// The list in a file of its own, as long as the sandbox lives.
#[derive(Debug)]
pub(crate) struct LoaderCache {
    file: PathBuf,
    _folder: ThrowAwayFolder,
}

impl LoaderCache {
    /// Makes it; none where the host's is not there or of another form, or nothing can be written.
    pub(crate) fn new() -> Option<Self> {
        let mut host = Vec::new();
        let opened = fs::File::open(LOADER_CACHE).ok()?;
        opened.take(MAX_BYTES).read_to_end(&mut host).ok()?;
        let cut = cut_down(&host, &LIBRARY_FOLDERS)?;
        let folder = ThrowAwayFolder::new().ok()?;
        let file = folder.path().join("ld.so.cache");
        fs::write(&file, cut).ok()?;
        // A plugin reads it under a user id of its own.
        fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).ok()?;
        Some(Self {
            file,
            _folder: folder,
        })
    }

    /// The file on the host; none where somebody has tidied it away.
    pub(crate) fn file(&self) -> Option<&Path> {
        Some(self.file.as_path()).filter(|file| file.exists())
    }
}

/// The list with those libraries only that lie in one of these folders, in their order, which is the one that a loader searches by. None
/// where any of them is for some processors only: those are named in a part of the file that is not kept.
fn cut_down(host: &[u8], folders: &[&str]) -> Option<Vec<u8>> {
    let count = host
        .strip_prefix(MAGIC)
        .and_then(|rest| number(rest, 0))
        .and_then(|count| usize::try_from(count).ok())?;
    let entries = host.get(HEADER_BYTES..)?.chunks_exact(ENTRY_BYTES);
    let entries: Vec<&[u8]> = entries.take(count).collect();
    if entries.len() != count {
        return None;
    }
    let mut kept = Vec::new();
    for entry in entries {
        let (name, path) = (
            text(host, number(entry, 4)?)?,
            text(host, number(entry, 8)?)?,
        );
        let folder = path.rsplit_once('/').map(|(folder, _)| folder);
        if folder.is_some_and(|folder| folders.contains(&folder)) {
            kept.push((entry, name, path));
        }
    }
    let is_for_all = |entry: &[u8]| {
        entry
            .get(16..)
            .is_some_and(|for_some| for_some.iter().all(|byte| *byte == 0))
    };
    if !kept.iter().all(|(entry, _, _)| is_for_all(entry)) {
        return None;
    }
    let mut strings = Vec::new();
    let mut list = Vec::new();
    let base = HEADER_BYTES + kept.len() * ENTRY_BYTES;
    let mut keep = |text: &str| {
        let at = base + strings.len();
        strings.extend_from_slice(text.as_bytes());
        strings.push(0);
        u32::try_from(at).ok().map(u32::to_ne_bytes)
    };
    for (entry, name, path) in &kept {
        list.extend_from_slice(entry.get(..4)?);
        list.extend_from_slice(&keep(name)?);
        list.extend_from_slice(&keep(path)?);
        list.extend_from_slice(&[0; 12]);
    }
    let mut cut = MAGIC.to_vec();
    for size in [kept.len(), strings.len()] {
        cut.extend_from_slice(&u32::try_from(size).ok()?.to_ne_bytes());
    }
    // The order of bytes as it was, and no extension.
    cut.push(*host.get(MAGIC.len() + 8)?);
    cut.resize(HEADER_BYTES, 0);
    Some([cut, list, strings].concat())
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_ne_bytes(*four))
}

fn text(bytes: &[u8], at: u32) -> Option<&str> {
    let rest = bytes.get(usize::try_from(at).ok()?..)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(rest.get(..end)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list of libraries as (name, path, for which processors).
    fn list(libraries: &[(&str, &str, u64)]) -> Vec<u8> {
        let base = HEADER_BYTES + libraries.len() * ENTRY_BYTES;
        let (mut entries, mut strings) = (Vec::new(), Vec::new());
        for (name, path, processors) in libraries {
            entries.extend_from_slice(&0x303_u32.to_ne_bytes());
            for text in [name, path] {
                let at = u32::try_from(base + strings.len()).unwrap();
                entries.extend_from_slice(&at.to_ne_bytes());
                strings.extend_from_slice(text.as_bytes());
                strings.push(0);
            }
            entries.extend_from_slice(&[0; 4]);
            entries.extend_from_slice(&processors.to_ne_bytes());
        }
        let mut header = MAGIC.to_vec();
        for size in [libraries.len(), strings.len()] {
            header.extend_from_slice(&u32::try_from(size).unwrap().to_ne_bytes());
        }
        header.push(2);
        header.resize(HEADER_BYTES, 0);
        [header, entries, strings].concat()
    }

    #[test]
    fn only_libraries_in_the_shown_folders_are_left_and_in_their_order() {
        let (z, c) = (
            ("libz.so.1", "/lib/x/libz.so.1", 0),
            ("libc.so.6", "/lib/x/libc.so.6", 0),
        );
        let elsewhere = ("libq.so", "/opt/secret/libq.so", 0);
        let deeper = ("libd.so", "/lib/x/deeper/libd.so", 0);
        let host = list(&[z, elsewhere, deeper, c]);
        assert_eq!(cut_down(&host, &["/lib/x"]), Some(list(&[z, c])));
        assert_eq!(cut_down(&host, &["/lib"]), Some(list(&[])));
        let text = String::from_utf8_lossy(&cut_down(&host, &["/lib/x"]).unwrap()).into_owned();
        assert!(!text.contains("secret") && !text.contains("libq"));
    }

    #[test]
    fn a_list_that_is_not_understood_is_left_out() {
        let z = ("libz.so.1", "/lib/x/libz.so.1", 0);
        let host = list(&[z]);
        for length in 0..host.len() {
            assert_eq!(cut_down(&host[..length], &["/lib/x"]), None, "{length}");
        }
        let some = ("libz.so.1", "/lib/x/libz.so.1", 1 << 62);
        assert_eq!(cut_down(&list(&[z, some]), &["/lib/x"]), None);
        assert_eq!(cut_down(b"ld.so-1.7.0", &["/lib/x"]), None);
        let mut far = host;
        far[HEADER_BYTES + 8..HEADER_BYTES + 12].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(cut_down(&far, &["/lib/x"]), None);
    }
}
