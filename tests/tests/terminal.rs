//! What the command is for people at a terminal: completion by their shell, manual pages, and bars where something takes long.

use std::fs;
use std::path::Path;
use std::process::Command;

use campaigns::answers::prompt;
use campaigns::command::{Said, binary, finish};
use campaigns::{Host, skip};
use tempfile::TempDir;

fn say(arguments: &[&str]) -> Said {
    let mut command = Command::new(binary());
    command.args(arguments);
    finish(command, b"")
}

/// Whether a program of that name can be started.
fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// Every verb, as the help names them.
fn verbs() -> Vec<String> {
    let help = say(&["--help"]).expect(0).stdout;
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let verbs = lines.take_while(|line| !line.is_empty());
    // A line that is set in further goes on with what the one before said.
    let verbs = verbs.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let verbs = verbs.filter_map(|line| line.split_whitespace().next());
    let verbs: Vec<String> = verbs
        .filter(|verb| *verb != "help")
        .map(str::to_owned)
        .collect();
    assert!(
        verbs.len() > 15 && verbs.contains(&"invoke".to_owned()),
        "{help}"
    );
    verbs
}

/// What bash offers for the last of these words.
fn completed(words: &[&str]) -> Vec<String> {
    const SCRIPT: &str = r#"
source <(plugin-gateway completions bash) || exit 1
function=$(complete -p plugin-gateway | sed 's/.* -F \([^ ]*\) .*/\1/')
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
"$function" plugin-gateway "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;
    let folder = binary().parent().unwrap().to_owned();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", SCRIPT, "bash"]).args(words);
    bash.env("PATH", format!("{}:{path}", folder.display()));
    let said = finish(bash, b"").expect(0);
    said.stdout.lines().map(str::to_owned).collect()
}

/// "`completions SHELL`, `man DIR` | shell completion, man pages": a real bash takes it and completes verbs, options and values.
#[test]
fn inv_pnp_01_bash_completes_verbs_and_options() {
    if !has("bash") {
        return skip("bash is not installed");
    }
    for (words, offered) in [
        (&["plugin-gateway", "inv"][..], "invoke"),
        (&["plugin-gateway", "trust", "re"], "remove"),
        (
            &["plugin-gateway", "invoke", "p.text.hello", "--text-f"],
            "--text-file",
        ),
        (&["plugin-gateway", "completions", "fi"], "fish"),
        (
            &["plugin-gateway", "new", "hello", "--lang", "pyt"],
            "python",
        ),
    ] {
        assert_eq!(completed(words), [offered], "{words:?}");
    }
    let all = completed(&["plugin-gateway", ""]);
    for verb in verbs() {
        assert!(all.contains(&verb), "{verb} in {all:?}");
    }
}

#[test]
fn inv_pnp_01_the_other_shells_are_given_every_verb() {
    for (shell, begins) in [("zsh", "#compdef plugin-gateway\n"), ("fish", "")] {
        let script = say(&["completions", shell]).expect(0).stdout;
        assert!(script.starts_with(begins), "{script}");
        for verb in verbs() {
            assert!(script.contains(&verb), "{shell} {verb}");
        }
        let json = say(&["--json", "completions", shell]).expect(0).json();
        assert_eq!(
            json["script"].as_str().unwrap().trim_end(),
            script.trim_end()
        );
        assert_eq!(json["shell"], shell);
    }
    let said = say(&["completions", "csh"]).expect(2);
    assert!(said.stderr.contains("bash"), "{said:?}");
}

/// The page as a reader shows it; none where there is no reader here.
fn shown(page: &Path) -> Option<String> {
    let reader = ["mandoc", "man"].into_iter().find(|reader| has(reader))?;
    let mut command = Command::new(reader);
    if reader == "man" {
        command.arg("-l").env("MANPAGER", "cat");
    }
    command
        .arg(page)
        .env("MANWIDTH", "500")
        .env("LC_ALL", "C.UTF-8");
    let said = finish(command, b"");
    // Some images have a program of that name that only says that there are no pages.
    (said.code == 0 && said.stdout.contains("NAME")).then_some(said.stdout)
}

#[test]
fn inv_pnp_01_the_manual_names_every_verb() {
    let folder = TempDir::new().unwrap();
    let page = folder.path().join("page.1");
    let source = say(&["man"]).expect(0).stdout;
    assert!(source.contains(".TH plugin-gateway 1"), "{source}");
    fs::write(&page, source).unwrap();
    let pages = folder.path().join("pages");
    say(&["man", pages.to_str().unwrap()]).expect(0);
    let others = folder.path().join("others");
    let said = say(&["--json", "man", "--out", others.to_str().unwrap()]);
    assert!(said.expect(0).json()["pages"].as_array().unwrap().len() > verbs().len());
    for verb in verbs() {
        let name = format!("plugin-gateway-{verb}.1");
        let text = fs::read(pages.join(&name)).unwrap();
        assert_eq!(text, fs::read(others.join(&name)).unwrap(), "{name}");
    }
    let (Some(first), Some(invoke)) = (shown(&page), shown(&pages.join("plugin-gateway-invoke.1")))
    else {
        return skip("neither mandoc nor man is installed");
    };
    for verb in verbs() {
        assert!(
            first.contains(&format!("plugin-gateway-{verb}")),
            "{verb}: {first}"
        );
    }
    for words in ["--text-file", "--retries", "PLUGIN_GATEWAY_STATE"] {
        assert!(invoke.contains(words), "{words}: {invoke}");
    }
}

/// "a progress bar for long registrations": only where somebody looks, and only where it takes long.
#[test]
fn inv_pnp_01_a_long_registration_shows_how_far_it_is_to_those_who_look() {
    if !has("script") {
        return skip("script (bsdutils) is not installed");
    }
    const FILES: usize = 1_200;
    let large = |id: &str| {
        let files = 0..FILES;
        files.fold(prompt(id), |package, at| {
            package.file(&format!("data/{at}"), b"", 0o644)
        })
    };
    let host = Host::new();
    // A gateway at work on the state would register it in its own process.
    host.alone();
    let at_terminal = |before: &str, package: &Path| {
        let (program, state) = (binary(), host.state());
        let (program, state) = (program.display(), state.display());
        let words = format!(
            "{program} --state {state} {before} register {}",
            package.display()
        );
        let mut script = Command::new("script");
        script
            .args(["-qec", &words, "/dev/null"])
            .env("TERM", "xterm");
        finish(script, b"").expect(0).stdout
    };
    let is_shown =
        |said: &str| said.contains("keeping") && said.contains("reading") && said.contains("/1,2");
    let said = at_terminal("", &host.signed(&large("p.long.shown")));
    assert!(is_shown(&said), "{said}");
    assert!(said.contains("p.long.shown 1.0.0 registered"), "{said}");
    for (before, id) in [("-q", "p.long.quiet"), ("--json", "p.long.json")] {
        let said = at_terminal(before, &host.signed(&large(id)));
        assert!(
            !said.contains("keeping") && !said.contains("reading"),
            "{said}"
        );
    }
    let said = at_terminal("", &host.signed(&prompt("p.long.short")));
    assert!(!said.contains("reading"), "{said}");
    let unseen = host.signed(&large("p.long.unseen"));
    let said = host.say(["register", unseen.to_str().unwrap()]).expect(0);
    assert_eq!(said.stderr, "", "{said:?}");
}
