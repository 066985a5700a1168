//! Tests of the registry, by part.

mod fold;
mod keys;
mod packages;
mod replay;

use std::fs;
use std::path::{Path, PathBuf};

use plugin_protocol::digest::EventHash;
use plugin_protocol::event::{Event, EventKind};
use plugin_protocol::ids::{EventId, PluginId, RunId};
use plugin_protocol::time::Timestamp;

use super::record::Meta;
use super::*;

/// An event of the registry as the ledger would hand it back.
fn event(kind: EventKind, plugin_id: Option<&PluginId>, meta: Meta) -> Event {
    Event {
        event_id: EventId::now(),
        run_id: RunId::system(),
        ts: Timestamp::now(),
        kind,
        plugin_id: plugin_id.cloned(),
        request_id: None,
        input_hash: None,
        output_hash: None,
        prev_hash: None,
        event_hash: EventHash::of(b""),
        meta,
    }
}

fn id(text: &str) -> PluginId {
    PluginId::parse(text).unwrap()
}

/// A folder with a manifest and a program.
fn package_folder(parent: &Path) -> PathBuf {
    let root = parent.join("package");
    fs::create_dir_all(root.join("lib/deep")).unwrap();
    write(&root, "plugin.json", b"{}", 0o644);
    write(&root, "hello", b"\x7fELF", 0o755);
    write(&root, "lib/deep/a.txt", b"a", 0o600);
    root
}

fn write(root: &Path, path: &str, bytes: &[u8], mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = root.join(path);
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}
