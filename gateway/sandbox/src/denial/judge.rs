//! Sorts a reported system call: answered, refused or hostile. What is read from the plugin's memory is only ever shown, never acted on.

use std::os::fd::BorrowedFd;

use crate::denial::device::Device;
use crate::denial::path;
use crate::denial::probes::is_benign;
use crate::denial::view::{Place, View};
use crate::denial::words::{detail, int};
use crate::filter::{self, calls};
use crate::image::Class;
use crate::report::Denial;
use crate::sys::notify::{self, Notification};

/// What decides how a plugin's calls are judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker {
    /// The class of its filter.
    pub(crate) class: Class,
    /// Whether its runtime asks the C library's name service who its user is.
    pub(crate) asks_name_service: bool,
    /// Whether its runtime opens the terminal at its start, as shells do.
    pub(crate) asks_for_terminal: bool,
    /// How the path begins of the folder that its runtime is told to have made.
    pub(crate) pretended_folder: Option<&'static str>,
    /// How the path begins of the folder that its runtime tries to make at its start, and does without.
    pub(crate) tried_folder: Option<&'static str>,
    /// Whether its runtime is given the map of its own memory.
    pub(crate) reads_own_map: bool,
}

/// A call, with its arguments and the path that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Its name.
    pub(crate) name: &'static str,
    args: [u64; 6],
    path: Option<String>,
}

/// What a call is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// An error number.
    Fail(i32),
    /// A device that the gateway opens.
    Device(Device),
    /// The map of the caller's own memory.
    OwnMap,
}

/// What to do about a reported call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// A benign probe, or a harmless device: answer and go on.
    Answer(Answer, Asked),
    /// Answer with this error number, and name it.
    Refuse(i32, Asked),
    /// The end of the plugin.
    Condemn(Asked),
    /// It opens a file to read, which the filter lets everyone do and only here reports: it goes on, and the kernel looks for the file. Its
    /// flags are a number, which nobody can change; and whatever path the kernel finds behind the pointer, this program may ask for.
    Read(Place, Asked),
    /// The plugin raises SIGABRT in itself, which is allowed and only noted. The call's arguments are numbers, which nobody can change
    /// between this look and the kernel's.
    Abort,
    /// The caller is gone; there is nothing to do.
    Gone,
}

/// Judges one report.
pub(crate) fn judge(
    listener: BorrowedFd<'_>,
    report: &Notification,
    asker: Asker,
    view: Option<&View>,
) -> Judgement {
    let name = u32::try_from(report.number)
        .ok()
        .and_then(calls::name)
        .unwrap_or("unknown system call");
    let path = path_argument(name).and_then(|at| path::read(report, at));
    // Only now is it certain that the text was read from the caller, and not from a later process with the same number.
    if !notify::is_valid(listener, report.id) {
        return Judgement::Gone;
    }
    if matches!(name, "tgkill" | "tkill") {
        return Judgement::Abort;
    }
    let args = report.args;
    let asked = Asked { name, args, path };
    match view {
        _ if !asked.reads() => sort(asked, asker),
        _ if asker.reads_own_map && asked.path.as_deref() == Some(OWN_MAP) => {
            Judgement::Answer(Answer::OwnMap, asked)
        }
        Some(view) => Judgement::Read(asked.place(view), asked),
        // Every file is reported for the sake of that one.
        None if asker.reads_own_map => Judgement::Read(Place::Shown, asked),
        None => sort(asked, asker),
    }
}

