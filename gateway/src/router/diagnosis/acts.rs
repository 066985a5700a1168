//! What no plugin may do or has: the network, other programs, files to write, files of the host, an environment. Some of it is read from
//! the plugin's words, and some from what it was refused.

use plugin_protocol::shown;
use sandbox::{Denial, Report};

use super::Diagnosis;
use super::rows::{Name, Row, Spelling, named, plain};
use crate::router::denial;

const NETWORK: &str = "it asked for the network, which no plugin has";
const NETWORK_FIX: &str =
    "have the host fetch what is needed, and take it in the payload or put it into the package";
const WRITING: &str = "it wrote to a file, which no plugin may";
const WRITING_FIX: &str = "hold it in memory, and give what matters in the answer";
const PROGRAM: &str = "it started another program, which no plugin may";
const PROGRAM_FIX: &str = "do it in the plugin itself, by a library in the package or in threads";
const OUTSIDE: &str = "the file '{}' is not in the package, and a plugin sees no other";
const OUTSIDE_FIX: &str =
    "put it there and open it from the program's own folder, or take its content in the payload";
const HERE: &str = "it looked for '{}' in the working folder, and the working folder is empty: it is not the package";
const HERE_FIX: &str = "open it from the program's own folder: `os.path.join(os.path.dirname(__file__), \"{}\")` in Python, \
                        `path.join(__dirname, \"{}\")` in Node, `\"${0%/*}/{}\"` in sh";
const ENVIRONMENT: &str = "it reads the variable '{}', and the environment is empty";
const ENVIRONMENT_FIX: &str =
    "take the value from the request's `context` or its payload, or write it into the package";

/// The rows, the more exact before the more general.
pub(super) const ROWS: &[Row] = &[
    plain("socket.gaierror", NETWORK, NETWORK_FIX),
    plain("getaddrinfo E", NETWORK, NETWORK_FIX),
    plain(
        "Address family not supported by protocol",
        NETWORK,
        NETWORK_FIX,
    ),
    command(": not found\n"),
    command(": command not found\n"),
    plain(
        "_multiprocessing.SemLock",
        "multiprocessing needs a semaphore that other processes see, for a pool of threads too, and no plugin may make one",
        "use threads of another kind: `concurrent.futures.ThreadPoolExecutor`, with the locks of `threading`",
    ),
    plain(
        "unable to open database file",
        "a database is a file, and a plugin may write none",
        "use \":memory:\", or open a file of the package by `file:PATH?mode=ro&immutable=1`",
    ),
    plain("No usable temporary directory found", WRITING, WRITING_FIX),
    plain("Read-only file system", WRITING, WRITING_FIX),
    plain("EROFS", WRITING, WRITING_FIX),
    named(
        "\nKeyError: '",
        Name::Until(&['\'']),
        Spelling::AsItIs,
        ENVIRONMENT,
        ENVIRONMENT_FIX,
    )
    .beside("<frozen os>"),
    named(
        "raise KeyError(key) from None\nKeyError: '",
        Name::Until(&['\'']),
        Spelling::AsItIs,
        ENVIRONMENT,
        ENVIRONMENT_FIX,
    ),
    named(
        ": parameter not set",
        Name::Before,
        Spelling::AsItIs,
        ENVIRONMENT,
        ENVIRONMENT_FIX,
    ),
    named(
        ": unbound variable",
        Name::Before,
        Spelling::AsItIs,
        ENVIRONMENT,
        ENVIRONMENT_FIX,
    ),
    plain(
        "Could not determine home directory",
        "it looked for a home folder, and there is none: the environment is empty",
        ENVIRONMENT_FIX,
    ),
    outside("No such file or directory: '", '\''),
    here("No such file or directory: '", '\''),
    outside("no such file or directory, open '", '\''),
    here("no such file or directory, open '", '\''),
];

/// What a shell says of a program that it does not find: it sees none.
const fn command(said: &'static str) -> Row {
    named(
        said,
        Name::Before,
        Spelling::Command,
        "it started another program, which no plugin may: '{}'",
        "do it by the shell's own commands, or write the plugin in a language that has what it needs",
    )
}

const fn outside(said: &'static str, end: char) -> Row {
    named(said, until(end), Spelling::FromRoot, OUTSIDE, OUTSIDE_FIX)
}

const fn here(said: &'static str, end: char) -> Row {
    named(said, until(end), Spelling::FromHere, HERE, HERE_FIX)
}

const fn until(end: char) -> Name {
    match end {
        '\'' => Name::Until(&['\'']),
        _ => Name::Until(&['\n']),
    }
}

/// What a refused call was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Network,
    Program,
    Writing,
    Reading,
    Other,
}

/// The calls by which programs are started.
const STARTS: [&str; 6] = ["clone", "clone3", "execve", "execveat", "fork", "vfork"];

