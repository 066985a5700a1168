//! Keeps the stamps of a large package's files beside it, so that a new process need not hash again what another verified. It only ever
//! saves work: where anything is in doubt, nothing is believed and every file is hashed.
//!
//! A stamp is believed when it was taken in this boot of the system, on a file system of this host, from a file whose last change was
//! long past then; when its file is the gateway's own user's and nobody else's; and when the file in the package has the same device,
//! inode, size and times, to the nanosecond. Nobody can set a ctime back. After a crash of the system a ctime on the disk may be older
//! than the bytes beside it, hence the boot.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use plugin_protocol::digest::PackageDigest;
use rustix::fs::{Mode, OFlags};

use super::list::List;
use super::verified::{Stamp, Stamps};
use super::watch;

/// The first line; another form of the file has another.
const FORM: &str = "plugin-gateway stamps 1";
/// The most bytes of a file: a line of at most 120 bytes for each of the most files that a package may have, and its head.
const MAX_BYTES: u64 = 8 * 1024 * 1024;
/// What stands for a file without a stamp.
const NONE: &str = "-";
/// What the kernel draws anew at each boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The folder of the files.
#[derive(Debug)]
pub(super) struct Kept {
    folder: PathBuf,
    boot_id: Option<String>,
}

impl Kept {
    pub(super) fn below(store: &Path) -> Self {
        let boot_id = fs::read_to_string(BOOT_ID).ok();
        Self {
            folder: store.join("stamps"),
            boot_id: boot_id.map(|id| id.trim().to_owned()),
        }
    }

    /// The stamps of the package that lies in `folder`, as far as they are believed.
    pub(super) fn stamps(&self, digest: PackageDigest, folder: &OwnedFd, list: &List) -> Stamps {
        let text = watch::is_local(folder).then(|| self.text(digest)).flatten();
        text.and_then(|text| self.parse(digest, list, &text))
            .unwrap_or_default()
    }

    /// Keeps the stamps of a package that was verified. Where that fails, the next process hashes again.
    pub(super) fn keep(&self, digest: PackageDigest, list: &List, stamps: &Stamps) {
        if let Some(head) = self.head(digest) {
            drop(self.write(digest, &told(head, list, stamps)));
        }
    }

    pub(super) fn forget(&self, digest: PackageDigest) {
        // If it stays, it fits no other files.
        drop(fs::remove_file(self.place(digest)));
    }

    fn place(&self, digest: PackageDigest) -> PathBuf {
        self.folder.join(digest.to_string())
    }

    /// What the file begins with; none where the boot is not known.
    fn head(&self, digest: PackageDigest) -> Option<String> {
        let boot_id = self.boot_id.as_ref()?;
        Some(format!("{FORM}\n{boot_id}\n{digest}\n"))
    }

    fn write(&self, digest: PackageDigest, text: &str) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        // Mode 0600. It need not be durable: after a crash of the system it counts for nothing.
        let mut file = tempfile::Builder::new()
            .prefix(".new-")
            .tempfile_in(&self.folder)?;
        file.write_all(text.as_bytes())?;
        file.persist(self.place(digest))
            .map_err(|error| error.error)?;
        Ok(())
    }

    /// The text of a file that nobody else could write.
    fn text(&self, digest: PackageDigest) -> Option<String> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = rustix::fs::open(self.place(digest), flags, Mode::empty()).ok()?;
        let stat = rustix::fs::fstat(&file).ok()?;
        let is_ours = stat.st_uid == rustix::process::geteuid().as_raw()
            && rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file()
            && !Mode::from_raw_mode(stat.st_mode).intersects(Mode::RWXG | Mode::RWXO);
        let mut text = String::new();
        let read = File::from(file).take(MAX_BYTES).read_to_string(&mut text);
        (is_ours && read.is_ok()).then_some(text)
    }

    fn parse(&self, digest: PackageDigest, list: &List, text: &str) -> Option<Stamps> {
        let lines = text.strip_prefix(&self.head(digest)?)?;
        let mut stamps = HashMap::with_capacity(list.files().len());
        let mut lines = lines.lines();
        for file in list.files() {
            let line = lines.next()?;
            if line != NONE {
                stamps.insert(file.path.clone(), stamp(line)?);
            }
        }
        lines.next().is_none().then_some(stamps)
    }
}

/// A line for each entry of the list, in its order.
fn told(mut text: String, list: &List, stamps: &Stamps) -> String {
    for file in list.files() {
        // Writing to a string cannot fail.
        let written = match stamps.get(&file.path) {
            Some(of) => writeln!(
                text,
                "{} {} {} {} {}",
                of.dev, of.ino, of.size, of.mtime_ns, of.ctime_ns
            ),
            None => writeln!(text, "{NONE}"),
        };
        written.unwrap_or_default();
    }
    text
}

