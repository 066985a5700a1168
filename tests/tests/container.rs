//! The gateway in a container as people run services in one: an ordinary user without capabilities, behind the runtime's default
//! profile, which makes no namespace and knows no `clone3`. There it runs plugins with what is left, or refuses them and says what is missing.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::PathBuf;
use std::process::Command;

use campaigns::command::{self, Said, binary};
use campaigns::program::{self, Link};
use campaigns::{Package, skip};
use serde_json::Value;
use tempfile::TempDir;

/// The user whom the container's processes belong to, where this test may become another.
const SERVICE: u32 = 10001;

/// Fewer than the acts that `doctor` tries: so many were really tried and refused.
const ACTS: usize = 12;

const ECHO: &str = r#"int main(void) { read_line(); answer("{\"here\":true}"); return 0; }"#;

/// A container with a folder of its own.
struct Container {
    folder: TempDir,
    /// What starts the gateway in it.
    runtime: PathBuf,
    profile: &'static str,
}

impl Container {
    fn with(profile: &'static str) -> Self {
        let folder = TempDir::new().unwrap();
        let runtime = folder.path().join("runtime");
        fs::write(
            &runtime,
            program::c(include_str!("container/service.c"), Link::Static),
        )
        .unwrap();
        for path in [folder.path(), &runtime] {
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        }
        let home = folder.path().join("home");
        fs::create_dir(&home).unwrap();
        if rustix::process::geteuid().is_root() {
            chown(&home, Some(SERVICE), Some(SERVICE)).unwrap();
        }
        Self {
            folder,
            runtime,
            profile,
        }
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    fn say(&self, words: &[&str]) -> Said {
        let mut command = Command::new(&self.runtime);
        command
            .arg(self.profile)
            .arg(binary())
            .arg("--state")
            .arg(self.home().join("state"))
            .args(words)
            .env("HOME", self.home())
            .env("TMPDIR", self.home())
            // As engines mark it, so that the advice is for one.
            .env("container", "test")
            .current_dir("/");
        command::finish(command, b"")
    }

    /// Lays a package out where everybody can read it, and runs it once.
    fn run(&self, package: &Package, name: &str) -> Said {
        let folder = self.folder.path().join(name);
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        package.write(&folder);
        let folder = folder.to_str().unwrap();
        self.say(&["--json", "run", folder, "--text", "hello"])
    }
}

fn rows(doctor: &Said) -> Vec<Value> {
    doctor.json()["checks"].as_array().unwrap().clone()
}

/// Whether a layer is in force by the row about it.
fn is_enforced(rows: &[Value], layer: &str) -> bool {
    let mut of_layer = rows.iter().filter(|row| row["layer"] == layer);
    of_layer.next().unwrap()["enforced"] == true
}

/// Landlock as it must be where there are no namespaces.
fn has_new_landlock(rows: &[Value]) -> bool {
    let row = rows.iter().find(|row| row["layer"] == "landlock").unwrap();
    let detail = row["detail"].as_str().unwrap();
    let version = detail.strip_prefix("version ").unwrap_or("0");
    version
        .split(':')
        .next()
        .is_some_and(|version| version.parse::<u32>().is_ok_and(|version| version >= 6))
}

/// "a plugin can read its request, compute, write one answer, and nothing else", with what a container leaves.
#[test]
fn inv_pnp_05_plugins_are_held_in_a_container_of_an_ordinary_user() {
    let container = Container::with("usual");
    let doctor = container.say(&["--json", "doctor"]);
    let rows = rows(&doctor);
    assert!(!is_enforced(&rows, "pid-ns"), "{rows:#?}");
    if !has_new_landlock(&rows) {
        is_refused_in_words(&container, &doctor);
        return;
    }
    assert_eq!(doctor.code, 0, "{doctor:?}");
    for row in &rows {
        assert!(row["enforced"] == true || row["required"] == false, "{row}");
    }
    let acts = rows.iter().filter(|row| {
        let detail = row["detail"].as_str().unwrap();
        row["enforced"] == true && (detail.contains("refused") || detail.contains("ended"))
    });
    assert!(acts.count() >= ACTS, "{rows:#?}");
    for (name, link) in [("static", Link::Static), ("dynamic", Link::Dynamic)] {
        let package = Package::native(&format!("p.{name}.program"), &program::c(ECHO, link));
        let said = container.run(&package, name).expect(0);
        assert_eq!(said.json()["result"]["data"]["here"], true, "{said:?}");
    }
}

/// "Python and Node plugins must run out of the box": also where no root of their own hides the host's files from them.
#[test]
fn inv_pnp_05_scripts_run_in_a_container_of_an_ordinary_user() {
    let container = Container::with("usual");
    let doctor = rows(&container.say(&["--json", "doctor"]));
    if !has_new_landlock(&doctor) {
        skip("scripts in a container without namespaces need Landlock 6");
        return;
    }
    let row = doctor
        .iter()
        .find(|row| row["name"] == "scripts run and answer")
        .unwrap();
    assert_eq!(row["enforced"], true, "{row}");
}

/// "plugins of that class are refused with the layer and the remedy. Whatever is missing is said by `doctor` before it is felt, with
/// exit 1, and never by silence."
#[test]
fn inv_pnp_08_a_container_that_leaves_too_little_is_told_so() {
    let container = Container::with("older");
    let doctor = container.say(&["--json", "doctor"]);
    is_refused_in_words(&container, &doctor);
}

fn is_refused_in_words(container: &Container, doctor: &Said) {
    assert_eq!(doctor.code, 1, "{doctor:?}");
    let package = Package::native("p.refused.program", &program::c(ECHO, Link::Static));
    let response = container.run(&package, "refused").expect(1).json();
    assert_eq!(response["status"], "rejected", "{response}");
    let notes = response["notes"].as_str().unwrap();
    for word in ["landlock", "let the container", "unshare"] {
        assert!(notes.contains(word), "{response}");
    }
}
