//! Reading packages and keeping them.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;

use plugin_protocol::digest::{FileHash, ManifestHash, PackageDigest};

use super::super::tree::{MAX_ENTRIES, MAX_PATH_BYTES};
use super::*;

fn refusal(root: &Path) -> String {
    Package::read(root).unwrap_err().to_string()
}

/// "The package digest is the SHA-256 of the canonical JSON of the sorted list of `{path, mode (executable or not), sha256}`
/// of every file except `plugin.sig`."
#[test]
fn the_digest_is_that_of_the_written_list() {
    let dir = tempfile::tempdir().unwrap();
    let root = package_folder(dir.path());
    let line = |mode: &str, path: &str, bytes: &[u8]| {
        format!(
            r#"{{"mode":"{mode}","path":"{path}","sha256":"{}"}}"#,
            FileHash::of(bytes)
        )
    };
    let list = [
        line("executable", "hello", b"\x7fELF"),
        line("regular", "lib/deep/a.txt", b"a"),
        line("regular", "plugin.json", b"{}"),
    ];
    let expected = PackageDigest::of(format!("[{}]", list.join(",")).as_bytes());
    let package = Package::read(&root).unwrap();
    assert_eq!(package.digest(), expected);
    assert_eq!(package.manifest_bytes(), b"{}");
    assert_eq!(package.signature_bytes(), None);

    write(&root, "plugin.sig", b"sig", 0o644);
    let signed = Package::read(&root).unwrap();
    assert_eq!(signed.digest(), expected);
    assert_eq!(signed.signature_bytes(), Some(&b"sig"[..]));
    fs::create_dir(root.join("sub")).unwrap();
    write(&root, "sub/plugin.sig", b"sig", 0o644);
    assert_ne!(
        Package::read(&root).unwrap().digest(),
        expected,
        "only the root's signature is left out"
    );
}

#[test]
fn every_change_of_name_mode_or_bytes_changes_the_digest() {
    let dir = tempfile::tempdir().unwrap();
    let root = package_folder(dir.path());
    let mut seen = vec![Package::read(&root).unwrap().digest()];
    let mut differs = |what: &str| {
        let digest = Package::read(&root).unwrap().digest();
        assert!(!seen.contains(&digest), "{what}");
        seen.push(digest);
    };
    write(&root, "hello", b"\x7fELG", 0o755);
    differs("bytes");
    write(&root, "hello", b"\x7fELG", 0o644);
    differs("mode");
    fs::rename(root.join("hello"), root.join("hallo")).unwrap();
    differs("name");
    write(&root, "more", b"", 0o644);
    differs("additional file");
    write(&root, "more", b"", 0o664);
    let digest = Package::read(&root).unwrap().digest();
    assert_eq!(seen.last(), Some(&digest), "other mode bits do not count");
}

#[test]
fn special_files_and_links_out_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let root = package_folder(dir.path());
    let odd = root.join("lib/odd");
    let links = [
        ("/etc/passwd", "out of the package"),
        ("../../outside", "out of the package"),
        ("./.././../x", "out of the package"),
        ("deep/../../hello", "down and up again"),
        ("a\u{202e}b", "invisible character"),
    ];
    for (target, why) in links {
        symlink(target, &odd).unwrap();
        let said = refusal(&root);
        assert!(
            said.contains("package entry 'lib/odd' is refused") && said.contains(why),
            "{target}: {said}"
        );
        fs::remove_file(&odd).unwrap();
    }
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &odd,
        rustix::fs::FileType::Fifo,
        0o644.into(),
        0,
    )
    .unwrap();
    assert!(refusal(&root).contains("neither a regular file nor a folder"));
    fs::remove_file(&odd).unwrap();
    write(&root, "lib/odd", b"", 0o4755);
    assert!(refusal(&root).contains("setuid"));
    fs::remove_file(&odd).unwrap();
    write(&root, "lib/pyvenv.cfg", b"", 0o644);
    assert!(refusal(&root).contains("pip install --target"));
    fs::remove_file(root.join("lib/pyvenv.cfg")).unwrap();
    for fixed in ["plugin.json", "plugin.sig"] {
        drop(fs::remove_file(root.join(fixed)));
        symlink("hello", root.join(fixed)).unwrap();
        assert!(refusal(&root).contains("it is a symbolic link"), "{fixed}");
        fs::remove_file(root.join(fixed)).unwrap();
        write(&root, "plugin.json", b"{}", 0o644);
    }
    assert!(Package::read(&root).is_ok());
}

