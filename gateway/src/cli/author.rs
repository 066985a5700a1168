//! The verbs of a plugin's author: starting a new plugin, and certifying one.

use std::path::Path;

use super::args::Language;
use super::output::Output;
use super::words::{printable, table};
use super::{Answer, request};
use crate::error::Error;
use crate::operator::{self, ComplianceReport, Made};

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

pub(super) fn certify(
    package: &Path,
    text: Option<&str>,
    input: Option<&Path>,
    tolerate_denied: bool,
    out: Output,
) -> Result<Answer, Error> {
    let payload = request::payload(text, input)?;
    let report = operator::certify(package, payload.as_ref(), tolerate_denied)?;
    out.answer(&report, || describe(&report))?;
    Ok(report.compliant.into())
}

fn describe(report: &ComplianceReport) -> String {
    let rows = report.checks.iter().map(|check| {
        let word = check.outcome.word();
        let [id, name, word] = [check.id, check.name, word].map(ToOwned::to_owned);
        vec![id, name, word, check.detail.clone()]
    });
    let verdict = if report.compliant {
        "complies"
    } else {
        "does NOT comply"
    };
    format!(
        "{}\n\n{} {} {verdict}",
        table(&["INVARIANT", "CHECK", "OUTCOME", "DETAIL"], rows),
        printable(&report.plugin_id),
        printable(&report.version),
    )
}
