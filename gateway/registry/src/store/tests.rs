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