#[test]
fn links_inside_a_package_are_kept_and_signed() {
    let dir = tempfile::tempdir().unwrap();
    let root = package_folder(dir.path());
    let without = Package::read(&root).unwrap().digest();
    symlink("../hello", root.join("lib/run")).unwrap();
    symlink("lib", root.join("lib64")).unwrap();
    let package = Package::read(&root).unwrap();
    assert_ne!(package.digest(), without);
    let store = Store::open(&dir.path().join("state")).unwrap();
    let stored = store.put_package(&package).unwrap();
    let kept = fs::read_link(stored.root().join("lib/run")).unwrap();
    assert_eq!(kept, Path::new("../hello"));
    assert!(package.executable("lib64/run") && stored.executable("lib64/run"));
    assert_eq!(stored.file("lib64/run").unwrap(), b"\x7fELF");
    assert_eq!(package.file("lib64/deep/a.txt").unwrap(), b"a");
    // Another text, or a copy in the link's place, is another package.
    let link = stored.root().join("lib64");
    fs::set_permissions(stored.root(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(&link).unwrap();
    symlink("lib/deep", &link).unwrap();
    assert!(changed(&store, package.digest()).contains("'lib64' changed"));
    fs::remove_file(&link).unwrap();
    fs::write(&link, "lib").unwrap();
    assert!(changed(&store, package.digest()).contains("'lib64' changed"));
}

#[test]
fn times_of_files_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let root = package_folder(dir.path());
    let long_ago = std::time::SystemTime::UNIX_EPOCH + Duration::from_millis(1_234_567_891_011);
    let file = fs::File::options()
        .append(true)
        .open(root.join("hello"))
        .unwrap();
    file.set_modified(long_ago).unwrap();
    let store = Store::open(&dir.path().join("state")).unwrap();
    let stored = store.put_package(&Package::read(&root).unwrap()).unwrap();
    let of = fs::metadata(stored.root().join("hello")).unwrap();
    assert_eq!(of.modified().unwrap(), long_ago);
}

/// A package with more files than are looked at one by one, stored and verified.
fn stored_large(dir: &Path) -> (Store, StoredPackage) {
    let root = package_folder(dir);
    for at in 0..300 {
        write(&root, &format!("lib/deep/{at}"), b"some", 0o644);
    }
    let store = Store::open(&dir.join("state")).unwrap();
    let stored = store.put_package(&Package::read(&root).unwrap()).unwrap();
    (store, stored)
}

#[test]
fn every_touch_of_a_large_package_shows() {
    let dir = tempfile::tempdir().unwrap();
    let (store, package) = stored_large(dir.path());
    let (digest, root) = (package.digest(), package.root().to_owned());
    let inner = root.join("lib/deep");
    let file = inner.join("7");
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    let touched: [(&str, &dyn Fn()); 7] = [
        ("mode", &|| open(&inner)),
        ("bytes", &|| {
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
            fs::write(&file, "none").unwrap();
        }),
        ("bytes put back", &|| fs::write(&file, "some").unwrap()),
        ("new file", &|| fs::write(inner.join("new"), "").unwrap()),
        ("file gone", &|| fs::remove_file(inner.join("new")).unwrap()),
        ("moved away", &|| {
            open(&root);
            fs::rename(&root, root.with_extension("away")).unwrap();
        }),
        ("another in its place", &|| {
            fs::create_dir(&root).unwrap();
        }),
    ];
    let mut seen = store.glance(digest).unwrap();
    for (what, touch) in touched {
        touch();
        let now = store.glance(digest).ok();
        assert_ne!(now, Some(seen), "{what}");
        seen = now.unwrap_or(seen);
        let whole = matches!(what, "mode" | "bytes put back" | "file gone");
        assert_eq!(store.open_package(digest).is_ok(), whole, "{what}");
    }
}

#[test]
fn a_folder_put_in_place_above_a_large_package_shows() {
    let dir = tempfile::tempdir().unwrap();
    let (store, package) = stored_large(dir.path());
    let above = dir.path().join("state/store/packages");
    fs::rename(&above, above.with_extension("away")).unwrap();
    let place = above.join(package.digest().to_string());
    fs::create_dir_all(&place).unwrap();
    assert!(store.open_package(package.digest()).is_err());
}

#[test]
fn names_that_cannot_be_shown_are_refused() {
    use std::os::unix::ffi::OsStrExt as _;
    let dir = tempfile::tempdir().unwrap();
    let root = package_folder(dir.path());
    let names: [&[u8]; 4] = [b"a\nb", b"a\xffb", "a\u{202e}b".as_bytes(), b"\x1b[2J"];
    for name in names {
        let path = root.join(std::ffi::OsStr::from_bytes(name));
        fs::write(&path, b"").unwrap();
        let said = refusal(&root);
        assert!(
            said.contains("rename it") && said.is_ascii() && !said.contains('\x1b'),
            "{said}"
        );
        fs::remove_file(&path).unwrap();
    }
    let long = root.join("d".repeat(200));
    fs::create_dir(&long).unwrap();
    fs::write(long.join("e".repeat(MAX_PATH_BYTES - 201)), b"").unwrap();
    assert!(Package::read(&root).is_ok());
    fs::write(long.join("e".repeat(MAX_PATH_BYTES - 200)), b"").unwrap();
    assert!(refusal(&root).contains("longer than 255 bytes"));
}

#[test]
fn packages_over_a_limit_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let root = package_folder(dir.path());
    let mut deep = root.clone();
    for _ in 0..32 {
        deep.push("d");
    }
    fs::create_dir_all(&deep).unwrap();
    assert!(Package::read(&root).is_ok());
    fs::create_dir(deep.join("d")).unwrap();
    assert!(refusal(&root).contains("more than 32 folders deep"));
    fs::remove_dir_all(root.join("d")).unwrap();

    write(
        &root,
        "plugin.json",
        &vec![b' '; 2 * 1024 * 1024 + 1],
        0o644,
    );
    assert!(refusal(&root).contains("larger than 2 MiB"));
    write(&root, "plugin.json", b"{}", 0o644);
    // A sparse file: the limit counts what is read, whatever is on the disk.
    let sparse = fs::File::create(root.join("big")).unwrap();
    sparse.set_len(512 * 1024 * 1024 + 1).unwrap();
    assert!(refusal(&root).contains("bytes in all"));
    fs::remove_file(root.join("big")).unwrap();

    for count in 0..=MAX_ENTRIES {
        fs::write(root.join(format!("f{count}")), b"").unwrap();
    }
    assert!(refusal(&root).contains("files and folders"));
}