/// The calls by which files are opened.
const OPENS: [&str; 3] = ["open", "openat", "openat2"];

fn act(refused: &Denial) -> Act {
    let call = refused.call.as_str();
    if STARTS.contains(&call) {
        Act::Program
    } else if denial::changes_files(refused) {
        Act::Writing
    } else if OPENS.contains(&call) {
        Act::Reading
    } else if call.starts_with("socket") || call == "connect" || call == "bind" {
        Act::Network
    } else {
        Act::Other
    }
}

/// The path that a refused call names, as it stands in its detail.
fn path(refused: &Denial) -> Option<&str> {
    refused.detail.strip_prefix('"')?.split('"').next()
}

/// It failed, and before that it was refused something: the last of it.
pub(super) fn after_refusal(report: &Report) -> Option<Diagnosis> {
    let last = report.denied.first.last()?;
    let same = |other: &&Denial| path(other).is_some() && path(other) == path(last);
    // What is opened to be read after it could not be written, was to be written.
    let mut tried = report.denied.first.iter().filter(same).map(act);
    let act = if tried.any(|act| act == Act::Writing) {
        Act::Writing
    } else {
        act(last)
    };
    let call = denial::shortened(last);
    let known = |cause: &str, fix: &str| Diagnosis {
        cause: format!("{cause}: it was refused {call}, and failed"),
        fix: fix.to_owned(),
    };
    Some(match act {
        Act::Network => known(NETWORK, NETWORK_FIX),
        Act::Program => known(PROGRAM, PROGRAM_FIX),
        Act::Writing => known(WRITING, WRITING_FIX),
        Act::Reading => reading(path(last).unwrap_or_default()),
        Act::Other => Diagnosis {
            cause: format!("it was refused {call}, and failed"),
            fix: "leave that out, or catch its error and go on: what a plugin needs is in its package or its payload".to_owned(),
        },
    })
}

fn reading(path: &str) -> Diagnosis {
    let path = shown::cut(path, super::PATH_CHARS);
    let (cause, fix) = if path.starts_with(['/', '~']) {
        (OUTSIDE, OUTSIDE_FIX)
    } else {
        (HERE, HERE_FIX)
    };
    let path = path.trim_start_matches("./");
    Diagnosis {
        cause: cause.replace("{}", path),
        fix: fix.replace("{}", path),
    }
}

/// What a plugin did that no honest one does, by the call that ended it.
pub(super) fn hostile(refused: &Denial) -> Diagnosis {
    const LIKE_DEBUGGERS: &str = "it looked into another process, as debuggers and profilers do";
    const LIKE_SANDBOXES: &str = "it set up a sandbox or a container of its own";
    const LIKE_PROFILERS: &str = "it asked to look into the kernel, as profilers do";
    let cause = match refused.call.as_str() {
        "ptrace" | "process_vm_readv" | "process_vm_writev" | "pidfd_getfd" | "kcmp" => {
            LIKE_DEBUGGERS
        }
        "mount"
        | "umount2"
        | "unshare"
        | "setns"
        | "pivot_root"
        | "chroot"
        | "seccomp"
        | "landlock_create_ruleset"
        | "landlock_restrict_self" => LIKE_SANDBOXES,
        "bpf" | "perf_event_open" => LIKE_PROFILERS,
        _ => match act(refused) {
            Act::Network => NETWORK,
            Act::Program => PROGRAM,
            Act::Writing => WRITING,
            Act::Reading | Act::Other => "it asked the kernel for what no honest plugin needs",
        },
    };
    Diagnosis {
        cause: format!("{cause} ({})", denial::shortened(refused)),
        fix: "leave it out: look in the code and in its libraries for what does that, and switch it off".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(call: &str, detail: &str) -> Denial {
        Denial {
            call: call.to_owned(),
            detail: detail.to_owned(),
        }
    }

    #[test]
    fn a_refused_call_is_told_by_what_it_was_for() {
        for (call, detail, act_expected) in [
            ("socket", "AF_INET, SOCK_STREAM", Act::Network),
            ("vfork", "", Act::Program),
            ("openat", "\"/a\", O_RDWR|O_CREAT", Act::Writing),
            ("mkdir", "\"/a\"", Act::Writing),
            ("openat", "\"/a\", O_RDONLY", Act::Reading),
            ("keyctl", "", Act::Other),
        ] {
            assert_eq!(act(&refused(call, detail)), act_expected, "{call}");
        }
    }

    #[test]
    fn a_file_is_told_by_where_it_was_looked_for() {
        assert!(
            reading("/etc/passwd")
                .cause
                .starts_with("the file '/etc/passwd'")
        );
        assert!(
            reading("./a.txt")
                .fix
                .contains("dirname(__file__), \"a.txt\")")
        );
        assert!(
            hostile(&refused("ptrace", "request 0"))
                .cause
                .contains("ptrace(request 0)")
        );
    }
}
