//! What the sandbox's tests share: compiling hostile programs, running jobs, counting what is left behind.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::compiled;
pub(crate) use super::compiled::{Link, PRELUDE, compile};
use crate::launch::launcher::Launch;
use crate::sys::spawn::Child;
use crate::{Entry, Error, Image, Job, Limits, Report, Sandbox, Settings};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// The permit of these tests.
#[derive(Debug)]
pub(crate) struct Permit;

pub(crate) fn sandbox() -> Sandbox<Permit> {
    Sandbox::open(Settings::default()).unwrap()
}

pub(crate) fn limits() -> Limits {
    Limits {
        cpu: Duration::from_secs(10),
        memory_bytes: 128 << 20,
        open_files: 64,
        answer_bytes: 1 << 20,
    }
}

/// A package folder that plugins of any user id can read, also when the tests' umask is strict.
pub(crate) fn package(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }
    folder
}

pub(crate) fn seal(program: &Path) -> Entry {
    seal_bytes(&fs::read(program).unwrap())
}

pub(crate) fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

pub(crate) fn seal_bytes(program: &[u8]) -> Entry {
    Entry::Program {
        image: Arc::new(Image::seal(program, &digest(program)).unwrap()),
        args: Vec::new(),
    }
}

/// Compiles and seals.
pub(crate) fn program(source: &str, link: Link) -> Entry {
    let folder = tempfile::tempdir().unwrap();
    seal(&compile(folder.path(), source, link))
}

pub(crate) fn script(runtime: &str, path: &str) -> Entry {
    Entry::Runtime {
        name: runtime.to_owned(),
        script: PathBuf::from(path),
        args: Vec::new(),
    }
}

/// The same entry with these arguments.
pub(crate) fn with_arguments(entry: &Entry, args: Vec<String>) -> Entry {
    match entry {
        Entry::Program { image, .. } => Entry::Program {
            image: image.clone(),
            args,
        },
        Entry::Runtime { name, script, .. } => Entry::Runtime {
            name: name.clone(),
            script: script.clone(),
            args,
        },
        Entry::Worker { .. } => unreachable!("a worker has no arguments"),
    }
}

/// A generous deadline for what should take a millisecond.
pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// The plugin of a launch that was in time.
pub(crate) fn made(launch: Result<Launch, Error>) -> Result<Child, Error> {
    launch.and_then(Launch::in_time)
}

/// Runs a job with a generous deadline.
pub(crate) fn run(sandbox: &Sandbox<Permit>, entry: &Entry, package: &Path, input: &str) -> Report {
    run_within(
        sandbox,
        entry,
        package,
        input,
        Duration::from_secs(20),
        limits(),
    )
}

pub(crate) fn run_within(
    sandbox: &Sandbox<Permit>,
    entry: &Entry,
    package: &Path,
    input: &str,
    time: Duration,
    limits: Limits,
) -> Report {
    let deadline = Instant::now() + time;
    let job = Job {
        entry,
        package,
        input: input.as_bytes(),
        deadline,
        limits,
        when_refused: crate::WhenRefused::GoOn,
        deterministic: false,
        names_reads: false,
        cancel: None,
        listener: None,
    };
    sandbox.run(&Permit, &job).unwrap()
}

/// Runs a job that is ended at its first refused call.
pub(crate) fn run_ending(sandbox: &Sandbox<Permit>, entry: &Entry, package: &Path) -> Report {
    let job = Job {
        entry,
        package,
        input: b"{}\n",
        deadline: Instant::now() + Duration::from_secs(20),
        limits: limits(),
        when_refused: crate::WhenRefused::End,
        deterministic: false,
        names_reads: false,
        cancel: None,
        listener: None,
    };
    sandbox.run(&Permit, &job).unwrap()
}

/// Runs C source under the sandbox, without any package.
pub(crate) fn run_c(sandbox: &Sandbox<Permit>, source: &str, link: Link) -> Report {
    let folder = package(&[]);
    run(sandbox, &program(source, link), folder.path(), "{}\n")
}

/// Descriptors of this process.
pub(crate) fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The command names of this process's children that have not been reaped, launchers left out.
pub(crate) fn children() -> Vec<String> {
    let all = processes_of(std::process::id()).into_iter();
    let mut names: Vec<String> = all.map(|(_, name)| name).collect();
    names.retain(|name| name != LAUNCHER);
    names
}

/// The launchers among a process's children.
pub(crate) fn launchers_of(parent: u32) -> Vec<u32> {
    let mut all = processes_of(parent);
    all.retain(|(pid, name)| name == LAUNCHER && is_alive(*pid));
    all.into_iter().map(|(pid, _)| pid).collect()
}