/// "where the folder no longer has that digest, the file that changed, came or went is named"
#[test]
fn a_signature_names_what_changed_since() {
    let dir = tempfile::tempdir().unwrap();
    let root = package_folder(dir.path());
    write(&root, "left", b"", 0o644);
    let signed = Package::read(&root).unwrap();
    let key = SigningKey::generate().unwrap();
    let signature = key.sign(signed.digest()).with_files_of(&signed);
    let read = Signature::parse(&signature.to_file_bytes()).unwrap();
    assert!(key.public().verifies(signed.digest(), &read));
    let said = || read.differences(Package::read(&root).unwrap().list().files());
    assert_eq!(said(), None);
    write(&root, "hello", b"other", 0o755);
    write(&root, "lib/deep/a.txt", b"a", 0o755);
    fs::remove_file(root.join("left")).unwrap();
    write(&root, "new", b"", 0o644);
    assert_eq!(
        said().unwrap(),
        "'hello' changed, 'left' is gone, 'lib/deep/a.txt' has another mode, 'new' is new"
    );
    for at in 0..9 {
        write(&root, &format!("more{at}"), b"", 0o644);
    }
    assert!(said().unwrap().ends_with(" and 8 more"));
}

#[test]
fn what_is_no_package_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    assert!(refusal(dir.path()).contains("it has no plugin.json"));
    fs::write(dir.path().join("plugin.json"), b"{}").unwrap();
    assert!(refusal(&dir.path().join("plugin.json")).contains("name the folder"));
    assert!(refusal(&dir.path().join("none")).contains("cannot open package"));
}

fn stored(dir: &Path) -> (Store, StoredPackage) {
    let package = Package::read(&package_folder(dir)).unwrap();
    let store = Store::open(&dir.join("state")).unwrap();
    let stored = store.put_package(&package).unwrap();
    (store, stored)
}

