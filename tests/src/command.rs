//! The built command on a state folder of its own, used as people use it.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use wait_timeout::ChildExt;

use crate::package::Package;

/// Set, every state has a gateway at work on it, and the campaigns run over its channel.
const OVER_CHANNEL: &str = "CAMPAIGNS_OVER_CHANNEL";

/// Set, processes wait for the calls of each state that a gateway is at work on, as many as it says (`2`, or `"auto"`).
const POOL: &str = "CAMPAIGNS_POOL";

/// Longer than any verb takes here; a command that is still there then is stuck, and the test says so.
const STUCK: Duration = Duration::from_secs(120);

/// Words without the option that names a state, which the commands in them repeat before the back quote at their end.
pub fn without_state(words: &str) -> String {
    let mut parts = words.split(" --state ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |kept, part| match part.find(['`', ' ']) {
        Some(end) if part[end..].starts_with('`') => kept + &part[end..],
        // It does not end its command.
        Some(_) | None => kept + " --state " + part,
    })
}

/// A state folder with a trusted key.
#[derive(Debug)]
pub struct Host {
    folder: TempDir,
    /// The gateway at work on the state, when the campaigns run over the channel.
    serving: Mutex<Option<Child>>,
}

/// What the command said.
#[derive(Debug)]
pub struct Said {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Said {
    /// Standard output as one JSON document.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not one JSON document ({error}): {self:?}"))
    }

    /// Asserts the exit code and gives itself back.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }
}

/// The command that `cargo build` made.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.ancestors().nth(2).unwrap();
    let binary = folder.join("plugin-gateway");
    assert!(
        binary.exists(),
        "{} is missing: run `cargo build` first",
        binary.display()
    );
    binary
}

/// The folder of packages that `scripts/packages` made.
pub fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/packages")
        .join(name)
}

/// The folder of a package that `scripts/real-packages` gets, whether or not it could.
pub fn real(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/real")
        .join(name)
}

/// Runs `command` with `input`, and fails the test when it does not end.
pub fn finish(mut command: Command, input: &[u8]) -> Said {
    let folder = TempDir::new().unwrap();
    let (out, err) = (folder.path().join("out"), folder.path().join("err"));
    command
        .stdin(Stdio::piped())
        .stdout(std::fs::File::create(&out).unwrap())
        .stderr(std::fs::File::create(&err).unwrap());
    let mut child = spawn(&mut command);
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A command may end without reading what it was given.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let status = child.wait_timeout(STUCK).unwrap();
    if status.is_none() {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    writer.join().unwrap();
    let text = |path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    let (stdout, stderr) = (text(out), text(err));
    let status =
        status.unwrap_or_else(|| panic!("the command is stuck: {command:?}\n{stdout}\n{stderr}"));
    Said {
        code: status.code().unwrap_or(-1),
        stdout,
        stderr,
    }
}

/// Makes every folder below `folder` writable, as the store's are not: an ordinary user can then remove it.
pub fn unseal(folder: &Path) {
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            unseal(&entry.path());
        }
    }
}

/// Starts the command. A program that was just written may still be open for writing in a child that another
/// test's thread is about to start; that passes by itself.
pub fn spawn(command: &mut Command) -> Child {
    loop {
        match command.spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                std::thread::yield_now();
            }
            done => {
                return done.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
            }
        }
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.alone();
        // A test that failed has said why already; a second panic would hide it.
        if !std::thread::panicking() {
            unseal(self.folder.path());
        }
    }
}

impl Host {
    /// A fresh state; its key is made and trusted.
    pub fn new() -> Self {
        Self::new_in(&std::env::temp_dir())
    }

    /// The same in a folder below `parent`.
    pub fn new_in(parent: &Path) -> Self {
        let host = Self {
            folder: TempDir::new_in(parent).unwrap(),
            serving: Mutex::default(),
        };
        host.say(["init"]).expect(0);
        if let Some(size) = std::env::var_os(POOL) {
            let settings = format!(
                "[pool]\nsize = {}\nmemory_mib = 8192\n",
                size.to_str().unwrap()
            );
            std::fs::write(host.state().join("config.toml"), settings).unwrap();
        }
        let key = host.key();
        host.say([OsStr::new("keygen"), OsStr::new("--out"), key.as_os_str()])
            .expect(0);
        let public = host.public_key();
        host.say([OsStr::new("trust"), OsStr::new("add"), public.as_os_str()])
            .expect(0);
        if std::env::var_os(OVER_CHANNEL).is_some() {
            host.serve();
        }
        host
    }

