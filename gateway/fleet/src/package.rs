//! A package as one object: a line of JSON that lists its files, then their bytes. What is unpacked is believed only by its digest, which the
//! operator signed; here nothing is written outside the folder, and nothing through a link.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path};

use plugin_protocol::json;
use serde::{Deserialize, Serialize};

use crate::fault::{Fault, Kind};

/// What a package may hold (contract, section 4), and a signature that lists as much.
const MAX_BYTES: u64 = 512 * 1024 * 1024 + 32 * 1024 * 1024;
const MAX_ENTRIES: usize = 65_536 + 2;
/// The longest list: as many entries with paths of some length.
const MAX_LIST_BYTES: u64 = 64 * 1024 * 1024;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    path: String,
    what: What,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum What {
    Folder,
    /// Its length and mode, and when it was changed, in seconds.
    File {
        bytes: u64,
        executable: bool,
        changed_s: i64,
    },
    /// Its target.
    Link(String),
}

fn io(what: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Fault {
    let words = format!("cannot {what} '{}'", path.display());
    move |error| Fault::internal(format!("{words}: {error}"))
}

/// Packs the folder into `to`.
pub(crate) fn pack(folder: &Path, to: &mut File) -> Result<(), Fault> {
    let mut entries = Vec::new();
    walk(folder, "", &mut entries)?;
    let list = serde_json::to_vec(&entries).map_err(|error| Fault::internal(error.to_string()))?;
    let failed = || io("pack", folder);
    to.write_all(&list).map_err(failed())?;
    to.write_all(b"\n").map_err(failed())?;
    for entry in &entries {
        if let What::File { bytes, .. } = entry.what {
            let path = folder.join(&entry.path);
            let mut file = File::open(&path).map_err(io("read", &path))?.take(bytes);
            let copied = std::io::copy(&mut file, to).map_err(io("pack", &path))?;
            if copied != bytes {
                return Err(Fault::new(
                    Kind::Invalid,
                    format!("'{}' changed while it was packed", path.display()),
                ));
            }
        }
    }
    Ok(())
}

fn walk(folder: &Path, under: &str, entries: &mut Vec<Entry>) -> Result<(), Fault> {
    let here = folder.join(under);
    let mut names = Vec::new();
    for entry in fs::read_dir(&here).map_err(io("read folder", &here))? {
        names.push(entry.map_err(io("read folder", &here))?.file_name());
    }
    names.sort();
    for name in names {
        let odd = || {
            Fault::new(
                Kind::Invalid,
                "a file of the package has a name that is no UTF-8",
            )
        };
        let name = name.to_str().ok_or_else(odd)?;
        let path = if under.is_empty() {
            name.to_owned()
        } else {
            format!("{under}/{name}")
        };
        let full = folder.join(&path);
        let found = full.symlink_metadata().map_err(io("look at", &full))?;
        if entries.len() >= MAX_ENTRIES {
            return Err(Fault::new(Kind::Invalid, "the package has too many files"));
        }
        if found.is_dir() {
            entries.push(Entry {
                path: path.clone(),
                what: What::Folder,
            });
            walk(folder, &path, entries)?;
        } else if found.is_symlink() {
            let target = fs::read_link(&full).map_err(io("read link", &full))?;
            let target = target.to_str().ok_or_else(odd)?.to_owned();
            entries.push(Entry {
                path,
                what: What::Link(target),
            });
        } else {
            use std::os::unix::fs::MetadataExt as _;
            let executable = found.permissions().mode() & 0o111 != 0;
            let what = What::File {
                bytes: found.len(),
                executable,
                changed_s: found.mtime(),
            };
            entries.push(Entry { path, what });
        }
    }
    Ok(())
}

/// Unpacks `from` into the empty `folder`.
pub(crate) fn unpack(from: &mut File, folder: &Path) -> Result<(), Fault> {
    let broken = |why: &str| {
        Fault::new(
            Kind::Invalid,
            format!("the stored package is broken: {why}"),
        )
    };
    let mut from = std::io::BufReader::new(from);
    let mut list = Vec::new();
    from.by_ref()
        .take(MAX_LIST_BYTES)
        .read_until(b'\n', &mut list)
        .map_err(io("read", folder))?;
    let entries: Vec<Entry> = json::read_as(&list).map_err(|error| broken(&error.to_string()))?;
    let total = entries.iter().map(|entry| match entry.what {
        What::File { bytes, .. } => bytes,
        What::Folder | What::Link(_) => 0,
    });
    if entries.len() > MAX_ENTRIES || total.fold(0, u64::saturating_add) > MAX_BYTES {
        return Err(broken("it is larger than a package may be"));
    }
    for entry in &entries {
        if !is_inside(&entry.path) {
            return Err(broken("it has a path that leads out"));
        }
        let path = folder.join(&entry.path);
        match &entry.what {
            What::Folder => fs::create_dir(&path).map_err(io("make folder", &path))?,
            What::Link(_) => {}
            What::File {
                bytes,
                executable,
                changed_s,
            } => {
                let mode = if *executable { 0o755 } else { 0o644 };
                let mut open = OpenOptions::new();
                open.write(true).create_new(true).mode(mode);
                let mut file = open.open(&path).map_err(io("write", &path))?;
                let copied = std::io::copy(&mut from.by_ref().take(*bytes), &mut file);
                if copied.map_err(io("write", &path))? != *bytes {
                    return Err(broken("it ends too early"));
                }
                let seconds =
                    std::time::Duration::from_secs(u64::try_from(*changed_s).unwrap_or_default());
                file.set_modified(std::time::UNIX_EPOCH + seconds)
                    .map_err(io("date", &path))?;
            }
        }
    }
    // Last, so that no file is written through one.
    for entry in &entries {
        if let What::Link(target) = &entry.what {
            let path = folder.join(&entry.path);
            std::os::unix::fs::symlink(target, &path).map_err(io("link", &path))?;
        }
    }
    Ok(())
}

fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && !path.contains('\0')
        && Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Seek as _;

    #[test]
    fn a_package_comes_out_as_it_went_in() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(from.path().join("a/b")).unwrap();
        fs::write(from.path().join("a/b/run"), "#!").unwrap();
        fs::set_permissions(
            from.path().join("a/b/run"),
            fs::Permissions::from_mode(0o755),
        )
        .unwrap();
        fs::write(from.path().join("plugin.json"), "{}").unwrap();
        std::os::unix::fs::symlink("a/b/run", from.path().join("link")).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        pack(from.path(), &mut file).unwrap();
        file.rewind().unwrap();
        unpack(&mut file, to.path()).unwrap();
        let digest = |folder: &Path| registry::Package::read(folder).unwrap().digest();
        assert_eq!(digest(from.path()), digest(to.path()));
    }

    #[test]
    fn what_leads_out_or_is_cut_off_is_not_unpacked() {
        for list in [
            r#"[{"path":"../x","what":{"file":{"bytes":0,"executable":false,"changed_s":0}}}]"#,
            r#"[{"path":"/x","what":"folder"}]"#,
            r#"[{"path":"x","what":{"file":{"bytes":9,"executable":false,"changed_s":0}}}]"#,
            r#"[{"path":"x","what":{"file":{"bytes":9000000000,"executable":false,"changed_s":0}}}]"#,
            "[",
            "",
        ] {
            let mut file = tempfile::tempfile().unwrap();
            writeln!(file, "{list}").unwrap();
            file.rewind().unwrap();
            let to = tempfile::tempdir().unwrap();
            let folder = to.path().join("in");
            fs::create_dir(&folder).unwrap();
            assert!(unpack(&mut file, &folder).is_err(), "{list}");
            assert_eq!(fs::read_dir(to.path()).unwrap().count(), 1);
        }
    }
}
