//! The forbidden acts that `doctor` tries from inside, each with the layer that must refuse it, as a program and as scripts.

use super::native::{
    Argument::{Number, Text},
    Code, FILL_MEMORY, FIND_ENVIRONMENT, FOREIGN_CALL, SPIN,
};
use crate::layer::Layer;

/// One act.
#[derive(Debug, Clone, Copy)]
pub(super) struct Act {
    /// What is tried.
    pub(super) name: &'static str,
    /// The layer that refuses it. Other layers may refuse it too.
    pub(super) layer: Layer,
    /// As a program: it exits with 0 when the act worked.
    pub(super) code: Code,
    /// As scripts, by runtime: each exits with 0 or answers when the act worked. Not every language can try every act.
    pub(super) scripts: &'static [(&'static str, &'static str)],
}

/// `AT_FDCWD` as a register holds it.
const HERE: u64 = u64::MAX - 99;

const PASSWORDS: &str = "/etc/passwd";

/// The act that only a private root refuses: Landlock does not cover names and metadata, and loaders must ask for them.
pub(super) const LOOK: &str = "look for a file of the host";

/// The acts, in the order in which they are shown.
pub(super) const ACTS: [Act; 17] = [
    Act {
        name: "open a network socket",
        layer: Layer::Seccomp,
        // socket(AF_INET, SOCK_STREAM, 0)
        code: Code::Call(41, &[Number(2), Number(1), Number(0)]),
        scripts: &[
            ("python3", "import socket; socket.socket()"),
            (
                "node",
                "require('node:net').connect(9, '127.0.0.1').on('error', () => process.exit(1))",
            ),
            (
                "perl",
                "use Socket; socket(my $s, PF_INET, SOCK_STREAM, 0) or exit 1",
            ),
            ("ruby", "require 'socket'; Socket.new(:INET, :STREAM)"),
        ],
    },
    Act {
        name: "open a local socket",
        layer: Layer::Seccomp,
        // socket(AF_UNIX, SOCK_STREAM, 0)
        code: Code::Call(41, &[Number(1), Number(1), Number(0)]),
        scripts: &[
            ("python3", "import socket; socket.socket(socket.AF_UNIX)"),
            (
                "node",
                "require('node:net').connect('/run/x').on('error', () => process.exit(1))",
            ),
            (
                "perl",
                "use Socket; socket(my $s, PF_UNIX, SOCK_STREAM, 0) or exit 1",
            ),
            ("ruby", "require 'socket'; Socket.new(:UNIX, :STREAM)"),
        ],
    },
    Act {
        name: "start another process",
        layer: Layer::Seccomp,
        // fork()
        code: Code::Call(57, &[]),
        scripts: &[
            ("python3", "import os; os.fork()"),
            (
                "node",
                "require('node:child_process').execFileSync('/bin/true')",
            ),
            ("perl", "defined(fork()) or exit 1"),
            ("ruby", "fork"),
            ("sh", "/bin/true"),
        ],
    },
    Act {
        name: "become another program",
        layer: Layer::ExecOnce,
        // execve("/bin/sh", NULL, NULL)
        code: Code::Call(59, &[Text("/bin/sh"), Number(0), Number(0)]),
        scripts: &[
            ("python3", "import os; os.execv('/bin/true', ['true'])"),
            ("perl", "exec {'/bin/true'} 'true' or exit 1"),
            ("ruby", "exec '/bin/true'"),
            ("sh", "exec /bin/true"),
        ],
    },
    Act {
        name: "read a file of the host",
        layer: Layer::MountNs,
        // openat(AT_FDCWD, path, O_RDONLY, 0)
        code: Code::Call(257, &[Number(HERE), Text(PASSWORDS), Number(0), Number(0)]),
        scripts: &[
            ("python3", "open('/etc/passwd').read()"),
            ("node", "require('node:fs').readFileSync('/etc/passwd')"),
            ("perl", "open(my $f, '<', '/etc/passwd') or exit 1"),
            ("ruby", "File.read('/etc/passwd')"),
            ("sh", "read -r line < /etc/passwd"),
        ],
    },
    Act {
        name: LOOK,
        layer: Layer::MountNs,
        // access(path, F_OK)
        code: Code::Call(21, &[Text(PASSWORDS), Number(0)]),
        scripts: &[
            ("python3", "import os; os.stat('/etc/passwd')"),
            ("node", "require('node:fs').statSync('/etc/passwd')"),
            ("perl", "stat('/etc/passwd') or exit 1"),
            ("ruby", "File.stat('/etc/passwd')"),
            ("sh", "test -e /etc/passwd"),
        ],
    },
    Act {
        name: "write a file",
        layer: Layer::Seccomp,
        // openat(AT_FDCWD, path, O_WRONLY | O_CREAT, 0600)
        code: Code::Call(
            257,
            &[Number(HERE), Text("/tmp/x"), Number(0x41), Number(0o600)],
        ),
        scripts: &[
            ("python3", "open('x', 'w')"),
            ("node", "require('node:fs').writeFileSync('x', 'x')"),
            ("perl", "open(my $f, '>', 'x') or exit 1"),
            ("ruby", "File.write('x', 'x')"),
            ("sh", ": > x"),
        ],
    },
    Act {
        name: "signal another process",
        layer: Layer::Seccomp,
        // kill(1, 0): signal 0 only asks
        code: Code::Call(62, &[Number(1), Number(0)]),
        scripts: &[
            ("python3", "import os; os.kill(1, 0)"),
            ("node", "process.kill(1, 0)"),
            ("perl", "kill(0, 1) or exit 1"),
            ("ruby", "Process.kill(0, 1)"),
            ("sh", "kill -0 1"),
        ],
    },
    Act {
        name: "let itself be traced",
        layer: Layer::Seccomp,
        // ptrace(PTRACE_TRACEME, 0, 0, 0)
        code: Code::Call(101, &[Number(0), Number(0), Number(0), Number(0)]),
        scripts: &[],
    },
    Act {
        name: "become root",
        layer: Layer::Seccomp,
        // setuid(0)
        code: Code::Call(105, &[Number(0)]),
        scripts: &[
            ("python3", "import os; os.setuid(0)"),
            ("node", "process.setuid(0)"),
        ],
    },
    Act {
        name: "make a namespace",
        layer: Layer::Seccomp,
        // unshare(CLONE_NEWUSER)
        code: Code::Call(272, &[Number(0x1000_0000)]),
        scripts: &[],
    },
    Act {
        name: "make calls behind the filter (io_uring)",
        layer: Layer::Seccomp,
        // io_uring_setup(1, bytes)
        code: Code::Call(425, &[Number(1), Text("")]),
        scripts: &[],
    },
    Act {
        name: "make calls of the 32-bit ABI",
        layer: Layer::Seccomp,
        code: Code::Raw(FOREIGN_CALL),
        scripts: &[],
    },
    Act {
        name: "make memory executable",
        layer: Layer::Seccomp,
        // mmap(NULL, 4096, READ | WRITE | EXEC, PRIVATE | ANONYMOUS, -1, 0)
        code: Code::Call(
            9,
            &[
                Number(0),
                Number(4096),
                Number(7),
                Number(0x22),
                Number(u64::MAX),
                Number(0),
            ],
        ),
        scripts: &[],
    },
    Act {
        name: "find an environment variable",
        layer: Layer::Descriptors,
        code: Code::Raw(FIND_ENVIRONMENT),
        scripts: &[
            ("python3", "import os, sys; sys.exit(not os.environ)"),
            (
                "node",
                "process.exit(Object.keys(process.env).length ? 0 : 1)",
            ),
            ("perl", "exit(!%ENV)"),
            ("ruby", "exit(!ENV.empty?)"),
        ],
    },
    Act {
        name: "find a fourth descriptor",
        layer: Layer::Descriptors,
        // fcntl(3, F_GETFD)
        code: Code::Call(72, &[Number(3), Number(1)]),
        scripts: &[],
    },
    Act {
        name: "use more memory than allowed",
        layer: Layer::Rlimits,
        code: Code::Raw(FILL_MEMORY),
        scripts: &[
            ("python3", "x = bytearray(1 << 30)"),
            ("perl", "my $x = 'x' x (1 << 30)"),
            ("ruby", "x = 'x' * (1 << 30)"),
        ],
    },
];

/// Answers, to show that the jail runs programs, so that an act that fails there does not fail for another reason.
// write(1, "x", 1)
pub(super) const ANSWER: Code = Code::Call(1, &[Number(1), Text("x"), Number(1)]);

/// The runtimes whose acts are tried where they are installed: the name, the file ending of the scripts, and a script that answers.
pub(super) const SCRIPTED: [(&str, &str, &str); 5] = [
    ("python3", "py", "print('x')"),
    ("node", "js", "console.log('x')"),
    ("sh", "sh", "echo x"),
    ("perl", "pl", "print 'x'"),
    ("ruby", "rb", "puts 'x'"),
];

/// Uses the processor for ever.
pub(super) const SPINNING: Code = Code::Raw(SPIN);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_and_scripts_are_for_known_runtimes() {
        let mut names: Vec<&str> = ACTS.iter().map(|act| act.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ACTS.len());
        let runtimes = crate::Runtimes::default();
        let known = runtimes.names();
        for (runtime, _) in ACTS.iter().flat_map(|act| act.scripts) {
            assert!(known.iter().any(|name| name == runtime), "{runtime}");
        }
    }
}
