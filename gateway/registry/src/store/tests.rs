//! The store from inside: what it remembers, and packages that come and go at once.

use super::*;

#[test]
fn settled_files_are_remembered_and_fresh_ones_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("package");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("plugin.json"), b"{}").unwrap();
    let store = Store::open(dir.path()).unwrap();
    let package = store.put_package(&Package::read(&root).unwrap()).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(150));
    store.open_package(package.digest()).unwrap();
    let first = store.recall(package.digest()).unwrap().stamps;
    assert!(first.contains_key("plugin.json"));
    store.open_package(package.digest()).unwrap();
    let second = store.recall(package.digest()).unwrap().stamps;
    assert!(Arc::ptr_eq(&first, &second), "nothing was hashed again");
}

/// Each round both at once; whichever comes last, the package and its list are both there, or neither.
#[test]
fn a_package_that_is_put_in_and_taken_out_at_once_is_whole_or_gone() {
    const ROUNDS: usize = 40;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("package");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("plugin.json"), b"{}").unwrap();
    let package = Package::read(&root).unwrap();
    let store = Store::open(dir.path()).unwrap();
    for round in 0..ROUNDS {
        let start = std::sync::Barrier::new(3);
        std::thread::scope(|scope| {
            let put = || {
                start.wait();
                match store.put_package(&package) {
                    // Taken out again before it was opened.
                    Ok(_) | Err(Error::PackageMissing(_) | Error::Changed { .. }) => {}
                    Err(other) => panic!("{other:?}"),
                }
            };
            scope.spawn(put);
            scope.spawn(put);
            start.wait();
            drop(store.remove_package(package.digest()).unwrap());
        });
        let list = dir
            .path()
            .join(format!("store/lists/{}.json", package.digest()));
        let is_there = store.place(package.digest()).exists();
        assert_eq!(is_there, list.exists(), "round {round}");
        // As the next process sees it.
        let opened = Store::open(dir.path())
            .unwrap()
            .open_package(package.digest());
        assert_eq!(opened.is_ok(), is_there, "round {round}: {opened:?}");
    }
}

#[test]
fn a_large_package_that_nobody_touched_is_not_walked() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("package");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("plugin.json"), b"{}").unwrap();
    let store = Store::open(dir.path()).unwrap();
    for (files, walked) in [(MAX_WALKED - 1, true), (MAX_WALKED, false)] {
        for at in 0..files {
            fs::write(root.join(at.to_string()), b"").unwrap();
        }
        let package = store.put_package(&Package::read(&root).unwrap()).unwrap();
        // What no walk can find.
        let mut seen = store.recall(package.digest()).unwrap();
        seen.glance = Glance::default();
        store.remember(package.digest(), seen);
        let glance = store.open_package(package.digest()).unwrap().glance();
        assert_eq!(glance != Glance::default(), walked, "{files}");
    }
}

/// A package with folders and a link, in its place in a store.
struct Laid {
    dir: tempfile::TempDir,
    store: Store,
    digest: PackageDigest,
}

/// Something that is done to it.
type Act = fn(&Laid);

/// Each change, and what makes it undone.
const CHANGES: [(&str, Act, Act); 5] = [
    (
        "bytes of the same length and time",
        |laid| laid.write("c"),
        |laid| laid.write("b"),
    ),
    (
        "one more file",
        |laid| fs::write(laid.at("inner/deep/more"), "").unwrap(),
        |laid| fs::remove_file(laid.at("inner/deep/more")).unwrap(),
    ),
    (
        "one more folder",
        |laid| fs::create_dir(laid.at("inner/deep/empty")).unwrap(),
        |laid| fs::remove_dir(laid.at("inner/deep/empty")).unwrap(),
    ),
    (
        "another link",
        |laid| laid.link("inner/deep/b"),
        |laid| laid.link("inner/a"),
    ),
    (
        "a folder exchanged for a link to it",
        |laid| {
            fs::rename(laid.at("inner"), laid.aside()).unwrap();
            std::os::unix::fs::symlink(laid.aside(), laid.at("inner")).unwrap();
        },
        |laid| {
            fs::remove_file(laid.at("inner")).unwrap();
            fs::rename(laid.aside(), laid.at("inner")).unwrap();
        },
    ),
];

impl Laid {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("package");
        fs::create_dir_all(root.join("inner/deep")).unwrap();
        for (path, text) in [
            ("plugin.json", "{}"),
            ("inner/a", "a"),
            ("inner/deep/b", "b"),
        ] {
            fs::write(root.join(path), text).unwrap();
        }
        std::os::unix::fs::symlink("inner/a", root.join("link")).unwrap();
        let store = Store::open(dir.path()).unwrap();
        let stored = store.put_package(&Package::read(&root).unwrap()).unwrap();
        let digest = stored.digest();
        Self { dir, store, digest }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.store.place(self.digest).join(path)
    }

    fn aside(&self) -> PathBuf {
        self.dir.path().join("aside")
    }

    fn open(&self) -> Result<Glance, Error> {
        let stored = self.store.open_package(self.digest)?;
        Ok(stored.glance())
    }

    fn glance(&self) -> Result<Glance, Error> {
        self.store.glance(self.digest)
    }

    fn outline(&self) -> Option<Arc<Outline>> {
        self.store.recall(self.digest).unwrap().outline
    }

    /// Until a change is certain to have another stamp.
    fn settle() {
        std::thread::sleep(std::time::Duration::from_millis(150));
    }

    fn mode(&self, path: &str, bits: u32) {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(self.at(path), fs::Permissions::from_mode(bits)).unwrap();
    }

    fn write(&self, text: &str) {
        let path = self.at("inner/deep/b");
        self.mode("inner/deep/b", 0o644);
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, text).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(before).unwrap();
        self.mode("inner/deep/b", 0o444);
    }

    fn link(&self, to: &str) {
        fs::remove_file(self.at("link")).unwrap();
        std::os::unix::fs::symlink(to, self.at("link")).unwrap();
    }
}

#[test]
fn a_package_that_nobody_touched_is_not_walked_again() {
    let laid = Laid::new();
    assert!(laid.outline().is_none(), "it was written just now");
    Laid::settle();
    let glance = laid.open().unwrap();
    let first = laid.outline().unwrap();
    assert_eq!(laid.open().unwrap(), glance);
    assert_eq!(laid.glance().unwrap(), glance);
    // A walk would have drawn another.
    assert!(Arc::ptr_eq(&first, &laid.outline().unwrap()));
}

#[test]
fn each_change_of_a_package_that_is_not_walked_is_seen_also_when_it_was_undone() {
    let laid = Laid::new();
    Laid::settle();
    laid.open().unwrap();
    for (what, change, undo) in CHANGES {
        assert!(laid.outline().is_some(), "{what}: it is not walked");
        let before = laid.glance().unwrap();
        for folder in ["", "inner", "inner/deep"] {
            laid.mode(folder, 0o755);
        }
        change(&laid);
        assert!(laid.open().is_err(), "{what}");
        assert_ne!(laid.glance().ok(), Some(before), "{what}");
        undo(&laid);
        for folder in ["inner/deep", "inner", ""] {
            laid.mode(folder, 0o555);
        }
        assert_ne!(laid.glance().unwrap(), before, "{what}, and undone");
        Laid::settle();
        let after = laid.open().unwrap();
        assert_eq!(laid.glance().unwrap(), after, "{what}");
    }
}
