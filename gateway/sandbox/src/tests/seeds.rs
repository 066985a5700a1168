//! P11: plugins that say that they are deterministic have fixed hash seeds, in an environment that they see empty.

use std::collections::BTreeSet;

use super::runtimes::has;
use super::support::Link;
use super::support::{Permit, limits, package, program, run, sandbox, script, soon, text};
use crate::{End, Entry, Job, Sandbox, WhenRefused};

/// Calls that are made; two orders of ten words are the same once in millions of times.
const CALLS: usize = 5;

/// Answers with the order of a set's members, and fails where it finds a variable: in its own table, or in the C library's.
const PYTHON: &str = r#"
import ctypes, os
libc = ctypes.CDLL(None)
libc.getenv.restype = ctypes.c_char_p
assert not os.environ, os.environ
for name in (b"PYTHONHASHSEED", b"LC_CTYPE"):
    assert libc.getenv(name) is None, name
print(*{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"})
"#;

const PERL: &str = r#"
die join ",", %ENV if %ENV;
print join(" ", keys %{{ map { $_ => 1 } "a" .. "j" }}), "\n";
"#;

fn answer(
    sandbox: &Sandbox<Permit>,
    entry: &Entry,
    folder: &std::path::Path,
    deterministic: bool,
) -> String {
    let job = Job {
        entry,
        package: folder,
        input: b"{}\n",
        deadline: soon(),
        limits: limits(),
        when_refused: WhenRefused::GoOn,
        deterministic,
        names_reads: false,
        cancel: None,
        listener: None,
    };
    let report = sandbox.run(&Permit, &job).unwrap();
    assert_eq!(
        report.end,
        End::Answered,
        "{}",
        String::from_utf8_lossy(&report.stderr.bytes)
    );
    text(&report)
}

#[test]
fn a_deterministic_plugin_sees_sets_and_maps_in_one_order_and_no_variable() {
    let sandbox = sandbox();
    for (runtime, name, source) in [("python3", "main.py", PYTHON), ("perl", "main.pl", PERL)] {
        if !has(runtime) {
            continue;
        }
        let folder = package(&[(name, source)]);
        let entry = script(runtime, name);
        let orders = |deterministic| -> BTreeSet<String> {
            let calls = 0..CALLS;
            let answers = calls.map(|_| answer(&sandbox, &entry, folder.path(), deterministic));
            answers.collect()
        };
        assert_eq!(orders(true).len(), 1, "{runtime}");
        // The same plugin has many orders where it does not say so.
        assert!(orders(false).len() > 1, "{runtime}");
    }
}

/// Whatever the manifest says, a native program has no variable at all, and a script of any runtime finds none.
#[test]
fn nobody_else_has_a_variable_either() {
    let sandbox = sandbox();
    let folder = package(&[
        ("main.js", "console.log(Object.keys(process.env).length)"),
        ("main.rb", "puts ENV.length"),
    ]);
    let native = r#"extern char **environ;
int main(void) { request(); printf("%d\n", environ[0] != 0); }"#;
    let mut entries = vec![
        program(native, Link::Static),
        program(native, Link::Dynamic),
    ];
    for (runtime, name) in [("node", "main.js"), ("ruby", "main.rb")] {
        if has(runtime) {
            entries.push(script(runtime, name));
        }
    }
    for entry in &entries {
        for deterministic in [true, false] {
            assert_eq!(
                answer(&sandbox, entry, folder.path(), deterministic),
                "0\n",
                "{entry:?}"
            );
        }
    }
}

/// An operator's arguments replace those that would remove the variables, and so there are none.
#[test]
fn with_an_operators_arguments_there_is_no_seed() {
    let mut runtimes = crate::Runtimes::default();
    let choice = crate::RuntimeChoice {
        args: Some(vec!["-B".to_owned(), "-S".to_owned()]),
        ..crate::RuntimeChoice::default()
    };
    runtimes.choose("python3", choice);
    if !has("python3") {
        return;
    }
    let settings = crate::Settings {
        runtimes,
        ..crate::Settings::default()
    };
    let sandbox = Sandbox::open(settings).unwrap();
    let folder = package(&[(
        "main.py",
        "import os\nprint('PYTHONHASHSEED' in os.environ)\n",
    )]);
    let entry = script("python3", "main.py");
    assert_eq!(answer(&sandbox, &entry, folder.path(), true), "False\n");
}

/// P9: an archive and a folder with a `__main__.py` are started as python itself starts them.
#[test]
fn a_python_zipapp_runs() {
    if !has("python3") {
        return;
    }
    let main = "import sys\nfrom words import count\nassert __name__ == '__main__'\nprint(count(sys.stdin.readline()), sys.argv[0].rpartition('/')[2], sys.argv[1:])\n";
    let words = "def count(line):\n    return len(line.split())\n";
    let folder = package(&[("app/__main__.py", main), ("app/words.py", words)]);
    for (name, more) in [
        ("plain.pyz", &[][..]),
        ("marked.pyz", &["-p", "/usr/bin/env python3"]),
    ] {
        let mut zipapp = std::process::Command::new("python3");
        zipapp.args(["-m", "zipapp", "app", "-o", name]).args(more);
        assert!(
            zipapp
                .current_dir(folder.path())
                .status()
                .unwrap()
                .success()
        );
        let path = folder.path().join(name);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(path, mode).unwrap();
    }
    for name in ["plain.pyz", "marked.pyz", "app"] {
        let entry = super::support::with_arguments(&script("python3", name), vec!["x".to_owned()]);
        let report = run(&sandbox(), &entry, folder.path(), "a b c\n");
        let errors = String::from_utf8_lossy(&report.stderr.bytes);
        assert_eq!(text(&report), format!("3 {name} ['x']\n"), "{errors}");
        assert_eq!(report.denied.total, 0, "{:?}", report.denied);
    }
    // What only ends like an archive is none, and python says so in its own words.
    let broken = package(&[("main.py", "print('x') # PK\u{5}\u{6}\n")]);
    let report = run(
        &sandbox(),
        &script("python3", "main.py"),
        broken.path(),
        "{}\n",
    );
    assert!(
        String::from_utf8_lossy(&report.stderr.bytes).contains("__main__"),
        "{report:?}"
    );
}
