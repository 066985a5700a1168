//! The verbs of a plugin's author: beginning one, and certifying it.

use std::path::Path;

use super::Answer;
use super::args::Language;
use super::output::Output;
use crate::error::Error;
use crate::operator::{self, Made};

pub(super) fn new(
    place: &Path,
    language: Language,
    sdk: Option<&Path>,
    out: Output,
) -> Result<Answer, Error> {
    let language = match language {
        Language::C => operator::Language::C,
        Language::Node => operator::Language::Node,
        Language::Python => operator::Language::Python,
        Language::Rust => operator::Language::Rust,
        Language::Sh => operator::Language::Sh,
        Language::Worker => operator::Language::Worker,
    };
    if language == operator::Language::Rust {
        out.note("compiling the SDK and its libraries: the first time it takes about a minute");
    }
    let made = operator::scaffold(place, language, sdk)?;
    out.answer(&made, || next_steps(&made))?;
    Ok(Answer::Yes)
}

/// What was made, and the commands that follow.
fn next_steps(made: &Made) -> String {
    let package = made.package.display();
    let build = made
        .build
        .as_ref()
        .map(|build| format!(", then run {}", build.display()))
        .unwrap_or_default();
    format!(
        "made {} in {package}: change {}{build}\n\n\
         plugin-gateway run {package} --text 'Hello, plugin!'\n\
         plugin-gateway certify {package}\n\
         plugin-gateway keygen --out vendor.pem && plugin-gateway sign {package} --key vendor.pem",
        made.plugin_id,
        made.program.display(),
    )
}
