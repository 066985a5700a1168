//! The commands that messages tell to run next. They name the state folder where the command line did: without that they would look into
//! another state.

use std::ffi::OsStr;
use std::path::Path;

/// How a command in a message begins; a back quote ends it.
const BEGIN: &str = "`plugin-gateway ";

/// The verbs that work on a state.
const STATEFUL: [&str; 17] = [
    "init", "doctor", "trust", "register", "enable", "disable", "remove", "list", "show", "invoke",
    "pipeline", "replay", "serve", "metrics", "config", "backup", "ledger",
];

/// The state folder as a shell takes it, where it was given as an option and not by the environment.
pub(super) fn state_option(given: Option<&Path>, in_environment: Option<&OsStr>) -> Option<String> {
    let given = given.filter(|given| Some(given.as_os_str()) != in_environment)?;
    let text = given.to_str()?;
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+:@%,=".contains(letter);
    Some(if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    })
}

/// The words with `--state` in each of their commands that works on a state.
pub(super) fn with_state(words: &str, state: &str) -> String {
    let mut parts = words.split(BEGIN);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(BEGIN);
        match part.split_once('`') {
            Some((command, rest)) if works_on_a_state(command) => {
                out.push_str(&format!("{command} --state {state}`{rest}"));
            }
            Some(_) | None => out.push_str(part),
        }
    }
    out
}

fn works_on_a_state(command: &str) -> bool {
    let verb = command.split(' ').next().unwrap_or_default();
    STATEFUL.contains(&verb) || command.starts_with("proof export ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_name_the_state_that_the_command_line_named() {
        let words = "off: `plugin-gateway enable p.x` or `plugin-gateway sign P --key F`, `plugin-gateway --state /y init`, `plugin-gateway proof export R --out F`; `plugin-gateway list";
        assert_eq!(
            with_state(words, "/s"),
            "off: `plugin-gateway enable p.x --state /s` or `plugin-gateway sign P --key F`, `plugin-gateway --state /y init`, `plugin-gateway proof export R --out F --state /s`; `plugin-gateway list"
        );
        let (plain, odd) = (Path::new("a/b"), Path::new("it's here"));
        assert_eq!(state_option(Some(plain), None).as_deref(), Some("a/b"));
        assert_eq!(state_option(Some(plain), Some(OsStr::new("a/b"))), None);
        assert_eq!(state_option(None, Some(OsStr::new("a/b"))), None);
        assert_eq!(
            state_option(Some(odd), Some(OsStr::new("other"))).as_deref(),
            Some("'it'\\''s here'")
        );
    }
}
