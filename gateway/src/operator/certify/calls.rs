//! What is done with a package: it is registered with good and bad signatures, asked, asked again, asked wrongly, and the ledger is read.

use std::path::Path;
use std::time::Instant;

use plugin_protocol::canonical;
use plugin_protocol::ids::RunId;
use plugin_protocol::manifest::MAX_CALL_MS;
use plugin_protocol::time::Timestamp;
use serde_json::{Value, json};

use super::evidence::{Evidence, Seen};
use super::own::Own;
use super::samples::{self, Sample};
use crate::api::Registration;
use crate::error::{Error, chain};
use crate::operator::harness::Harness;
use ledger::{self, LogKey};
use registry::{Package, SigningKey};
use validator::CheckedManifest;

/// How often one input is given: often enough for a clock, an address or a random number to show.
const REPEATS: usize = 5;

/// How often a call is made again that a busy host could not begin.
const STARTS_MORE: usize = 2;

/// How many calls are made at once, where the manifest allows as many.
const AT_ONCE: u32 = 8;

/// The run of all calls.
const RUN: &str = "certify";

/// One package in a throw-away state.
pub(super) struct Trial<'a> {
    harness: Harness,
    folder: &'a Path,
    calls: usize,
}

impl<'a> Trial<'a> {
    pub(super) fn new(folder: &'a Path) -> Result<Self, Error> {
        Ok(Self {
            harness: Harness::new()?,
            folder,
            calls: 0,
        })
    }

    /// Tries everything; with `payload` and the author's `own` in place of samples where there are any.
    pub(super) fn run(
        mut self,
        evidence: &mut Evidence,
        package: &Package,
        payload: Option<&Value>,
        own: Own,
    ) -> Result<(), Error> {
        let begun = Instant::now();
        evidence.signatures = self.try_signatures(package)?;
        evidence.spend("CG-06", begun);
        let begun = Instant::now();
        evidence.installed = self.harness.try_install(self.folder)?.map(drop);
        evidence.layers = self.harness.isolation();
        evidence.spend("CG-01", begun);
        let manifest = evidence.manifest.clone();
        let Some(manifest) = manifest.filter(|_| evidence.installed.is_ok()) else {
            return Ok(());
        };
        (evidence.own_unusable, evidence.own_passed_over) = (own.unusable, own.passed_over);
        let given = payload.map(|payload| Sample::of("the given payload", payload.clone()));
        let mut usual: Vec<Sample> = given.into_iter().chain(own.samples).collect();
        if usual.is_empty() {
            usual = samples::usual(self.folder, &manifest);
        }
        let begun = Instant::now();
        for sample in &usual {
            let seen = self.ask(&manifest, sample)?;
            evidence.samples.push(seen);
        }
        evidence.spend("CG-02", begun);
        self.ask_again(evidence, &manifest, &usual)?;
        self.read_ledger(evidence)
    }

    /// The same payload again and again, odd ones, wrong requests.
    fn ask_again(
        &mut self,
        evidence: &mut Evidence,
        manifest: &CheckedManifest,
        usual: &[Sample],
    ) -> Result<(), Error> {
        let good = evidence.samples.iter().position(Seen::is_ok);
        let good = good.and_then(|at| usual.get(at));
        let begun = Instant::now();
        for sample in std::iter::repeat_n(good, REPEATS).flatten() {
            evidence.repeats.push(self.ask(manifest, sample)?);
        }
        evidence.spend("CG-04", begun);
        let begun = Instant::now();
        if let Some(sample) = good {
            evidence.crowd = self.ask_at_once(manifest, sample)?;
        }
        evidence.spend("CG-07", begun);
        let begun = Instant::now();
        for sample in samples::odd(manifest) {
            evidence.odd.push(self.ask(manifest, &sample)?);
        }
        if let Some(sample) = usual.first() {
            evidence.wrong = self.ask_wrongly(manifest, sample)?;
        }
        evidence.spend("CG-06", begun);
        let begun = Instant::now();
        if let Some(sample) = good {
            evidence.afterwards.push(self.ask(manifest, sample)?);
        }
        evidence.spend("CG-05", begun);
        Ok(())
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

    /// Asks once; again where this host was too busy to start the plugin at all, which says nothing about the plugin.
    fn ask(&mut self, manifest: &CheckedManifest, sample: &Sample) -> Result<Seen, Error> {
        let mut seen = self.ask_once(manifest, sample)?;
        for _ in 0..STARTS_MORE {
            if !seen.never_started() {
                break;
            }
            seen = self.ask_once(manifest, sample)?;
        }
        Ok(seen)
    }

    fn ask_once(&mut self, manifest: &CheckedManifest, sample: &Sample) -> Result<Seen, Error> {
        let (request_id, request) = self.request(&sample.payload);
        let outcome = self
            .harness
            .invoke_naming_reads(manifest.plugin_id.as_str(), &request, None)?
            .into_inner();
        Ok(Seen {
            name: sample.name.clone(),
            request_id,
            payload: sample.payload.clone(),
            expected: sample.expected.clone(),
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
                payload: sample.payload.clone(),
                expected: None,
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
                payload: request["payload"].take(),
                expected: None,
                outcome,
            });
        }
        Ok(seen)
    }

    /// Reads what all this left in the ledger, as an auditor would.
    fn read_ledger(&self, evidence: &mut Evidence) -> Result<(), Error> {
        let begun = Instant::now();
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
        evidence.spend("CG-09", begun);
        Ok(())
    }
}
