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

/// How often a thread of this process read a folder's list or opened a file is not to be seen from inside; that nothing was walked is:
/// the outline is the same one.
#[test]
fn a_package_that_nobody_touched_is_not_walked_again_and_each_change_is_seen() {
    use std::os::unix::fs::PermissionsExt as _;
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
    let digest = store
        .put_package(&Package::read(&root).unwrap())
        .unwrap()
        .digest();
    let outline = || store.recall(digest).unwrap().outline;
    assert!(outline().is_none(), "it was written just now");
    let settle = || std::thread::sleep(std::time::Duration::from_millis(150));
    settle();
    store.open_package(digest).unwrap();
    let first = outline().unwrap();
    let glance = store.open_package(digest).unwrap().glance();
    assert!(Arc::ptr_eq(&first, &outline().unwrap()) && store.glance(digest).unwrap() == glance);

    let place = store.place(digest);
    let mode = |path: &str, bits| {
        fs::set_permissions(place.join(path), fs::Permissions::from_mode(bits)).unwrap();
    };
    let writable = || ["", "inner", "inner/deep"].map(|folder| mode(folder, 0o755));
    let sealed = || ["inner/deep", "inner", ""].map(|folder| mode(folder, 0o555));
    let bytes = |text: &str| {
        let path = place.join("inner/deep/b");
        mode("inner/deep/b", 0o644);
        let times = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, text).unwrap();
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(times)
            .unwrap();
        mode("inner/deep/b", 0o444);
    };
    let a_file = || place.join("inner/deep/more");
    let a_folder = || place.join("inner/deep/empty");
    let relink = |to: &str| {
        fs::remove_file(place.join("link")).unwrap();
        std::os::unix::fs::symlink(to, place.join("link")).unwrap();
    };
    let changes: [(&str, &dyn Fn(), &dyn Fn()); 5] = [
        ("bytes of the same length and time", &|| bytes("c"), &|| {
            bytes("b")
        }),
        (
            "one more file",
            &|| fs::write(a_file(), "").unwrap(),
            &|| fs::remove_file(a_file()).unwrap(),
        ),
        (
            "one more folder",
            &|| fs::create_dir(a_folder()).unwrap(),
            &|| fs::remove_dir(a_folder()).unwrap(),
        ),
        ("another link", &|| relink("inner/deep/b"), &|| {
            relink("inner/a")
        }),
        (
            "a folder exchanged",
            &|| {
                fs::rename(place.join("inner"), dir.path().join("aside")).unwrap();
                std::os::unix::fs::symlink(dir.path().join("aside"), place.join("inner")).unwrap();
            },
            &|| {
                fs::remove_file(place.join("inner")).unwrap();
                fs::rename(dir.path().join("aside"), place.join("inner")).unwrap();
            },
        ),
    ];
    for (what, change, back) in changes {
        let before = store.glance(digest).unwrap();
        writable();
        change();
        assert!(store.open_package(digest).is_err(), "{what}");
        assert_ne!(store.glance(digest).ok(), Some(before), "{what}");
        back();
        sealed();
        // As it was, but touched.
        assert_ne!(store.glance(digest).unwrap(), before, "{what}, and back");
        settle();
        store
            .open_package(digest)
            .unwrap_or_else(|error| panic!("{what}, and back: {error}"));
        assert_eq!(
            store.open_package(digest).unwrap().glance(),
            store.glance(digest).unwrap()
        );
    }
}