/// Decides what to do about a call. Text that was read from the plugin's memory chooses only between harmless answers; it never lets a
/// call through.
fn sort(asked: Asked, asker: Asker) -> Judgement {
    let (name, path) = (asked.name, asked.path.as_deref().unwrap_or_default());
    if let Some(flags) = asked.opens() {
        if let Some(device) = Device::named(path, flags) {
            return Judgement::Answer(Answer::Device(device), asked);
        }
        if is_benign(path) {
            return Judgement::Answer(Answer::Fail(libc::ENOENT), asked);
        }
        if path == TERMINAL {
            let no_terminal = libc::ENXIO;
            return if asker.asks_for_terminal {
                Judgement::Answer(Answer::Fail(no_terminal), asked)
            } else {
                Judgement::Refuse(no_terminal, asked)
            };
        }
    }
    for (folder, answer) in [
        (asker.pretended_folder, NOTHING_DONE),
        (asker.tried_folder, libc::EROFS),
    ] {
        if name == "mkdir" && folder.is_some_and(|folder| path.starts_with(folder)) {
            return Judgement::Answer(Answer::Fail(answer), asked);
        }
    }
    if asker.asks_name_service && name == "socket" && is_name_service(&asked.args) {
        return Judgement::Answer(Answer::Fail(libc::EACCES), asked);
    }
    if name == "clone" && int(asked.args[0]) & NAMESPACES != 0 {
        return Judgement::Condemn(asked);
    }
    match filter::refusal(asker.class, name) {
        Some(_) if name == "socket" && !is_common(asked.args[0]) => {
            Judgement::Refuse(libc::EAFNOSUPPORT, asked)
        }
        // Reading past the host's page cache gets the error of a file system that cannot do it.
        Some(_) if asked.opens().is_some_and(is_direct_read) => {
            Judgement::Refuse(libc::EINVAL, asked)
        }
        Some(errno) => Judgement::Refuse(errno, asked),
        None => Judgement::Condemn(asked),
    }
}

/// Whether a file is opened to be read with `O_DIRECT`.
fn is_direct_read(flags: u32) -> bool {
    let changes = libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC;
    flags & libc::O_DIRECT.cast_unsigned() != 0 && flags & changes.cast_unsigned() == 0
}

/// A process's terminal, which no plugin has.
const TERMINAL: &str = "/dev/tty";

/// The answer "done" to a call that did nothing.
const NOTHING_DONE: i32 = 0;

/// The map of a process's own memory, which says nothing that the process cannot find out by trying.
const OWN_MAP: &str = "/proc/self/maps";

/// `CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET`: not a process, but another jail.
const NAMESPACES: u32 = 0x7e02_0000;

/// Whether a socket of this family fails for lack of permission; for any other family the kernel seems to lack it.
fn is_common(family: u64) -> bool {
    [libc::AF_UNIX, libc::AF_INET]
        .map(i32::cast_unsigned)
        .contains(&int(family))
}

impl Asked {
    /// In words.
    pub(crate) fn denial(&self) -> Denial {
        Denial {
            call: self.name.to_owned(),
            detail: detail(self.name, &self.args, self.path.as_deref()),
        }
    }

    /// Whether the filter lets the call through where nobody wants to hear of it.
    fn reads(&self) -> bool {
        self.opens().is_some_and(filter::opens_to_read)
    }

    /// Where the file lies that it opens.
    fn place(&self, view: &View) -> Place {
        let path = self.path.as_deref().unwrap_or_default();
        let from_folder =
            self.name == "openat" && int(self.args[0]) != libc::AT_FDCWD.cast_unsigned();
        // A folder that is open is one that it was shown; and without a path nothing is opened.
        if path.is_empty() || (from_folder && !path.starts_with('/')) {
            return Place::Shown;
        }
        let place = if is_benign(path) {
            Place::Shown
        } else {
            view.place(path)
        };
        if place == Place::Shown {
            view.remember(path);
        }
        place
    }

    /// The flags of a call that opens a file.
    fn opens(&self) -> Option<u32> {
        match self.name {
            "open" => Some(int(self.args[1])),
            "openat" => Some(int(self.args[2])),
            _ => None,
        }
    }
}

/// Whether these are the arguments with which the C library connects to its name service (`nscd`) before it reads /etc/passwd.
/// Event loops open sockets with the very same arguments, so this counts only for runtimes without an event loop.
fn is_name_service(args: &[u64; 6]) -> bool {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let [family, asked, protocol, ..] = args.map(int);
    let wanted = [libc::AF_UNIX, kind, 0].map(i32::cast_unsigned);
    [family, asked, protocol] == wanted
}

