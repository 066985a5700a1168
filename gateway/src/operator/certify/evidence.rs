//! What was done with a package and what was seen. It judges nothing.

use std::path::Path;

use plugin_protocol::digest::PackageDigest;
use plugin_protocol::event::Event;
use plugin_protocol::ids::RunId;
use plugin_protocol::manifest::MAX_CALL_MS;
use plugin_protocol::message::Status;
use plugin_protocol::report::ValidationReport;
use plugin_protocol::time::Timestamp;
use plugin_protocol::{canonical, json};
use serde_json::{Value, json};

use super::samples::{self, Sample};
use crate::api::Registration;
use crate::error::{Error, chain};
use crate::operator::harness::Harness;
use crate::operator::validation::validate;
use crate::router::Outcome;
use ledger::{self, LogKey, ProofReport};
use registry::{Package, SigningKey};
use sandbox::Layer;
use validator::{self, CheckedManifest};

/// How often one input is given: often enough for a clock, an address or a random number to show.
const REPEATS: usize = 5;

/// How many calls are made at once, where the manifest allows as many.
const AT_ONCE: u32 = 8;

/// The run of all calls.
const RUN: &str = "certify";

/// Everything that was seen.
#[derive(Debug)]
pub(super) struct Evidence {
    /// Whether refused calls are let pass.
    pub(super) tolerates_denied: bool,
    pub(super) report: ValidationReport,
    /// The manifest as it stands, null where it is no JSON.
    pub(super) said: Value,
    pub(super) digest: PackageDigest,
    /// The package's digest after all calls; a different one means that something wrote to it.
    pub(super) digest_after: PackageDigest,
    pub(super) manifest: Option<CheckedManifest>,
    /// Signatures that must not be good, and whether each was refused.
    pub(super) signatures: Vec<(&'static str, bool)>,
    /// Whether the correctly signed package was enabled, or why it was refused.
    pub(super) installed: Result<(), String>,
    /// The layers in force here, or why no plugin is run.
    pub(super) layers: Result<Vec<Layer>, String>,
    /// One call for each declared input, or the one that was given.
    pub(super) samples: Vec<Seen>,
    /// The same payload again, in requests of other names and times.
    pub(super) repeats: Vec<Seen>,
    /// The same payload, many at once.
    pub(super) crowd: Vec<Seen>,
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
}

/// One call.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) name: String,
    pub(super) request_id: String,
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
    /// Tries the package at `folder` in everything; with `payload` in place of samples where one is given.
    pub(super) fn gather(
        folder: &Path,
        payload: Option<&Value>,
        tolerates_denied: bool,
    ) -> Result<Self, Error> {
        let package = Package::read(folder)?;
        let trial = Trial {
            harness: Harness::new()?,
            folder,
            calls: 0,
        };
        let mut evidence = Self {
            tolerates_denied,
            report: validate(folder)?,
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
            odd: Vec::new(),
            wrong: Vec::new(),
            events: Vec::new(),
            ledger_fault: String::new(),
            proof: None,
        };
        if evidence.report.valid {
            trial.run(&mut evidence, &package, payload)?;
        }
        evidence.digest_after = Package::read(folder)?.digest();
        Ok(evidence)
    }

    /// Every call of the plugin that should have been answered.
    pub(super) fn calls(&self) -> impl Iterator<Item = &Seen> {
        self.samples
            .iter()
            .chain(&self.repeats)
            .chain(&self.crowd)
            .chain(&self.odd)
    }
}

/// The doing.
struct Trial<'a> {
    harness: Harness,
    folder: &'a Path,
    calls: usize,
}

