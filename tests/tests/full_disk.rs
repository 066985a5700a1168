//! A disk that really runs full: calls are refused before they begin, and nothing that was acknowledged is lost.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use campaigns::Host;
use campaigns::answers::prompt;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Room for the state and a few of the steps by which the ledger reserves its space.
const DISK: &str = "size=24m,mode=0755";

/// What the disk is filled up by before each further call, in bytes.
const STEP_BYTES: usize = 1 << 20;

/// More calls than it takes to fill the disk.
const CALLS_MAX: usize = 64;

/// Puts a small file system on the folder, which only this thread and what it starts can see, and which goes with them.
fn small_disk(folder: &Path) -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    mount(
        Some("disk"),
        folder,
        Some("tmpfs"),
        MsFlags::empty(),
        Some(DISK),
    )
}

/// "If the first cannot be made durable the plugin is not run": on a full disk new invocations are refused before they start,
/// what began is closed, and with room again the gateway goes on.
#[test]
fn inv_pnp_10_a_full_disk_refuses_what_is_new_and_loses_nothing() {
    let folder = TempDir::new().unwrap();
    if let Err(errno) = small_disk(folder.path()) {
        return campaigns::skip(&format!("a file system cannot be mounted here: {errno}"));
    }
    let host = Host::new_in(folder.path());
    host.alone();
    let id = host.install(&prompt("p.test.prompt"));
    let spare = host.install(&prompt("p.test.spare"));
    let other = TempDir::new().unwrap();
    let second = second_key(&host, &other.path().join("second"));
    let filler = folder.path().join("filler");
    let mut answered = 0;
    let refused = loop {
        assert!(answered < CALLS_MAX, "the disk does not run full");
        let said = host.say(["--json", "invoke", &id, "--text", "x"]);
        if said.code == 0 {
            answered += 1;
            fill(&filler);
        } else {
            break said.expect(4);
        }
    };
    assert!(answered > 0, "with room it answers");
    assert_eq!(refused.json()["error"]["kind"], "ledger", "{refused:?}");
    // What could not be done is said, and not only why.
    let (key, public) = (other.path().join("key"), other.path().join("key.pub"));
    host.say(["keygen", "--out", key.to_str().unwrap()])
        .expect(0);
    let public = public.to_str().unwrap();
    for (verb, said) in [
        (
            &["invoke", &id, "--text", "x"][..],
            "cannot call 'p.test.prompt'",
        ),
        (&["trust", "add", public], "cannot trust key "),
    ] {
        let refused = host.say(verb).expect(4);
        assert!(refused.stderr.contains(said), "{refused:?}");
        assert!(
            refused.stderr.contains("free space on the volume"),
            "{refused:?}"
        );
    }

    // The way back to safety has room, and what leads out of it still has none.
    for verb in [&["disable", &spare][..], &["trust", "remove", &second]] {
        host.say(verb).expect(0);
        host.say(["trust", "add", public]).expect(4);
    }
    // With its package goes what takes room.
    host.say(["remove", &spare]).expect(0);
    assert_eq!(host.row(&spare), Value::Null);

    let events = host.events();
    let count = |kind: &str| events.iter().filter(|event| event["kind"] == kind).count();
    assert_eq!(count("RESULT"), answered, "each answer is recorded");
    assert_eq!(count("INVOKE"), answered, "what was refused never began");
    assert_eq!(host.verified(), events.len() as u64);

    std::fs::remove_file(&filler).unwrap();
    let told: Value = host.ask(&id, "again");
    assert_eq!(told["status"], json!("ok"), "with room it goes on: {told}");
    host.verified();
}

/// Makes and trusts a key, and gives its id.
fn second_key(host: &Host, file: &Path) -> String {
    let made = host.say(["--json", "keygen", "--out", file.to_str().unwrap()]);
    let public = format!("{}.pub", file.display());
    host.say(["trust", "add", &public]).expect(0);
    made.expect(0).json()["key_id"].as_str().unwrap().to_owned()
}

/// Takes a step's worth of the disk, or all that is left of it.
fn fill(filler: &Path) {
    let mut file: File = OpenOptions::new()
        .create(true)
        .append(true)
        .open(filler)
        .unwrap();
    for block in vec![b'x'; STEP_BYTES].chunks(4096) {
        if file.write_all(block).is_err() {
            return;
        }
    }
}
