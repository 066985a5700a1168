//! What no plugin may do and authors do all the same: the network, other programs, files, the environment.

use super::Row;

#[test]
fn inv_pnp_06_forbidden_acts_are_told_with_their_cure() {
    super::told(rows());
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = network();
    rows.extend(programs());
    rows.extend(files());
    rows.extend(environment());
    rows
}

fn network() -> Vec<Row> {
    vec![
        Row::python(
            "a socket",
            "import socket\nsocket.create_connection(('127.0.0.1', 80))",
            "it asked for the network, which no plugin has",
            "have the host fetch what is needed",
        ),
        Row::python(
            "a page of the web",
            "import urllib.request\nurllib.request.urlopen('http://example.com/')",
            "it asked for the network, which no plugin has",
            "have the host fetch what is needed",
        ),
        Row::node(
            "a fetch",
            "fetch('http://example.com/').then(() => console.log(JSON.stringify(answer)));",
            "it asked for the network, which no plugin has",
            "have the host fetch what is needed",
        ),
        Row::node(
            "a server",
            "require('http').createServer().listen(8080);",
            "it asked for the network, which no plugin has",
            "have the host fetch what is needed",
        ),
        Row::python(
            "a socket whose refusal is caught",
            "import socket\ntry:\n    socket.socket()\nexcept OSError:\n    pass\nprint(json.dumps(answer))",
            "refused, and without effect: socket(",
            "`certify` fails for that",
        )
        .code(0),
    ]
}

fn programs() -> Vec<Row> {
    const CAUSE: &str = "it started another program, which no plugin may";
    const FIX: &str = "do it in the plugin itself";
    vec![
        Row::python(
            "a subprocess",
            "import subprocess\nsubprocess.run(['ls'])",
            CAUSE,
            FIX,
        ),
        Row::python(
            "a pool of processes",
            "import multiprocessing\nmultiprocessing.Pool(2).map(abs, [1])",
            "process",
            "threads",
        ),
        Row::python(
            "a pool of threads that is one of multiprocessing's",
            "from multiprocessing.pool import ThreadPool\nThreadPool(2).map(abs, [1])",
            "needs a semaphore",
            "concurrent.futures.ThreadPoolExecutor",
        ),
        Row::node(
            "a child of Node",
            "require('child_process').execSync('ls');",
            CAUSE,
            FIX,
        ),
        Row::script(
            "a program in a shell script",
            ("sh", "main.sh"),
            "read -r line\nset -e\nls /\n",
            CAUSE,
            "by the shell's own commands",
        ),
        Row::script(
            "a program in Perl",
            ("perl", "main.pl"),
            "my $said = `ls`;\ndie \"ls: $!\" unless defined $said;\n",
            CAUSE,
            FIX,
        ),
        Row::script(
            "a program in Ruby",
            ("ruby", "main.rb"),
            "`ls`\n",
            CAUSE,
            FIX,
        ),
        Row::c(
            "another program in its place",
            "int main(void) { read_line(); execl(\"/bin/ls\", \"ls\", (char *)0); perror(\"ls\"); return 1; }",
            "exec",
            "do it in the plugin itself",
        ),
        Row::c(
            "a look into another process",
            "int main(void) { read_line(); syscall(SYS_ptrace, 0, 0, 0, 0); answer(\"{}\"); }",
            "violation: ptrace",
            "leave it out",
        ),
    ]
}

fn files() -> Vec<Row> {
    const WRITING: &str = "it wrote to a file, which no plugin may";
    const IN_MEMORY: &str = "hold it in memory";
    vec![
        Row::python(
            "a file to write",
            "open('out.txt', 'w')",
            WRITING,
            IN_MEMORY,
        ),
        Row::python(
            "a log file",
            "import logging\nlogging.FileHandler('/var/log/plugin.log')",
            WRITING,
            IN_MEMORY,
        ),
        Row::python(
            "a temporary file",
            "import tempfile\ntempfile.NamedTemporaryFile()",
            WRITING,
            IN_MEMORY,
        ),
        Row::python("a folder", "os.makedirs('cache')", WRITING, IN_MEMORY),
        Row::python(
            "a database",
            "import sqlite3\nsqlite3.connect('plugin.db').execute('create table a (b)')",
            "a database is a file",
            "\":memory:\"",
        ),
        Row::node(
            "a file to write from Node",
            "require('fs').writeFileSync('out.txt', 'x');",
            WRITING,
            IN_MEMORY,
        ),
        Row::python(
            "a file of the host",
            "open('/etc/passwd')",
            "the file '/etc/passwd' is not in the package",
            "take its content in the payload",
        ),
        Row::python(
            "a file of the home",
            "open(os.path.expanduser('~/.config/app.toml'))",
            "app.toml' is not in the package",
            "take its content in the payload",
        ),
        Row::python(
            "a file beside the program by its bare name",
            "open('words.txt')",
            "the working folder is empty",
            "os.path.dirname(__file__)",
        ),
        Row::node(
            "a file beside the program from Node",
            "require('fs').readFileSync('./words.txt');",
            "the working folder is empty",
            "path.join(__dirname, \"words.txt\")",
        ),
        Row::script(
            "a file beside the program from the shell",
            ("sh", "main.sh"),
            "set -e\nread -r word < words.txt\n",
            "the working folder is empty",
            "`\"${0%/*}/words.txt\"` in sh",
        ),
    ]
}

fn environment() -> Vec<Row> {
    const CAUSE: &str = "the environment is empty";
    const FIX: &str = "`context`";
    vec![
        Row::python(
            "a variable of the environment",
            "os.environ['API_KEY']",
            CAUSE,
            FIX,
        ),
        Row::python(
            "the home folder",
            "import pathlib\npathlib.Path.home() / 'x'\nos.environ['HOME']",
            CAUSE,
            FIX,
        ),
        Row::script(
            "a variable of the shell",
            ("sh", "main.sh"),
            "set -u\nread -r line\necho $API_KEY\n",
            CAUSE,
            FIX,
        ),
    ]
}