impl Trial<'_> {
    fn run(
        mut self,
        evidence: &mut Evidence,
        package: &Package,
        payload: Option<&Value>,
    ) -> Result<(), Error> {
        evidence.signatures = self.try_signatures(package)?;
        evidence.installed = self.harness.try_install(self.folder)?.map(drop);
        evidence.layers = self.harness.isolation();
        let Some(manifest) = evidence
            .manifest
            .clone()
            .filter(|_| evidence.installed.is_ok())
        else {
            return Ok(());
        };
        let given = payload.map(|payload| Sample {
            name: "the given payload".to_owned(),
            payload: payload.clone(),
        });
        let usual = given.map_or_else(
            || samples::usual(self.folder, &manifest),
            |given| vec![given],
        );
        for sample in &usual {
            let seen = self.ask(&manifest, sample)?;
            evidence.samples.push(seen);
        }
        let good = evidence.samples.iter().position(Seen::is_ok);
        if let Some(sample) = good.and_then(|at| usual.get(at)) {
            for _ in 0..REPEATS {
                let seen = self.ask(&manifest, sample)?;
                evidence.repeats.push(seen);
            }
            evidence.crowd = self.ask_at_once(&manifest, sample)?;
        }
        for sample in samples::odd(&manifest) {
            let seen = self.ask(&manifest, &sample)?;
            evidence.odd.push(seen);
        }
        if let Some(sample) = usual.first() {
            evidence.wrong = self.ask_wrongly(&manifest, sample)?;
        }
        self.read_ledger(evidence)
    }

    /// Registers the package with signatures that are not good; each attempt must be recorded as rejected.
    fn try_signatures(&self, package: &Package) -> Result<Vec<(&'static str, bool)>, Error> {
        let stranger = SigningKey::generate()?
            .sign(package.digest())
            .to_file_bytes();
        let trusted = self.harness.signature(package);
        let mut changed = trusted.clone();
        // Inside the base64 text: the signature is another one.
        if let Some(byte) = changed
            .iter_mut()
            .rev()
            .find(|byte| byte.is_ascii_alphabetic())
        {
            *byte = if *byte == b'A' { b'B' } else { b'A' };
        }
        let tries: [(&'static str, &[u8]); 3] = [
            ("an empty signature", b""),
            ("an untrusted key", &stranger),
            ("a changed signature", &changed),
        ];
        let refused = |(name, signature)| {
            let registration = Registration {
                package: self.folder,
                signature: Some(signature),
                replace: false,
            };
            let (info, rejection) = self.harness.register(registration)?;
            Ok((name, rejection.is_some() && !info.signature_valid))
        };
        tries.into_iter().map(refused).collect()
    }

    /// A request of its own name and time, with this payload.
    fn request(&mut self, payload: &Value) -> (String, Value) {
        self.calls += 1;
        let request_id = format!("certify-{}", self.calls);
        let policy =
            json!({ "deterministic_only": false, "timeout_ms": MAX_CALL_MS, "max_retries": 0 });
        let request = json!({
            "request_id": request_id, "run_id": RUN, "timestamp": Timestamp::now(),
            "payload": payload, "context": {}, "policy": policy,
        });
        (request_id, request)
    }

    fn ask(&mut self, manifest: &CheckedManifest, sample: &Sample) -> Result<Seen, Error> {
        let (request_id, request) = self.request(&sample.payload);
        let outcome = self
            .harness
            .invoke_naming_reads(manifest.plugin_id.as_str(), &request, None)?
            .into_inner();
        Ok(Seen {
            name: sample.name.clone(),
            request_id,
            outcome,
        })
    }

    fn ask_at_once(
        &mut self,
        manifest: &CheckedManifest,
        sample: &Sample,
    ) -> Result<Vec<Seen>, Error> {
        let count = manifest.limits.max_concurrency.min(AT_ONCE);
        let requests: Vec<_> = (0..count).map(|_| self.request(&sample.payload)).collect();
        let (harness, plugin_id) = (&*self.harness, manifest.plugin_id.as_str());
        let answers = std::thread::scope(|scope| {
            let ask = |request| scope.spawn(move || harness.invoke(plugin_id, request, None));
            let threads: Vec<_> = requests.iter().map(|(_, request)| ask(request)).collect();
            // A thread that failed in itself gives no answer, and one is then missing.
            let joined = threads.into_iter().filter_map(|thread| thread.join().ok());
            joined.collect::<Result<Vec<_>, _>>()
        })?;
        let seen = requests
            .into_iter()
            .zip(answers)
            .map(|((request_id, _), answer)| Seen {
                name: "one of many at once".to_owned(),
                request_id,
                outcome: answer.into_inner(),
            });
        Ok(seen.collect())
    }

    /// Requests that break a rule, and one of a kind that is not declared.
    fn ask_wrongly(
        &mut self,
        manifest: &CheckedManifest,
        sample: &Sample,
    ) -> Result<Vec<Seen>, Error> {
        let mut wrong = vec![
            ("the gateway's own run", "/run_id", json!("system")),
            (
                "an endless timeout",
                "/policy/timeout_ms",
                json!("for ever"),
            ),
            ("no payload", "/payload", Value::Null),
            ("an unknown kind", "/payload/kind", json!("program")),
        ];
        wrong.extend(
            samples::undeclared(manifest)
                .map(|payload| ("a kind that is not declared", "/payload", payload)),
        );
        let mut seen = Vec::new();
        for (name, place, value) in wrong {
            let (request_id, mut request) = self.request(&sample.payload);
            if let Some(member) = request.pointer_mut(place) {
                *member = value;
            }
            let outcome = self
                .harness
                .invoke(manifest.plugin_id.as_str(), &request, None)?
                .into_inner();
            seen.push(Seen {
                name: name.to_owned(),
                request_id,
                outcome,
            });
        }
        Ok(seen)
    }

    /// Reads what all this left in the ledger, as an auditor would.
    fn read_ledger(&self, evidence: &mut Evidence) -> Result<(), Error> {
        let state = self.harness.state();
        let run = RunId::parse(RUN).map_err(|error| Error::Invalid {
            message: error.to_string(),
        })?;
        let bundle = self.harness.export_proof(&run)?;
        for stored in ledger::events(state)? {
            evidence.events.push(stored?.event);
        }
        let found = ledger::verify(state, None, &|_, _| {})?;
        evidence.ledger_fault = found.reason;
        let key =
            std::fs::read_to_string(state.join("log.vkey")).map_err(|error| error.to_string());
        let key = key.and_then(|text| LogKey::parse(&text).map_err(|error| chain(&error)));
        evidence.proof = key.ok().map(|key| {
            let bytes = serde_json::to_value(&bundle).map(|bundle| canonical::bytes(&bundle));
            ledger::verify_proof(&bytes.unwrap_or_default(), &key)
        });
        Ok(())
    }
}