    /// Puts a gateway to work on the state, through which all verbs that change it then go by themselves.
    fn serve(&self) {
        let mut command = self.command();
        command
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        *self.lock() = Some(spawn(&mut command));
        let socket = self.state().join("control.sock");
        let deadline = Instant::now() + STUCK;
        while !socket.exists() {
            assert!(
                Instant::now() < deadline,
                "the gateway does not open its socket"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Takes the gateway off the state, where one is at work, so that a test has it to itself.
    pub fn alone(&self) {
        if let Some(mut gateway) = self.lock().take() {
            drop(gateway.stdin.take());
            gateway.wait().unwrap();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Child>> {
        self.serving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state folder.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The private key.
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("vendor.key")
    }

    /// The public key.
    pub fn public_key(&self) -> PathBuf {
        self.folder.path().join("vendor.key.pub")
    }

    /// A folder for the test's own files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The command with this state, ready for arguments.
    pub fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command.arg("--state").arg(self.state());
        command
    }

    /// Runs a verb.
    pub fn say<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, arguments: I) -> Said {
        self.say_with(arguments, b"")
    }

    /// Runs a verb with something on standard input.
    pub fn say_with<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(
        &self,
        arguments: I,
        input: &[u8],
    ) -> Said {
        let mut command = self.command();
        command.args(arguments);
        finish(command, input)
    }

    /// Signs the folder with the trusted key.
    pub fn sign(&self, package: &Path) {
        let key = self.key();
        self.say([
            OsStr::new("sign"),
            package.as_os_str(),
            OsStr::new("--key"),
            key.as_os_str(),
        ])
        .expect(0);
    }

    /// Signs, registers and enables the package in `folder`, and gives its id.
    pub fn install_folder(&self, folder: &Path) -> String {
        self.sign(folder);
        let info = self
            .say([
                OsStr::new("--json"),
                OsStr::new("register"),
                folder.as_os_str(),
            ])
            .expect(0)
            .json();
        let id = info["plugin_id"].as_str().unwrap().to_owned();
        self.say(["enable", &id]).expect(0);
        id
    }

    /// Writes, signs, registers and enables a package, and gives its id.
    pub fn install(&self, package: &Package) -> String {
        let folder = TempDir::new_in(self.folder.path()).unwrap();
        package.write(folder.path());
        self.install_folder(folder.path())
    }

    /// Writes the package into a folder of its own, which stays as long as this host.
    pub fn lay_out(&self, package: &Package) -> PathBuf {
        let folder = TempDir::new_in(self.folder.path()).unwrap().keep();
        package.write(&folder);
        folder
    }

    /// Writes and signs the package, and gives its folder.
    pub fn signed(&self, package: &Package) -> PathBuf {
        let folder = self.lay_out(package);
        self.sign(&folder);
        folder
    }

    /// Registers the folder.
    pub fn register(&self, folder: &Path) -> Said {
        self.say([
            OsStr::new("--json"),
            OsStr::new("register"),
            folder.as_os_str(),
        ])
    }

    /// The inventory's row of one plugin, null where there is none.
    pub fn row(&self, id: &str) -> Value {
        let list = self.say(["--json", "list"]).expect(0).json();
        let rows = list.as_array().unwrap();
        rows.iter()
            .find(|row| row["plugin_id"] == id)
            .cloned()
            .unwrap_or_default()
    }

    /// Invokes with a whole request or a payload.
    pub fn invoke(&self, id: &str, request: &Value) -> Said {
        self.say_with(
            ["--json", "invoke", id, "--input", "-"],
            request.to_string().as_bytes(),
        )
    }

    /// The ledger's first segment, which holds all of a small ledger.
    pub fn segment(&self) -> PathBuf {
        self.state().join("ledger/seg/00000000000000000000.ndjson")
    }

    /// Invokes with a text, and gives the response.
    pub fn ask(&self, id: &str, text: &str) -> Value {
        self.say(["--json", "invoke", id, "--text", text]).json()
    }

    /// The stored events.
    pub fn events(&self) -> Vec<Value> {
        let said = self
            .say(["--json", "ledger", "tail", "-n", "1000000"])
            .expect(0);
        said.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Asserts that the ledger is valid and gives the number of its events.
    #[track_caller]
    pub fn verified(&self) -> u64 {
        let report = self.say(["--json", "ledger", "verify"]).expect(0).json();
        assert_eq!(report["valid"], true, "{report}");
        report["events"].as_u64().unwrap()
    }
}
