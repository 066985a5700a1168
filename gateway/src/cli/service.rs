//! The verbs about the supervisor itself: serving, counting, settings.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;

use super::args::LogFormat;
use super::output::Output;
use super::words::{at_spaces, printable, width};
use super::{Answer, ServeFn, StateFolder, existing, readable};
use crate::config::{FILE, Setting};
use crate::error::Error;
use crate::operator::{self, LogLevel, Serve};

pub(super) fn serve(
    state: &StateFolder,
    format: LogFormat,
    socket_only: bool,
    out: Output,
    serve: ServeFn,
) -> Result<Answer, Error> {
    let options = Serve {
        anchor: state.anchor.clone(),
        wait: state.wait,
        socket_only,
        format: match format {
            LogFormat::Text => operator::LogFormat::Text,
            LogFormat::Json => operator::LogFormat::Json,
        },
        level: match (out.quiet, out.verbose) {
            (true, _) => LogLevel::Quiet,
            (false, false) => LogLevel::Usual,
            (false, true) => LogLevel::Verbose,
        },
    };
    serve(existing(state)?, &options)?;
    Ok(Answer::Yes)
}

pub(super) fn metrics(state: &StateFolder, out: Output) -> Result<Answer, Error> {
    let metrics = operator::metrics(readable(state, out)?)?;
    out.answer(&metrics, || metrics.text.trim_end().to_owned())?;
    Ok(Answer::Yes)
}

/// The settings as a `config.toml` that says where it lies, or as a document for programs.
pub(super) fn config(state: &Path, explain: bool, out: Output) -> Result<Answer, Error> {
    let settings = operator::settings(state)?.explained();
    let file = state.join(FILE);
    let there = if file.exists() {
        ""
    } else {
        ", which is not there: these are the defaults"
    };
    let head = format!("# {}{there}", printable(&file.display().to_string()));
    if explain {
        out.answer(&settings, || format!("{head}\n\n{}", explained(&settings)))?;
    } else {
        let values: serde_json::Map<_, _> = settings
            .iter()
            .map(|setting| (setting.name.to_owned(), json!(setting.value)))
            .collect();
        out.answer(&values, || {
            let lines = settings
                .iter()
                .map(|setting| format!("{} = {}", setting.name, setting.value));
            std::iter::once(head)
                .chain(lines)
                .collect::<Vec<_>>()
                .join("\n")
        })?;
    }
    Ok(Answer::Yes)
}

fn explained(settings: &[Setting]) -> String {
    let mut text = String::new();
    let room = width().map_or(usize::MAX, |width| width.saturating_sub("# ".len()));
    for setting in settings {
        let explanation = at_spaces(setting.explanation, room).join("\n# ");
        // Writing into a string cannot fail.
        write!(
            text,
            "# {explanation}\n# default: {}\n{} = {}\n\n",
            setting.default, setting.name, setting.value
        )
        .unwrap_or_default();
    }
    text.trim_end().to_owned()
}
