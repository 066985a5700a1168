//! The verbs of a plugin's author: starting a new plugin, and certifying one.

use std::fs;
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
    asked: &Asked<'_>,
    sarif: Option<&Path>,
    out: Output,
) -> Result<Answer, Error> {
    let payload = request::payload(asked.text, asked.input)?;
    let report = operator::certify(package, payload.as_ref(), asked.tolerate_denied)?;
    if let Some(file) = sarif {
        let failed = |source| Error::File {
            action: "write the SARIF report to",
            path: file.to_owned(),
            source,
        };
        let text = format!("{:#}\n", operator::sarif(&report, package));
        fs::write(file, text).map_err(failed)?;
    }
    out.answer(&report, || describe(&report, out.quiet))?;
    Ok(report.passed.into())
}

/// What a package is certified with.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) text: Option<&'a str>,
    pub(super) input: Option<&'a Path>,
    pub(super) tolerate_denied: bool,
}

/// The table with the verdict; where it is to be quiet, only what failed.
fn describe(report: &ComplianceReport, quiet: bool) -> String {
    let shown = report
        .checks
        .iter()
        .filter(|check| !(quiet && check.passed));
    let rows: Vec<Vec<String>> = shown
        .map(|check| {
            let word = if check.passed { "pass" } else { "FAIL" };
            let words = [check.id, check.name, check.law, check.invariant, word];
            let mut row = words.map(ToOwned::to_owned).to_vec();
            row.push(check.duration_ms.to_string());
            row.push(check.detail.clone());
            row
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let head = [
        "CHECK",
        "NAME",
        "LAW",
        "INVARIANT",
        "OUTCOME",
        "MS",
        "DETAIL",
    ];
    let verdict = if report.passed {
        "complies"
    } else {
        "does NOT comply"
    };
    let summary = &report.summary;
    format!(
        "{}\n\n{} {verdict}: {} of {} checks passed",
        table(&head, rows),
        printable(&report.plugin_id),
        summary.passed_count,
        summary.total,
    )
}
