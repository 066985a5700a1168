//! The one place that prints: a JSON document for programs, or words for people.

use std::io::{self, IsTerminal as _, Write};

use plugin_protocol::shown;
use serde::Serialize;

use super::next;

/// How answers are printed: as JSON or as words, and how many words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    pub(super) json: bool,
    pub(super) quiet: bool,
    pub(super) verbose: bool,
    /// The state folder where the command line names it, as it is to be written there again.
    pub(super) state: Option<&'static str>,
}

impl Output {
    /// The verb's answer: `document` as JSON where that was asked for, else `words`.
    pub(super) fn answer<T: Serialize>(
        self,
        document: &T,
        words: impl FnOnce() -> String,
    ) -> io::Result<()> {
        if self.json {
            let text = serde_json::to_string(document)?;
            return line(&mut io::stdout().lock(), &shown::json(&text));
        }
        let words = words();
        if words.is_empty() {
            Ok(())
        } else {
            line(&mut io::stdout().lock(), &words)
        }
    }

    /// What was done by a verb that was to do it: said like an answer, but for people not with --quiet, since the exit code says it too.
    pub(super) fn done<T: Serialize>(
        self,
        document: &T,
        words: impl FnOnce() -> String,
    ) -> io::Result<()> {
        if self.quiet && !self.json {
            return Ok(());
        }
        self.answer(document, words)
    }

    /// One line of many on stdout, as it is.
    pub(super) fn raw(self, words: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(words.as_bytes())?;
        out.write_all(b"\n")
    }

    /// An event's line as the ledger holds it, so that its hash can be checked; escaped only where it goes to a terminal.
    pub(super) fn stored(self, event: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if out.is_terminal() {
            let text = String::from_utf8_lossy(event);
            out.write_all(shown::json(&text).as_bytes())?;
        } else {
            out.write_all(event)?;
        }
        out.write_all(b"\n")
    }

    /// A remark for people, not printed with --quiet.
    pub(super) fn note(self, words: &str) {
        if !self.quiet {
            say(words);
        }
    }

    /// What nobody may overlook, printed in any case.
    #[expect(
        clippy::unused_self,
        reason = "whatever was asked for, as with the others"
    )]
    pub(super) fn warn(self, words: &str) {
        say(words);
    }

    /// A detail, printed only with --verbose.
    pub(super) fn detail(self, words: &str) {
        if self.verbose {
            say(words);
        }
    }

    /// A failure: `{error: {kind, message, hint}}`, or the same in words on stderr.
    pub(super) fn failure(self, kind: &str, message: &str, hint: &str) {
        if self.json {
            let document =
                serde_json::json!({ "error": { "kind": kind, "message": message, "hint": hint } });
            if line(
                &mut io::stdout().lock(),
                &shown::json(&document.to_string()),
            )
            .is_ok()
            {
                return;
            }
        }
        say(&shown::text(
            &self.naming_state(&format!("error: {message}")),
        ));
        if !hint.is_empty() {
            say(&shown::text(&self.naming_state(&format!("hint: {hint}"))));
        }
    }

    /// The words, where each command that they tell to run next names the state folder as this one did.
    pub(super) fn naming_state(self, words: &str) -> String {
        match self.state {
            Some(state) => next::with_state(words, state),
            None => words.to_owned(),
        }
    }
}

/// Words on stderr. If that is closed too, there is nowhere left to report.
fn say(words: &str) {
    line(&mut io::stderr().lock(), words).unwrap_or_default();
}

fn line(out: &mut impl Write, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}
