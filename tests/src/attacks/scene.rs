//! What an attack finds around it, and what can be seen of it afterwards: files, sockets, another process.

use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tempfile::TempDir;

/// What the victim file holds before the attack.
const UNTOUCHED: &[u8] = b"untouched";

/// How long the sibling may take to answer before it counts as stopped, in seconds. It answers at once when it lives.
const SIBLING_STUCK_S: i64 = 10;

/// The memory limit that attacks on memory are told, in bytes: the manifest's own default.
pub const MEMORY_LIMIT: u64 = 128 << 20;

/// A folder, sockets and a process, made for one attack.
#[derive(Debug)]
pub struct Scene {
    folder: TempDir,
    /// Open for writing without close-on-exec: what a careless host leaks into everything it starts.
    leaked: OwnedFd,
    tcp: TcpListener,
    udp: UdpSocket,
    path_socket: UnixListener,
    abstract_socket: UnixListener,
    abstract_name: String,
    sibling: Child,
    before: String,
}

impl Scene {
    /// Sets everything up, open to everyone, so that only the sandbox stands in the way.
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let open =
            |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        open(folder.path(), 0o777);
        for name in ["victim", "other"] {
            fs::write(folder.path().join(name), UNTOUCHED).unwrap();
            open(&folder.path().join(name), 0o666);
        }
        fs::create_dir(folder.path().join("folder")).unwrap();
        let socket = folder.path().join("socket");
        let path_socket = UnixListener::bind(&socket).unwrap();
        open(&socket, 0o777);
        let abstract_name = format!("attack{}", folder.path().display()).replace('/', "-");
        let name = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let mut scene = Self {
            leaked: leaked(&folder.path().join("victim")),
            folder,
            tcp: TcpListener::bind("127.0.0.1:0").unwrap(),
            udp: UdpSocket::bind("127.0.0.1:0").unwrap(),
            path_socket,
            abstract_socket: UnixListener::bind_addr(&name).unwrap(),
            abstract_name,
            sibling: sibling(),
            before: String::new(),
        };
        scene.tcp.set_nonblocking(true).unwrap();
        scene.udp.set_nonblocking(true).unwrap();
        scene.path_socket.set_nonblocking(true).unwrap();
        scene.abstract_socket.set_nonblocking(true).unwrap();
        scene.before = scene.sight();
        scene
    }

    /// The scratch folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the attack is told, as words of the request's text.
    pub fn words(&self, attack: &str) -> String {
        let folder = self.folder.path().display();
        let hostname = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        format!(
            " attack={attack} scratch={folder} victim={folder}/victim unix={folder}/socket abstract={} tcp={} udp={} \
             sibling={} parent={} leaked={} limit={MEMORY_LIMIT} hostname={} home={} ",
            self.abstract_name,
            self.tcp.local_addr().unwrap().port(),
            self.udp.local_addr().unwrap().port(),
            self.sibling.id(),
            std::process::id(),
            self.leaked.as_raw_fd(),
            hostname.trim(),
            std::env::var("HOME").unwrap_or_else(|_| "/".to_owned()),
        )
    }

    /// What has changed since the scene was set, in words; nothing when nothing has.
    pub fn harm(&mut self) -> Option<String> {
        if self.tcp.accept().is_ok() {
            return Some("a TCP connection came".to_owned());
        }
        if self.udp.recv(&mut [0; 8]).is_ok() {
            return Some("a datagram came".to_owned());
        }
        if self.path_socket.accept().is_ok() || self.abstract_socket.accept().is_ok() {
            return Some("a connection came to a local socket".to_owned());
        }
        // Before the sibling is asked, since a dead one has nothing to look at.
        let now = self.sight();
        if now != self.before {
            return Some(format!("changed: {}\nto: {now}", self.before));
        }
        (!self.sibling_answers()).then(|| "the sibling is dead or stopped".to_owned())
    }

    /// Everything of the scene that can be looked at, as text.
    fn sight(&self) -> String {
        let mut names: Vec<PathBuf> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        names.sort();
        let mut sight = String::new();
        for path in names {
            let found = fs::symlink_metadata(&path).unwrap();
            let content = if found.is_file() {
                fs::read(&path).unwrap()
            } else {
                Vec::new()
            };
            sight.push_str(&format!(
                "{:?} mode {:o} owner {} links {} changed {}.{} holds {:?}\n",
                path.file_name().unwrap(),
                found.mode(),
                found.uid(),
                found.nlink(),
                found.ctime(),
                found.ctime_nsec(),
                String::from_utf8_lossy(&content),
            ));
        }
        sight + &self.sight_of_sibling()
    }

    /// The sibling's limits, priority, policy and processors, and whether it is stopped, as one that is would be waited for.
    fn sight_of_sibling(&self) -> String {
        let read = |name: &str| {
            fs::read_to_string(format!("/proc/{}/{name}", self.sibling.id())).unwrap_or_default()
        };
        let stat = read("stat");
        // proc_pid_stat(5): after the name come the state (field 3), which is T of a stopped one, and so on; 19 is the
        // nice value, 41 the policy.
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .map_or("", |(_, rest)| rest)
            .split_whitespace()
            .collect();
        let status = read("status");
        let processors = status
            .lines()
            .find(|line| line.starts_with("Cpus_allowed:"));
        format!(
            "sibling: stopped {} nice {:?} policy {:?} {processors:?}\n{}",
            fields.first() == Some(&"T"),
            fields.get(16),
            fields.get(38),
            read("limits")
        )
    }

    /// Whether the sibling still does its work: it gives back a byte.
    fn sibling_answers(&mut self) -> bool {
        let (Some(stdin), Some(stdout)) = (&mut self.sibling.stdin, &mut self.sibling.stdout)
        else {
            return false;
        };
        if stdin.write_all(b"?").is_err() {
            return false;
        }
        let mut ready = [PollFd::new(stdout, PollFlags::IN)];
        let timeout = Timespec {
            tv_sec: SIBLING_STUCK_S,
            tv_nsec: 0,
        };
        // A wait that is only interrupted says nothing about the sibling.
        let polled = loop {
            match poll(&mut ready, Some(&timeout)) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other.unwrap(),
            }
        };
        polled == 1
            && stdout
                .read_exact(&mut [0])
                .map_or_else(|error| error.kind() != ErrorKind::UnexpectedEof, |()| true)
    }
}

impl Default for Scene {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // Signals may have been tried on it: it is gone after this in any case.
        drop(self.sibling.kill());
        drop(self.sibling.wait());
    }
}

/// A process of the same user that gives back what it is sent.
fn sibling() -> Child {
    Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// A descriptor that every program started from here inherits.
fn leaked(path: &Path) -> OwnedFd {
    let file: OwnedFd = File::options()
        .read(true)
        .write(true)
        .open(path)
        .unwrap()
        .into();
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
    file
}