fn stamp(line: &str) -> Option<Stamp> {
    let mut parts = line.split(' ');
    let stamp = Stamp {
        dev: parts.next()?.parse().ok()?,
        ino: parts.next()?.parse().ok()?,
        size: parts.next()?.parse().ok()?,
        mtime_ns: parts.next()?.parse().ok()?,
        ctime_ns: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(stamp)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;
    use crate::{Error, Package, Store};

    /// More than is hashed without being worth a file.
    const BYTES: usize = 5 * 1024 * 1024;

    struct Place {
        dir: tempfile::TempDir,
        digest: PackageDigest,
    }

    impl Place {
        /// A state whose large package was opened once its files had settled.
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path().join("package");
            fs::create_dir(&root).unwrap();
            fs::write(root.join("plugin.json"), b"{}").unwrap();
            fs::write(root.join("large"), vec![7; BYTES]).unwrap();
            let store = Store::open(dir.path()).unwrap();
            let package = store.put_package(&Package::read(&root).unwrap()).unwrap();
            let place = Self {
                dir,
                digest: package.digest(),
            };
            sleep(Duration::from_millis(150));
            place.open().unwrap();
            place
        }

        /// Opens the package as a new process does.
        fn open(&self) -> Result<(), Error> {
            let store = Store::open(self.dir.path()).unwrap();
            store.open_package(self.digest).map(drop)
        }

        fn stamps(&self) -> PathBuf {
            self.dir
                .path()
                .join(format!("store/stamps/{}", self.digest))
        }

        fn large(&self) -> PathBuf {
            self.dir
                .path()
                .join(format!("store/packages/{}/large", self.digest))
        }

        /// Whether a new process believes the stamp of the large file.
        fn is_believed(&self) -> bool {
            let store = Store::open(self.dir.path()).unwrap();
            store.kept_stamps(self.digest).contains_key("large")
        }

        /// Writes into the stored file, as only somebody with the gateway's own rights could.
        fn change_a_byte(&self) {
            let (path, mode) = (self.large(), |mode| fs::Permissions::from_mode(mode));
            fs::set_permissions(&path, mode(0o600)).unwrap();
            let mut bytes = fs::read(&path).unwrap();
            bytes[BYTES / 2] = 8;
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, mode(0o444)).unwrap();
        }
    }

    #[test]
    fn a_new_process_does_not_hash_again_what_another_verified_and_sees_each_change() {
        let place = Place::new();
        assert!(place.is_believed(), "{:?}", fs::read(place.stamps()));
        place.open().unwrap();
        let before = fs::metadata(place.large()).unwrap();
        place.change_a_byte();
        // Back to the same size and time, which anybody may set.
        let file = File::options().read(true).open(place.large()).unwrap();
        file.set_modified(before.modified().unwrap()).unwrap();
        let after = fs::metadata(place.large()).unwrap();
        assert_eq!(
            (before.len(), before.modified().unwrap()),
            (after.len(), after.modified().unwrap())
        );
        let changed = place.open().unwrap_err();
        assert!(matches!(changed, Error::Changed { .. }), "{changed:?}");
    }

    /// First that a believed stamp would hide the change; then each doubt, under which it cannot.
    #[test]
    fn stamps_that_others_could_have_written_or_of_another_boot_are_not_believed() {
        let place = Place::new();
        place.change_a_byte();
        let good = fs::read_to_string(place.stamps()).unwrap();
        let meta = rustix::fs::stat(place.large()).unwrap();
        let (mtime, ctime) = (
            i128::from(meta.st_mtime) * 1_000_000_000 + i128::from(meta.st_mtime_nsec),
            i128::from(meta.st_ctime) * 1_000_000_000 + i128::from(meta.st_ctime_nsec),
        );
        let mut lines: Vec<&str> = good.lines().collect();
        let forged = format!(
            "{} {} {} {mtime} {ctime}",
            meta.st_dev, meta.st_ino, meta.st_size
        );
        lines[3] = &forged;
        let text = format!("{}\n", lines.join("\n"));
        let write = |text: &str, mode: u32| {
            fs::write(place.stamps(), text).unwrap();
            fs::set_permissions(place.stamps(), fs::Permissions::from_mode(mode)).unwrap();
        };
        write(&text, 0o600);
        place.open().unwrap();
        let boot = text.lines().nth(1).unwrap();
        for (text, mode) in [
            (text.clone(), 0o620),
            (text.clone(), 0o604),
            (text.replace(boot, "another-boot"), 0o600),
            (text.replace(FORM, "plugin-gateway stamps 0"), 0o600),
            (text.replace(&place.digest.to_string(), "0"), 0o600),
            (format!("{text}-\n"), 0o600),
            (text.replace(&forged, "- -"), 0o600),
            (String::new(), 0o600),
        ] {
            write(&text, mode);
            let refused = place.open();
            assert!(
                matches!(refused, Err(Error::Changed { .. })),
                "{mode:o} {text}"
            );
        }
        let aside = place.dir.path().join("aside");
        write(&text, 0o600);
        fs::rename(place.stamps(), &aside).unwrap();
        std::os::unix::fs::symlink(&aside, place.stamps()).unwrap();
        assert!(place.open().is_err(), "a link");
    }

    #[test]
    fn a_package_that_is_small_or_gone_has_no_stamps_kept() {
        let place = Place::new();
        let store = Store::open(place.dir.path()).unwrap();
        drop(store.remove_package(place.digest).unwrap());
        assert!(!place.stamps().exists());
        let root = place.dir.path().join("small");
        fs::create_dir(&root).unwrap();
        fs::write(root.join("plugin.json"), b"{}").unwrap();
        let small = store.put_package(&Package::read(&root).unwrap()).unwrap();
        sleep(Duration::from_millis(150));
        store.open_package(small.digest()).unwrap();
        let kept = fs::read_dir(place.stamps().parent().unwrap()).unwrap();
        assert_eq!(kept.count(), 0);
    }
}
