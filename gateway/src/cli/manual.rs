//! Completion for shells and manual pages, both made from the arguments themselves, so that neither can say something else than they do.

use std::path::Path;

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;
use serde_json::json;

use super::Answer;
use super::args::{self, Cli};
use super::output::Output;
use crate::error::Error;

/// The command's name, as people type it.
const NAME: &str = "plugin-gateway";

/// Prints what the shell reads to complete the command's words.
pub(super) fn completions(shell: args::Shell, out: Output) -> Result<Answer, Error> {
    let shell = match shell {
        args::Shell::Bash => Shell::Bash,
        args::Shell::Fish => Shell::Fish,
        args::Shell::Zsh => Shell::Zsh,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut script);
    let script = mended(&String::from_utf8_lossy(&script));
    out.answer(
        &json!({ "shell": shell.to_string(), "script": script }),
        || script.trim_end().to_owned(),
    )?;
    Ok(Answer::Yes)
}

/// The script as it was meant: for bash, clap_complete 4.6.11 spells a name with a hyphen in one way where it remembers the verb and in
/// another where it looks the verb up, so that it would complete nothing behind a verb. A test asks a real bash.
fn mended(script: &str) -> String {
    script.replace("plugin__subcmd__gateway__", "plugin__gateway__")
}

/// Prints the command's manual page, or writes it and one for each verb into `folder`.
pub(super) fn man(folder: Option<&Path>, out: Output) -> Result<Answer, Error> {
    let command = Cli::command().disable_help_subcommand(true);
    let Some(folder) = folder else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page)?;
        let page = String::from_utf8_lossy(&page);
        out.answer(&json!({ "page": page }), || page.trim_end().to_owned())?;
        return Ok(Answer::Yes);
    };
    let failed = |source| Error::File {
        action: "write manual pages into",
        path: folder.to_owned(),
        source,
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut command = command;
    command.build();
    let mut pages = Vec::new();
    write_pages(&command, folder, &mut pages).map_err(failed)?;
    out.done(&json!({ "folder": folder, "pages": pages }), || {
        let count = pages.len();
        let folder = folder.display();
        format!("{count} pages in {folder}: `man {folder}/{NAME}.1` shows the first")
    })?;
    Ok(Answer::Yes)
}

/// Writes the page of the command and those of its verbs.
fn write_pages(command: &Command, folder: &Path, pages: &mut Vec<String>) -> std::io::Result<()> {
    let page = Man::new(command.clone());
    page.generate_to(folder)?;
    pages.push(page.get_filename());
    let mut verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    verbs.try_for_each(|verb| write_pages(verb, folder, pages))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every verb has a page, whatever is added to them.
    #[test]
    fn each_verb_has_its_page_and_the_first_page_names_them_all() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Cli::command().disable_help_subcommand(true);
        command.build();
        let mut pages = Vec::new();
        write_pages(&command, folder.path(), &mut pages).unwrap();
        let first = std::fs::read_to_string(folder.path().join("plugin-gateway.1")).unwrap();
        for verb in command.get_subcommands() {
            let name = format!("plugin-gateway-{}.1", verb.get_name());
            assert!(pages.contains(&name), "{name} in {pages:?}");
            let named = name.trim_end_matches(".1").replace('-', "\\-");
            assert!(first.contains(&named), "{named}");
        }
        assert!(pages.contains(&"plugin-gateway-trust-add.1".to_owned()));
    }
}