/// Which argument of a call is a path.
fn path_argument(name: &str) -> Option<usize> {
    match name {
        "open" | "creat" | "execve" | "mkdir" | "mknod" | "rmdir" | "unlink" | "rename"
        | "link" | "symlink" | "truncate" | "chmod" | "chown" | "lchown" | "utime" | "utimes"
        | "chroot" | "umount2" | "pivot_root" | "setxattr" | "lsetxattr" | "removexattr"
        | "lremovexattr" | "acct" | "swapon" | "swapoff" | "mq_open" | "mq_unlink"
        | "memfd_create" => Some(0),
        "openat" | "execveat" | "mkdirat" | "mknodat" | "unlinkat" | "renameat" | "renameat2"
        | "linkat" | "fchmodat" | "fchmodat2" | "fchownat" | "utimensat" | "futimesat"
        | "mount" | "open_tree" | "move_mount" | "name_to_handle_at" | "mount_setattr" => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(class: Class, name: &'static str, args: [u64; 6], path: Option<&str>) -> Judgement {
        let asker = Asker {
            class,
            asks_name_service: false,
            asks_for_terminal: false,
            pretended_folder: Some("/tmp/R"),
            tried_folder: Some("/tmp/bun-"),
            reads_own_map: false,
        };
        let path = path.map(str::to_owned);
        sort(Asked { name, args, path }, asker)
    }

    #[test]
    fn what_libraries_try_is_refused_and_what_nobody_honest_does_is_not() {
        let errno = |name, args, path| match sorted(Class::Runtime, name, args, path) {
            Judgement::Refuse(errno, _) => errno,
            other @ (Judgement::Answer(..)
            | Judgement::Condemn(_)
            | Judgement::Abort
            | Judgement::Read(..)
            | Judgement::Gone) => panic!("{name}: {other:?}"),
        };
        let first = |value| [value, 0, 0, 0, 0, 0];
        let write = [0, 0, 0x241, 0, 0, 0];
        assert_eq!(errno("socket", first(2), None), libc::EACCES);
        assert_eq!(errno("socket", first(10), None), libc::EAFNOSUPPORT);
        assert_eq!(errno("clone", first(17), None), libc::EPERM);
        assert_eq!(errno("openat", write, Some("/tmp/x")), libc::EROFS);
        assert_eq!(errno("openat", write, Some("/dev/tty")), libc::ENXIO);
        assert_eq!(errno("openat", write, Some("/dev/null/../x")), libc::EROFS);
        assert_eq!(errno("openat", write, None), libc::EROFS);
        for (name, args) in [
            ("ptrace", [0; 6]),
            ("mount", [0; 6]),
            ("clone", first(0x1000_0011)),
        ] {
            let judged = sorted(Class::Runtime, name, args, None);
            assert!(
                matches!(judged, Judgement::Condemn(_)),
                "{name}: {judged:?}"
            );
        }
    }

    #[test]
    fn only_the_folder_of_its_runtime_is_told_to_be_made() {
        let make = |path| sorted(Class::Runtime, "mkdir", [0; 6], Some(path));
        assert!(matches!(
            make("/tmp/Rx"),
            Judgement::Answer(Answer::Fail(NOTHING_DONE), _)
        ));
        assert!(matches!(
            make("/tmp/bun-1"),
            Judgement::Answer(Answer::Fail(libc::EROFS), _)
        ));
        for path in ["/tmp/x", "/tmp", "x/tmp/R"] {
            assert!(
                matches!(make(path), Judgement::Refuse(libc::EROFS, _)),
                "{path}"
            );
        }
        let elsewhere = sorted(Class::Runtime, "unlink", [0; 6], Some("/tmp/Rx"));
        assert!(matches!(elsewhere, Judgement::Refuse(libc::EROFS, _)));
    }
}