#[test]
fn a_stored_package_is_read_only_and_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (store, package) = stored(dir.path());
    let mode = |path: &str| {
        fs::metadata(package.root().join(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o7777
    };
    assert_eq!((mode(""), mode("lib/deep")), (0o555, 0o555));
    assert_eq!((mode("hello"), mode("plugin.json")), (0o555, 0o444));
    assert_eq!(package.file("lib/deep/a.txt").unwrap(), b"a");
    assert!(package.executable("hello") && !package.executable("plugin.json"));
    assert!(!package.contains("none") && package.file("../../lists").is_err());
    let again = Store::open(&dir.path().join("state")).unwrap();
    assert_eq!(
        again.open_package(package.digest()).unwrap().root(),
        package.root()
    );
    let names: Vec<_> = fs::read_dir(dir.path().join("state/store/packages"))
        .unwrap()
        .collect();
    assert_eq!(names.len(), 1, "nothing half-built is left");
    drop(store);
}

fn changed(store: &Store, digest: PackageDigest) -> String {
    store.open_package(digest).unwrap_err().to_string()
}

#[test]
fn a_changed_missing_or_additional_file_shows_at_the_next_opening() {
    let dir = tempfile::tempdir().unwrap();
    let (store, package) = stored(dir.path());
    let (root, digest) = (package.root().to_owned(), package.digest());
    let path = root.join("hello");
    let rewrite = |bytes: &[u8], mode| {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        write(&root, "hello", bytes, mode);
    };
    // Past the settling time, so that the stamps of an untouched package are remembered first.
    std::thread::sleep(Duration::from_millis(150));
    store.open_package(digest).unwrap();
    rewrite(b"\x7fELG", 0o555);
    assert_eq!(
        changed(&store, digest),
        "package file 'hello' changed since it was signed"
    );
    assert!(package.file("hello").is_err(), "reading verifies again");
    rewrite(b"\x7fELF", 0o444);
    assert!(
        changed(&store, digest).contains("'hello' changed"),
        "a lost mode bit counts"
    );
    rewrite(b"\x7fELF", 0o555);
    assert!(
        store.open_package(digest).is_ok(),
        "the same bytes are the same package"
    );

    fs::remove_file(&path).unwrap();
    assert!(changed(&store, digest).contains("'hello' changed"));
    symlink("plugin.json", &path).unwrap();
    assert!(changed(&store, digest).contains("'hello' changed"));
    fs::remove_file(&path).unwrap();
    write(&root, "hello", b"\x7fELF", 0o555);
    fs::write(root.join("lib/more"), b"").unwrap();
    assert!(changed(&store, digest).contains("'lib/more' changed"));
    fs::remove_file(root.join("lib/more")).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    assert!(changed(&store, digest).contains("'empty' changed"));
}

#[test]
fn putting_a_package_again_mends_a_damaged_copy() {
    let dir = tempfile::tempdir().unwrap();
    let (store, package) = stored(dir.path());
    fs::set_permissions(
        package.root().join("hello"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    write(package.root(), "hello", b"evil", 0o555);
    assert!(store.open_package(package.digest()).is_err());
    let again = Package::read(&dir.path().join("package")).unwrap();
    assert_eq!(
        store.put_package(&again).unwrap().file("hello").unwrap(),
        b"\x7fELF"
    );
}

#[test]
fn what_changes_between_reading_and_keeping_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let root = package_folder(dir.path());
    let package = Package::read(&root).unwrap();
    let store = Store::open(&dir.path().join("state")).unwrap();
    let refused = |what: &str| {
        let said = store.put_package(&package).unwrap_err().to_string();
        assert!(
            said.contains("changed since it was signed"),
            "{what}: {said}"
        );
    };
    write(&root, "hello", b"evil", 0o755);
    refused("bytes");
    write(&root, "hello", b"\x7fELF", 0o644);
    refused("mode");
    write(&root, "hello", b"\x7fELF", 0o755);
    write(&root, "more", b"", 0o644);
    refused("additional file");
    fs::remove_file(root.join("more")).unwrap();
    fs::remove_file(root.join("lib/deep/a.txt")).unwrap();
    refused("missing file");
    assert!(package.file("lib/deep/a.txt").is_err());
    let left = fs::read_dir(dir.path().join("state/store/packages"))
        .unwrap()
        .count();
    assert_eq!(left, 0, "a refused package leaves nothing");
}

#[test]
fn manifests_are_kept_under_their_hash() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let hash = store.put_manifest(b"{\"a\":1}").unwrap();
    assert_eq!(hash, ManifestHash::of(b"{\"a\":1}"));
    assert_eq!(store.manifest(hash).unwrap(), b"{\"a\":1}");
    assert_eq!(store.put_manifest(b"{\"a\":1}").unwrap(), hash);
    let path = dir.path().join(format!("store/manifests/{hash}.json"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, b"{\"a\":2}").unwrap();
    assert!(matches!(
        store.manifest(hash),
        Err(Error::ManifestMissing(_))
    ));
    assert!(store.put_manifest(b"{\"a\":1}").is_ok() && store.manifest(hash).is_ok());
    assert!(matches!(
        store.manifest(ManifestHash::of(b"")),
        Err(Error::ManifestMissing(_))
    ));
    let none = PackageDigest::of(b"");
    assert!(matches!(
        store.open_package(none),
        Err(Error::PackageMissing(_))
    ));
}
