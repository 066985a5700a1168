//! What a version manager puts on PATH is not the interpreter but starts it: a script, or a program that is many programs. Each runtime is asked
//! what it really is.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use tempfile::TempDir;

use super::support::{Link, alone_under, compile, package, run, script, text};
use crate::{Layer, Runtimes, Sandbox, Settings, find_interpreters};

/// Starts the program of its own name in the folder `tools` beside its own, and waits for it, as some managers do; or says that none is chosen.
const LAUNCHER: &str = r#"
#include <libgen.h>
int main(int count, char **words) {
    char own[4096] = {0}, path[8192], name[256];
    readlink("/proc/self/exe", own, sizeof own - 1);
    snprintf(name, sizeof name, "%s", strrchr(words[0], '/') + 1);
    snprintf(path, sizeof path, "%s/../tools/%s", dirname(own), name);
    if (access(path, X_OK)) { fprintf(stderr, "shim: no version of %s is set\n", name); return 126; }
    pid_t child = fork();
    if (!child) { words[0] = path; execv(path, words); _exit(127); }
    int status;
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
}"#;

/// Says what deno would, and then that it ran.
const DENO: &str = r#"int main(int count, char **words) {
    char own[4096] = {0};
    readlink("/proc/self/exe", own, sizeof own - 1);
    if (!strcmp(words[1], "eval")) { printf("%s\n9.8.7\n", own); return 0; }
    request();
    printf("deno runs %s\n", words[count - 1]);
}"#;

/// A folder `shims` with launchers for these names, and a folder `tools`.
fn manager(names: &[&str]) -> TempDir {
    let folder = package(&[("shims/empty", ""), ("tools/empty", "")]);
    for inner in ["shims", "tools"] {
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.path().join(inner), mode).unwrap();
    }
    let shims = folder.path().join("shims");
    let launcher = compile(&shims, LAUNCHER, Link::Dynamic);
    for name in names {
        symlink(&launcher, shims.join(name)).unwrap();
    }
    folder
}

/// Copies a program of the host's among the tools, so that it is told from the host's own.
fn add_tool(folder: &Path, name: &str, from: &Path) {
    fs::copy(from, folder.join("tools").join(name)).unwrap();
}

/// Runs the test again with the shims before everything else on PATH.
fn with_path(folder: &Path, test: &str, body: fn()) {
    let path = std::env::var("PATH").unwrap();
    let path = format!("PATH={}/shims:{path}", folder.display());
    alone_under(&["env", &path], test, body);
}

/// The folder whose shims come first on PATH.
fn shims() -> std::path::PathBuf {
    let path = std::env::var("PATH").unwrap();
    Path::new(path.split(':').next().unwrap()).to_owned()
}

/// H5. The shell has no way to name itself, deno prints where it is.
#[test]
fn a_launcher_is_not_taken_for_the_interpreter() {
    let folder = manager(&["sh", "deno"]);
    add_tool(folder.path(), "sh", &fs::canonicalize("/bin/sh").unwrap());
    let deno = compile(&folder.path().join("tools"), DENO, Link::Dynamic);
    fs::rename(deno, folder.path().join("tools/deno")).unwrap();
    with_path(
        folder.path(),
        "shims::a_launcher_is_not_taken_for_the_interpreter",
        || {
            let tools = shims().join("../tools").canonicalize().unwrap();
            let runtimes = Runtimes::default();
            for name in ["sh", "deno"] {
                let runtime = runtimes.get(name).unwrap();
                assert_eq!(runtime.interpreter, tools.join(name));
                assert_eq!(runtime.found_at, shims().join(name));
            }
            let rows = find_interpreters(&Settings::default());
            let deno = rows.iter().find(|row| row.name == "interpreter for deno");
            let detail = &deno.unwrap().detail;
            assert!(
                detail.contains("tools/deno', version 9.8.7, found by '"),
                "{detail}"
            );
            let folder = package(&[("main.x", "echo shell runs\n")]);
            let sandbox = Sandbox::open(Settings::default()).unwrap();
            for (name, answer) in [
                ("sh", "shell runs\n"),
                ("deno", "deno runs /package/main.x\n"),
            ] {
                let report = run(&sandbox, &script(name, "main.x"), folder.path(), "{}\n");
                assert_eq!(text(&report), answer, "{report:?}");
            }
        },
    );
}

/// H5. "Else the next candidate; `doctor` says what was found and why not."
#[test]
fn a_launcher_without_its_interpreter_is_passed_over_and_doctor_says_why() {
    let folder = manager(&["sh", "perl", "ruby", "java", "deno"]);
    let test = "shims::a_launcher_without_its_interpreter_is_passed_over_and_doctor_says_why";
    with_path(folder.path(), test, || {
        let rows = find_interpreters(&Settings::default());
        let row = |name: &str| {
            let name = format!("interpreter for {name}");
            rows.iter().find(|row| row.name == name).unwrap()
        };
        for name in ["sh", "perl", "ruby", "java", "deno"] {
            let row = row(name);
            assert_eq!((row.layer, row.required), (Layer::ExecOnce, false));
            let why = format!(
                "'{}': it ended with exit status: 126 and said 'shim: no version of {name} is set'",
                shims().join(name).display()
            );
            assert!(row.detail.contains(&why), "{}", row.detail);
            // Every host has these, behind the shims.
            if ["sh", "perl"].contains(&name) {
                assert!(
                    row.enforced && row.detail.contains("; passed over: "),
                    "{}",
                    row.detail
                );
            }
            assert_eq!(row.enforced, row.remedy.is_empty());
        }
        let runtime = Runtimes::default().get("sh").unwrap();
        assert!(!runtime.interpreter.starts_with(shims().join("..")));
    });
}

/// A shim that is a script, as most are, and one that answers everything with its own words.
#[test]
fn a_shim_that_is_a_script_is_asked_like_any_other() {
    let folder = manager(&[]);
    let add = |name: &str, text: &str| {
        let shim = folder.path().join("shims").join(name);
        fs::write(&shim, text).unwrap();
        fs::set_permissions(shim, fs::Permissions::from_mode(0o755)).unwrap();
    };
    add("perl", "#!/bin/sh\nexec \"${0%/*}/../tools/perl\" \"$@\"\n");
    add("java", "#!/bin/sh\nprintf 'usage: \\033[1mjava\\n'\n");
    let perl = Runtimes::default().get("perl").unwrap();
    add_tool(folder.path(), "perl", &perl.interpreter);
    let test = "shims::a_shim_that_is_a_script_is_asked_like_any_other";
    with_path(folder.path(), test, || {
        let tools = shims().join("../tools").canonicalize().unwrap();
        let perl = Runtimes::default().get("perl").unwrap();
        assert_eq!(perl.interpreter, tools.join("perl"));
        let rows = find_interpreters(&Settings::default());
        let java = rows.iter().find(|row| row.name == "interpreter for java");
        let detail = &java.unwrap().detail;
        let why = r"it does not say where it is, but 'usage: \u{1b}[1mjava'";
        assert!(detail.contains(why), "{detail}");
    });
}