/// The command name of a launcher, and of its child before exec.
const LAUNCHER: &str = "plugin-launcher";

/// The children of a process that are not reaped, with their command names.
fn processes_of(parent: u32) -> Vec<(u32, String)> {
    let parent = parent.to_string();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let Some((name, rest)) = stat.rsplit_once(") ") else {
            continue;
        };
        let Some((pid, name)) = name.split_once(" (") else {
            continue;
        };
        if rest.split_whitespace().nth(1) == Some(&parent) {
            found.push((pid.parse().unwrap(), name.to_owned()));
        }
    }
    found
}

/// Text of an answer.
pub(crate) fn text(report: &Report) -> String {
    String::from_utf8_lossy(&report.answer).into_owned()
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

/// Shows that an attack works without the sandbox, where its program is an ordinary child.
pub(crate) fn works_outside(source: &str, link: Link) {
    let folder = tempfile::tempdir().unwrap();
    works_as(&mut Command::new(compile(folder.path(), source, link)));
}

/// Shows that an attack works as this command: it is given a request and exits with 0.
pub(crate) fn works_as(command: &mut Command) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"{}\n").unwrap();
    let status = child.wait().unwrap();
    assert!(
        status.success(),
        "the attack does not work outside: {status}"
    );
}

/// What the names of these tests begin with in the test program.
pub(crate) const PREFIX: &str = "tests::";

/// Set in a process that runs one test and no other.
const ALONE: &str = "SANDBOX_TEST_ALONE";

/// Runs `body` in a process of its own, so that it does not count what other tests do.
/// `test` is the calling test's name without [`PREFIX`].
pub(crate) fn alone(test: &str, body: fn()) {
    alone_under(&["env"], test, body);
}

/// As [`alone`], in a process that these words start; they run the command that follows them.
pub(crate) fn alone_under(words: &[&str], test: &str, body: fn()) {
    if std::env::var_os(ALONE).is_some() {
        return body();
    }
    let output = Command::new(words[0])
        .args(&words[1..])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{PREFIX}{test}"), "--test-threads=1"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The id of the user `nobody`.
const NOBODY: &str = "65534";

/// Copies this test program to where every user can run it.
pub(crate) fn public_copy() -> (TempDir, PathBuf) {
    let folder = package(&[]);
    let copy = folder.path().join("tests");
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    (folder, copy)
}

/// Runs every other test of the sandbox as a user without privileges. It does nothing when this process already runs as one.
pub(crate) fn again_as_an_ordinary_user() {
    if !is_root() {
        return;
    }
    let (_folder, copy) = public_copy();
    let output = Command::new("setpriv")
        .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"])
        .arg(&copy)
        .args([PREFIX, "--skip", "again_as_an_ordinary_user"])
        // Tests that only root can run are skipped here; root has already run them.
        .env_remove("REQUIRE_ALL")
        .env(compiled::FOLDER, compiled::folder())
        .current_dir("/")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    // What failed says why; the names of the others are many.
    let told = text.split_once("failures:").map_or(&*text, |(_, why)| why);
    assert!(
        output.status.success() && !text.contains(" 0 passed"),
        "{told}"
    );
}

/// Runs one ignored test of this program as a user without privileges, in a place where no user namespace can be made.
pub(crate) fn in_a_poorer_place(test: &str) {
    let (_folder, copy) = public_copy();
    let root = tempfile::tempdir().unwrap();
    // In a changed root the kernel makes no user namespace (user_namespaces(7)).
    let script = format!(
        "mount --rbind / '{root}' && exec chroot --userspec={NOBODY}:{NOBODY} '{root}' '{copy}' --exact --ignored {PREFIX}{test}",
        root = root.path().display(),
        copy = copy.display(),
    );
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Asks again until the answer is as wanted, and fails after a long time.
pub(crate) fn wait_for<T: std::fmt::Debug>(ask: impl Fn() -> T, wanted: impl Fn(&T) -> bool) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = ask();
        if wanted(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "still {answer:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process exists and is not a zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Whether a process is past exec and runs a sealed copy.
fn is_plugin(pid: u32) -> bool {
    fs::read_link(format!("/proc/{pid}/exe"))
        .is_ok_and(|file| file.to_string_lossy().contains("memfd:plugin"))
}

/// The children of a process that are plugins past exec.
pub(crate) fn children_of(parent: u32) -> Vec<u32> {
    let pids = processes_of(parent).into_iter().map(|(pid, _)| pid);
    pids.filter(|&pid| is_plugin(pid) && is_alive(pid))
        .collect()
}
