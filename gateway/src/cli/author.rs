//! The verbs of a plugin's author: starting a new plugin, trying it, and certifying it.

use std::path::Path;

use serde_json::Value;

use super::args::{Call, Language};
use super::file::write_out;
use super::output::Output;
use super::words::{printable, table};
use super::{Answer, calls, request};
use crate::error::{Error, chain};
use crate::operator::{self, ComplianceReport, Look, Made, Told, Trial};
use sandbox::Report;

pub(super) fn new(
    place: &Path,
    language: Language,
    sdk: Option<&Path>,
    out: Output,
) -> Result<Answer, Error> {
    let language = match language {
        Language::C => operator::Language::C,
        Language::Go => operator::Language::Go,
        Language::Java => operator::Language::Java,
        Language::Node => operator::Language::Node,
        Language::Python => operator::Language::Python,
        Language::Rust => operator::Language::Rust,
        Language::Sh => operator::Language::Sh,
        Language::Ts => operator::Language::TypeScript,
        Language::Worker => operator::Language::Worker,
    };
    if language == operator::Language::Rust {
        out.note("compiling the SDK and its libraries: the first time it takes about a minute");
    }
    let made = operator::scaffold(place, language, sdk)?;
    out.done(&made, || next_steps(&made))?;
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

/// Runs the package once, or again and again as it changes.
pub(super) fn run(package: &Path, call: &Call, watch: bool, out: Output) -> Result<Answer, Error> {
    // Read once: standard input gives its text a single time.
    let request = request::build(call)?;
    if !watch {
        return run_once(package, &request, out);
    }
    if out.json {
        return Err(Error::Usage {
            message: "--watch gives no single JSON document".to_owned(),
            hint: "leave out --json, or --watch".to_owned(),
        });
    }
    loop {
        let look = Look::at(package);
        // What is wrong now may be right with the next change.
        if let Err(error) = run_once(package, &request, out) {
            out.failure(error.kind().as_str(), &chain(&error), &error.hint());
        }
        out.note(&format!(
            "waiting for a change in {}: Ctrl-C ends it",
            package.display()
        ));
        let changed = look.wait_for_change(package);
        out.note(&printable(&format!("\n{} changed", changed.display())));
    }
}

fn run_once(package: &Path, request: &Value, out: Output) -> Result<Answer, Error> {
    let (outcome, likely) = match operator::trial(package, request)? {
        Trial::Ran { outcome, likely } => (outcome, likely),
        Trial::Refused { reason } => {
            return Err(Error::Invalid {
                message: format!("the package cannot be run: {reason}"),
            });
        }
    };
    let used = outcome.report.as_ref().map(resources);
    let mut told = Told::of(*outcome);
    // The state is gone, and with it the run.
    let answer = calls::answer(&mut told, None, out)?;
    if let Some(used) = used {
        out.note(&used);
    }
    if !told.denied.is_empty() && !out.verbose {
        out.note(&calls::refused(&told));
    }
    if !told.denied.is_empty() && answer == Answer::Yes {
        out.note(NOT_NEEDED);
    }
    // The notes may have said it already.
    let notes = &told.response.notes;
    if let Some(likely) = likely.filter(|likely| !notes.contains(&likely.fix)) {
        out.note(&printable(&format!("likely: {}", likely.cause)));
        out.note(&printable(&format!("to do:  {}", likely.fix)));
    }
    Ok(answer)
}

/// What an author does about refused calls that the plugin did without.
const NOT_NEEDED: &str = "to do:  leave that out: it answered without, but `certify` fails for that (CG-08); \
                          where a library asks and does without, `certify --tolerate-denied`";

fn resources(report: &Report) -> String {
    const KIB: u64 = 1024;
    let usage = report.usage;
    format!(
        "used {} ms of time, {} ms of processor, {} KiB of memory at most",
        usage.wall.as_millis(),
        usage.cpu.as_millis(),
        usage.peak_memory_bytes / KIB
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
        write_out(file, text.as_bytes()).map_err(failed)?;
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
