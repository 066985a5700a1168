//! What was seen of a package. It judges nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use plugin_protocol::digest::PackageDigest;
use plugin_protocol::event::Event;
use plugin_protocol::json;
use plugin_protocol::message::Status;
use plugin_protocol::report::ValidationReport;
use serde_json::Value;

use super::calls::Trial;
use super::own;
use crate::error::Error;
use crate::operator::validation::validate;
use crate::router::{Cause, Outcome};
use ledger::ProofReport;
use registry::Package;
use sandbox::{Denial, End, Layer, Report};
use validator::{self, CheckedManifest};

/// Everything that was seen.
#[derive(Debug)]
pub(super) struct Evidence {
    /// Whether the plugin may pass although some of its system calls were refused.
    pub(super) tolerates_denied: bool,
    pub(super) report: ValidationReport,
    /// The manifest as it stands, null where it is no JSON.
    pub(super) said: Value,
    pub(super) digest: PackageDigest,
    /// The package's digest after all calls; a different one means that something wrote to it.
    pub(super) digest_after: PackageDigest,
    pub(super) manifest: Option<CheckedManifest>,
    /// Bad signatures by name, and whether each was refused.
    pub(super) signatures: Vec<(&'static str, bool)>,
    /// Whether the correctly signed package was enabled, or why it was refused.
    pub(super) installed: Result<(), String>,
    /// The layers in force here, or why no plugin is run.
    pub(super) layers: Result<Vec<Layer>, String>,
    /// The payload that was given and those of the author's tests; without any, one made for each declared input.
    pub(super) samples: Vec<Seen>,
    /// The same payload again, in requests with other ids and times.
    pub(super) repeats: Vec<Seen>,
    /// The same payload, many at once.
    pub(super) crowd: Vec<Seen>,
    /// The same payload once more, after all others.
    pub(super) afterwards: Vec<Seen>,
    /// Tests of the author's that cannot be run, each with the reason.
    pub(super) own_unusable: Vec<String>,
    /// Files beside the package that are no test of it.
    pub(super) own_passed_over: Vec<String>,
    /// Payloads at the edge of what is declared.
    pub(super) odd: Vec<Seen>,
    /// Requests that no plugin may see.
    pub(super) wrong: Vec<Seen>,
    /// The events of the run.
    pub(super) events: Vec<Event>,
    /// What is wrong with the ledger, empty where nothing is.
    pub(super) ledger_fault: String,
    /// What checking the run's exported proof found.
    pub(super) proof: Option<ProofReport>,
    /// How long the work behind each check took, by the check's id.
    spent: BTreeMap<&'static str, Duration>,
}

/// One call.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) name: String,
    pub(super) request_id: String,
    pub(super) payload: Value,
    /// What its author says comes out.
    pub(super) expected: Option<Value>,
    pub(super) outcome: Outcome,
}

impl Seen {
    pub(super) fn is_ok(&self) -> bool {
        self.outcome.response.status == Status::Ok
    }

    /// Whether the plugin was started.
    pub(super) fn ran(&self) -> bool {
        self.outcome.report.is_some()
    }

    /// Whether the plugin itself gave an answer that counts, and no failure.
    pub(super) fn is_answered(&self) -> bool {
        let status = self.outcome.response.status;
        self.outcome.cause == Cause::Answer && matches!(status, Status::Ok | Status::Rejected)
    }

    /// Whether this host did not get so far as to start the plugin.
    pub(super) fn never_started(&self) -> bool {
        let report = self.outcome.report.as_ref();
        report.is_some_and(|report| report.end == End::NeverStarted)
    }

    /// What the plugin was ended for.
    pub(super) fn hostile(&self) -> Option<&Denial> {
        match &self.outcome.report.as_ref()?.end {
            End::Violation(denial) | End::Flood(denial) => Some(denial),
            End::Answered
            | End::ExtraOutput
            | End::TooMuchTalk
            | End::AnswerTooLarge
            | End::Exited(_)
            | End::Signalled(_)
            | End::TimedOut
            | End::CpuLimit
            | End::MemoryLimit
            | End::Cancelled
            | End::NeverStarted => None,
        }
    }

    /// How it ended, in words.
    pub(super) fn told(&self) -> String {
        let response = &self.outcome.response;
        let notes = match response.notes.as_str() {
            "" => String::new(),
            notes => format!(" ({notes})"),
        };
        format!("{}: {}{notes}", self.name, response.status)
    }
}

impl Evidence {
    /// Tries everything with the package at `folder`; `payload`, where it is given, replaces the samples.
    pub(super) fn gather(
        folder: &Path,
        payload: Option<&Value>,
        tolerates_denied: bool,
    ) -> Result<Self, Error> {
        let begun = Instant::now();
        let package = Package::read(folder)?;
        let mut evidence = Self {
            tolerates_denied,
            report: validate(folder)?.report,
            said: json::read(package.manifest_bytes()).unwrap_or_default(),
            digest: package.digest(),
            digest_after: package.digest(),
            manifest: validator::check_manifest(package.manifest_bytes()).1,
            signatures: Vec::new(),
            installed: Err("the package is not valid".to_owned()),
            layers: Ok(Vec::new()),
            samples: Vec::new(),
            repeats: Vec::new(),
            crowd: Vec::new(),
            afterwards: Vec::new(),
            own_unusable: Vec::new(),
            own_passed_over: Vec::new(),
            odd: Vec::new(),
            wrong: Vec::new(),
            events: Vec::new(),
            ledger_fault: String::new(),
            proof: None,
            spent: BTreeMap::new(),
        };
        evidence.spend("CG-01", begun);
        if evidence.report.valid {
            let own = own::read(folder)?;
            Trial::new(folder)?.run(&mut evidence, &package, payload, own)?;
        }
        let begun = Instant::now();
        evidence.digest_after = Package::read(folder)?.digest();
        evidence.spend("CG-05", begun);
        Ok(evidence)
    }

    /// Notes that work for the check `id` took from `begun` until now.
    pub(super) fn spend(&mut self, id: &'static str, begun: Instant) {
        *self.spent.entry(id).or_default() += begun.elapsed();
    }

    pub(super) fn spent_on(&self, id: &str) -> Duration {
        self.spent.get(id).copied().unwrap_or_default()
    }

    /// The first sample that was answered `ok`.
    pub(super) fn good(&self) -> Option<&Seen> {
        self.samples.iter().find(|seen| seen.is_ok())
    }

    /// Whether the plugin was started at all.
    pub(super) fn ran(&self) -> bool {
        self.reports().next().is_some()
    }

    /// What the sandbox saw, call by call.
    pub(super) fn reports(&self) -> impl Iterator<Item = (&Seen, &Report)> {
        self.calls()
            .filter_map(|seen| Some((seen, seen.outcome.report.as_ref()?)))
    }

    /// Every call of the plugin that should have been answered.
    pub(super) fn calls(&self) -> impl Iterator<Item = &Seen> {
        self.samples
            .iter()
            .chain(&self.repeats)
            .chain(&self.crowd)
            .chain(&self.odd)
            .chain(&self.afterwards)
    }
}
