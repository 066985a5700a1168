//! The ten checks as a table, and the judges of what a package says: manifest, payloads, capabilities, version. Each judge looks at the
//! evidence and says what it means, in words that help to mend it.

use plugin_protocol::message::Status;
use plugin_protocol::report::{Issue, Severity};

use super::behaviour;
use super::evidence::{Evidence, Seen};
use super::own;
use crate::router::Cause;
use sandbox::End;

/// A judgement: whether it passed, and its detail. What could not be checked did not pass.
pub(super) type Judged = (bool, String);

/// A check.
pub(super) struct Row {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) law: &'static str,
    pub(super) invariant: &'static str,
    pub(super) judge: fn(&Evidence) -> Judged,
}

const fn row(
    id: &'static str,
    name: &'static str,
    law: &'static str,
    invariant: &'static str,
    judge: fn(&Evidence) -> Judged,
) -> Row {
    Row {
        id,
        name,
        law,
        invariant,
        judge,
    }
}

pub(super) const CHECKS: [Row; 10] = [
    row("CG-01", "manifest", "L7", "INV-PNP-01", valid),
    row("CG-02", "I/O schemas", "L7", "INV-PNP-04", typed),
    row("CG-03", "capabilities", "L4", "INV-PNP-06", capable),
    row(
        "CG-04",
        "determinism",
        "L6",
        "INV-PNP-03",
        behaviour::deterministic,
    ),
    row(
        "CG-05",
        "stateless",
        "L3",
        "INV-PNP-05",
        behaviour::stateless,
    ),
    row(
        "CG-06",
        "fail-closed",
        "L5",
        "INV-PNP-10",
        behaviour::closed,
    ),
    row("CG-07", "timeout", "L5", "INV-PNP-08", behaviour::bounded),
    row(
        "CG-08",
        "non-actuation",
        "L1",
        "INV-PNP-02",
        behaviour::passive,
    ),
    row(
        "CG-09",
        "evidence hashes",
        "L9",
        "INV-PNP-07",
        behaviour::traced,
    ),
    row("CG-10", "version", "L8", "INV-PNP-09", compatible),
];

/// The detail when no call succeeded.
const NO_ANSWER: &str = "no sample was answered `ok`: pass a payload that it takes with --text or --input, or put some into tests/*.json";

/// The judgement when the plugin could not be called.
pub(super) fn not_asked() -> Judged {
    (
        false,
        "not checked: the plugin could not be asked, see CG-01".to_owned(),
    )
}

/// Why nothing can be said without an `ok` answer.
pub(super) fn unanswered(evidence: &Evidence) -> Judged {
    match told(&evidence.samples).as_str() {
        "" => not_asked(),
        told => (false, format!("{NO_ANSWER}; {told}")),
    }
}

fn told(calls: &[Seen]) -> String {
    let told: Vec<String> = calls.iter().map(Seen::told).collect();
    told.join("; ")
}

/// The errors in the manifest at one of these places or below it; at all, where none is given.
fn errors<'a>(evidence: &'a Evidence, places: &[&str]) -> Vec<&'a Issue> {
    let at = |field: &str, place: &&str| {
        let below = field.strip_prefix(*place);
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let here = |issue: &&Issue| {
        issue.severity == Severity::Error
            && (places.is_empty() || places.iter().any(|place| at(&issue.field, place)))
    };
    evidence.report.issues.iter().filter(here).collect()
}

fn joined(issues: &[&Issue]) -> String {
    let words: Vec<String> = issues.iter().map(ToString::to_string).collect();
    words.join("; ")
}

fn valid(evidence: &Evidence) -> Judged {
    let errors = errors(evidence, &[]);
    match (&evidence.installed, errors.as_slice()) {
        (_, [_, ..]) => (false, joined(&errors)),
        (Err(reason), []) => (false, reason.clone()),
        (Ok(()), []) => (true, with_warnings(evidence)),
    }
}

fn with_warnings(evidence: &Evidence) -> String {
    let warnings = evidence
        .report
        .issues
        .iter()
        .filter(|issue| issue.severity == Severity::Warning);
    let words: Vec<String> = warnings.map(ToString::to_string).collect();
    if words.is_empty() {
        "no finding".to_owned()
    } else {
        format!("no error; warned of: {}", words.join("; "))
    }
}

fn typed(evidence: &Evidence) -> Judged {
    let errors = errors(evidence, &["/io", "/schemas"]);
    if !errors.is_empty() {
        return (false, joined(&errors));
    }
    // A failed schema, a kind that is not declared, no UTF-8, another request's name: the gateway calls all of them a bad answer.
    let wrong = |seen: &&Seen| {
        let end = seen.outcome.report.as_ref().map(|report| &report.end);
        seen.outcome.cause == Cause::BadAnswer || matches!(end, Some(End::ExtraOutput))
    };
    if let Some(seen) = evidence.calls().find(wrong) {
        return (false, seen.told());
    }
    let unlike: Vec<String> = evidence
        .own_unusable
        .iter()
        .cloned()
        .chain(evidence.samples.iter().filter_map(not_as_expected))
        .collect();
    if !unlike.is_empty() {
        return (false, unlike.join("; "));
    }
    if !evidence.samples.iter().any(Seen::is_ok) {
        return unanswered(evidence);
    }
    if let Some(seen) = evidence
        .samples
        .iter()
        .find(|seen| seen.expected.is_none() && !(seen.is_answered() || seen.is_ok_or_rejected()))
    {
        return (false, seen.told());
    }
    let passed_over = match evidence.own_passed_over.as_slice() {
        [] => String::new(),
        names => format!("; no test of it: {}", names.join(" ")),
    };
    (true, format!("{}{passed_over}", told(&evidence.samples)))
}

/// How a test of the author's did not come out; none where it did, or nothing is expected.
fn not_as_expected(seen: &Seen) -> Option<String> {
    let difference = own::difference(seen.expected.as_ref()?, &seen.outcome.response)?;
    Some(format!("{}: {difference}", seen.name))
}

fn capable(evidence: &Evidence) -> Judged {
    let errors = errors(evidence, &["/capabilities"]);
    if !errors.is_empty() {
        return (false, joined(&errors));
    }
    let hostile = evidence.calls().find_map(|seen| {
        let denial = seen.hostile()?;
        Some((seen, denial))
    });
    if let Some((seen, denial)) = hostile {
        let words = format!("{}: no capability allows {denial}", seen.name);
        return (false, words);
    }
    match &evidence.manifest {
        Some(manifest) => (true, manifest.capabilities.join(" ")),
        None => not_asked(),
    }
}

fn compatible(evidence: &Evidence) -> Judged {
    const FIELDS: [&str; 3] = ["/version", "/api_version", "/supported_omega_api_versions"];
    let errors = errors(evidence, &FIELDS);
    match (errors.as_slice(), &evidence.manifest) {
        ([_, ..], _) => (false, joined(&errors)),
        ([], Some(manifest)) => (
            true,
            format!(
                "api_version {} and {} take in {}",
                manifest.api_version,
                manifest.supported_omega_api_versions,
                plugin_protocol::OMEGA_PLUGIN_API_VERSION
            ),
        ),
        ([], None) => not_asked(),
    }
}

impl Seen {
    fn is_ok_or_rejected(&self) -> bool {
        matches!(self.outcome.response.status, Status::Ok | Status::Rejected)
    }
}
