//! Files and folders as people have them: names that are not UTF-8, an empty folder that a tool lost, something else where a proof is to go.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use campaigns::Host;
use campaigns::command::{binary, finish};
use campaigns::crowd;

/// A state with a call in run `r-1`.
fn used() -> (Host, String) {
    let host = Host::new();
    let plugin = host.install(&crowd::neighbour());
    host.say(["invoke", &plugin, "--text", "x", "--run", "r-1"])
        .expect(0);
    (host, plugin)
}

/// Wrong usage, before anything is written.
#[test]
fn a_name_that_is_not_utf_8_is_refused_before_anything_is_done() {
    let (host, _) = used();
    host.alone();
    let events = host.events().len();
    let other = host.folder().join(OsStr::from_bytes(b"other\xff"));
    let mut init = Command::new(binary());
    init.arg("--state").arg(&other).arg("init");
    let mut by_environment = Command::new(binary());
    by_environment
        .env("PLUGIN_GATEWAY_STATE", &other)
        .arg("init");
    let mut export = host.command();
    export.args(["proof", "export", "r-1", "--out"]).arg(&other);
    let mut json = host.command();
    json.args(["--json", "proof", "export", "r-1", "--out"])
        .arg(&other);
    for command in [init, by_environment, export, json] {
        let said = finish(command, b"").expect(2);
        let words = format!("{}{}", said.stdout, said.stderr);
        assert!(words.contains("is not UTF-8"), "{words}");
        assert!(!other.exists());
    }
    assert_eq!(host.events().len(), events, "no export is recorded");
}

/// git and zip keep no empty folder.
#[test]
fn a_lost_empty_folder_is_made_again() {
    let (host, plugin) = used();
    host.alone();
    let quarantine = host.state().join("quarantine");
    fs::remove_dir(&quarantine).unwrap();
    host.say(["list"]).expect(0);
    host.say(["ledger", "verify"]).expect(0);
    assert_eq!(host.ask(&plugin, "hello")["status"], "ok");
    assert!(quarantine.is_dir());
    assert_eq!(fs::metadata(&quarantine).unwrap().mode() & 0o777, 0o700);
}

/// "Written through, followed …; owner and mode kept; a new file by the umask".
#[test]
fn a_proof_goes_where_it_is_told_and_changes_nothing_else_there() {
    let (host, _) = used();
    let place = |name: &str| host.folder().join(name);
    let export = |to: &Path| {
        host.say(["proof", "export", "r-1", "--out", to.to_str().unwrap()])
            .expect(0);
    };
    let verifies = |file: &Path| {
        let key = host.state().join("log.pub");
        let words = ["proof", "verify", file.to_str().unwrap(), "--key"];
        host.say(words.into_iter().chain([key.to_str().unwrap()]))
            .expect(0);
    };
    let mode = |file: &Path| fs::metadata(file).unwrap().mode() & 0o7777;
    let [new, old, link, by_umask] = ["new", "old", "link", "by-umask"].map(place);
    fs::write(&by_umask, "").unwrap();
    fs::write(&old, "").unwrap();
    fs::set_permissions(&old, Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("target", &link).unwrap();
    for file in [&new, &old, &link] {
        export(file);
        verifies(file);
    }
    assert_eq!(mode(&new), mode(&by_umask));
    assert_eq!(mode(&old), 0o640);
    assert!(link.is_symlink());
    verifies(&place("target"));
    export(Path::new("/dev/null"));
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
    let pipe = place("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read(pipe).unwrap()
    });
    export(&pipe);
    let through = place("through");
    fs::write(&through, reader.join().unwrap()).unwrap();
    verifies(&through);
}
