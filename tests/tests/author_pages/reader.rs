//! Follows a part of a page as a reader does: in an empty folder, with the built command on the path.

use std::fs::{self, File};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use campaigns::command::{Said, binary, finish, spawn, unseal};
use campaigns::{skip, skip_for_registry};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;
use wait_timeout::ChildExt as _;

use crate::page::{Block, End, Kind, Part, is_said, project};

/// Longer than anything here takes.
const STUCK: Duration = Duration::from_secs(120);

/// How often a command that runs until interrupted is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A reader: an empty folder, and a state of their own.
struct Reader {
    folder: TempDir,
}

impl Reader {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("work")).unwrap();
        Self { folder }
    }

    /// A shell in which a reader has followed the README's first lines. Both streams are one, as on a terminal.
    fn shell(&self, commands: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-eu", "-c", &format!("exec 2>&1\n{commands}")]);
        let mut path = binary().parent().unwrap().as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
        let gateway = fs::canonicalize(project("")).unwrap();
        shell.env("PATH", path).env("GATEWAY", gateway);
        shell.env("PLUGIN_GATEWAY_STATE", self.folder.path().join("state"));
        shell
            .env_remove("PLUGIN_GATEWAY_ANCHOR")
            .env_remove("COLUMNS");
        // A registry that is not there is given up soon.
        shell
            .env("PIP_RETRIES", "1")
            .env("npm_config_fetch_retries", "1");
        shell.current_dir(self.folder.path().join("work"));
        shell
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join("work").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Runs the commands until they have said what is expected, interrupts them as Ctrl-C does, and gives what they said.
    fn interrupt(&self, commands: &str, expected: &str) -> Said {
        let out = self.folder.path().join("said");
        let mut shell = self.shell(commands);
        shell.stdin(Stdio::null()).process_group(0);
        shell
            .stdout(File::create(&out).unwrap())
            .stderr(Stdio::null());
        let mut child = spawn(&mut shell);
        let begun = Instant::now();
        let mut said = String::new();
        while !is_said(expected, &said) && begun.elapsed() < STUCK {
            std::thread::sleep(LOOK);
            said = String::from_utf8_lossy(&fs::read(&out).unwrap()).into_owned();
        }
        killpg(
            Pid::from_raw(child.id().try_into().unwrap()),
            Signal::SIGINT,
        )
        .unwrap();
        let ended = child.wait_timeout(STUCK).unwrap();
        if ended.is_none() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let signal = ended.and_then(|status| status.signal());
        assert_eq!(signal, Some(Signal::SIGINT as i32), "Ctrl-C ends it");
        Said {
            code: 0,
            stdout: said,
            stderr: String::new(),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            unseal(self.folder.path());
        }
    }
}

/// Whether a program of that name is on the path.
pub fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Programs that no distribution has as a package, so that a full run need not have them.
const OF_NO_DISTRIBUTION: [&str; 1] = ["bun"];

/// Follows a part of a page from its first block to its last.
pub fn follow(part: &Part) {
    if let Some(program) = part.needs.iter().find(|program| !has(program)) {
        if OF_NO_DISTRIBUTION.contains(&program.as_str()) {
            return skip_for_registry(&format!("{program} is not among a distribution's packages"));
        }
        return skip(&format!("{program} is not installed"));
    }
    let reader = Reader::new();
    let mut blocks = part.blocks.iter().peekable();
    while let Some(Block { line, text, kind }) = blocks.next() {
        let end = match kind {
            Kind::File(path) => {
                reader.write(path, text);
                continue;
            }
            Kind::Commands(end) => *end,
            Kind::Output => unreachable!("it follows commands, and was taken with them"),
        };
        let output = blocks.next_if(|block| block.kind == Kind::Output);
        let said = match (end, output) {
            (End::Interrupted, Some(output)) => reader.interrupt(text, &output.text),
            (End::Interrupted, None) => panic!("line {line}: it would run for ever"),
            (End::Code(_) | End::FromRegistry, _) => finish(reader.shell(text), b""),
        };
        match end {
            // Wrong usage (2) and a program that is not there (127) are the page's fault.
            End::FromRegistry if ![0, 2, 127].contains(&said.code) => {
                let mut lines = said.stdout.lines();
                let why = lines.find(|line| line.to_lowercase().contains("error"));
                let why = why.unwrap_or("the registry did not give what it needs");
                return skip_for_registry(&format!("line {line}: {why}"));
            }
            End::FromRegistry | End::Interrupted => {
                assert_eq!(said.code, 0, "line {line}: {said:?}")
            }
            End::Code(code) => assert_eq!(said.code, code, "line {line}:\n{}", said.stdout),
        }
        if let Some(output) = output {
            let (line, expected) = (output.line, &output.text);
            let as_said = is_said(expected, &said.stdout);
            assert!(
                as_said,
                "line {line}: the page says\n{expected}\nand it said\n{}",
                said.stdout
            );
        }
    }
}
