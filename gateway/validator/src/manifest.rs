//! The manifest's rules (contract, section 4), all findings at once; what passes becomes a [`CheckedManifest`].

use std::collections::BTreeSet;
use std::ops::Deref;

use plugin_protocol::capability::{Capability, FORBIDDEN};
use plugin_protocol::digest::ManifestHash;
use plugin_protocol::manifest::{self, Entrypoint, MAX_CALL_MS, Manifest};
use plugin_protocol::payload::PayloadKind;
use plugin_protocol::report::{Issue, Severity, ValidationReport};
use plugin_protocol::time::Timestamp;
use plugin_protocol::version::{Range, Version};
use plugin_protocol::{OMEGA_PLUGIN_API_VERSION, canonical, json, words};
use serde_json::Value;

use super::Entry;
use super::entry::inside;
use super::redactions;
use super::server;
use super::shape::{self, bounded};
use super::words::{error, issue, listed, nearest, pointer, quoted};

/// The largest manifest in bytes: room for the most and longest arguments that the contract allows, and as much again for everything else.
pub(crate) const MAX_MANIFEST_BYTES: usize = 2 * 1024 * 1024;

/// Every capability, in the contract's order.
const ALLOWED: [Capability; 6] = [
    Capability::ReadText,
    Capability::ReadJson,
    Capability::ReadBinaryRef,
    Capability::ReadDatasetSlice,
    Capability::WriteSuggestion,
    Capability::WriteReport,
];

/// A manifest that keeps every rule. Only [`check_manifest`] makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedManifest {
    manifest: Manifest,
    entry: Entry,
    hash: ManifestHash,
    canonical: Vec<u8>,
}

impl CheckedManifest {
    /// SHA-256 of the canonical bytes.
    #[must_use]
    pub fn hash(&self) -> ManifestHash {
        self.hash
    }

    /// The manifest's canonical JSON.
    #[must_use]
    pub fn canonical(&self) -> &[u8] {
        &self.canonical
    }

    /// What is started for a call.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Whether it is a server of the Model Context Protocol.
    #[must_use]
    pub fn is_server(&self) -> bool {
        match self.manifest.entrypoint {
            Entrypoint::Mcp { .. } => true,
            Entrypoint::Process { .. } | Entrypoint::Worker { .. } => false,
        }
    }
}

impl Deref for CheckedManifest {
    type Target = Manifest;

    fn deref(&self) -> &Manifest {
        &self.manifest
    }
}

/// Checks a manifest's bytes: read strictly, completed with what may be left out, then shape, then meaning.
///
/// The manifest comes back exactly when the report is valid.
#[must_use]
pub fn check_manifest(bytes: &[u8]) -> (ValidationReport, Option<CheckedManifest>) {
    let value = match json::read_bounded(bytes, MAX_MANIFEST_BYTES) {
        Ok(mut value) => {
            manifest::fill(&mut value);
            value
        }
        Err(unreadable) => {
            let message = format!("{unreadable}{}", advice(bytes, &unreadable));
            return (report(vec![error("", message)], None), None);
        }
    };
    let canonical = canonical::bytes(&value);
    let hash = ManifestHash::of(&canonical);
    let mut issues = rules(&value);
    add_shape(&mut issues, &value);
    let mut checked = None;
    if !has_error(&issues) {
        match typed(value) {
            Ok((manifest, entry)) => {
                issues.extend(redactions::idle(&manifest));
                checked = Some(CheckedManifest {
                    manifest,
                    entry,
                    hash,
                    canonical,
                });
            }
            Err(finding) => issues.push(finding),
        }
    }
    (report(bounded(issues), Some(hash)), checked)
}

/// What to do about a text that is no JSON, as a clause; empty where the error says it.
fn advice(bytes: &[u8], unreadable: &json::Error) -> &'static str {
    const UTF_16: &str = ": it is UTF-16, so save it as UTF-8";
    const COMMENTS: [&[u8]; 3] = [b"//", b"/*", b"#"];
    let text = bytes.trim_ascii();
    // Every other byte of Latin letters is 0 there.
    let is_utf_16 = bytes.starts_with(b"\xff\xfe")
        || bytes.starts_with(b"\xfe\xff")
        || bytes.get(..2).is_some_and(|two| two.contains(&0));
    if is_utf_16 {
        return UTF_16;
    }
    let json::Error::Syntax(why) = unreadable else {
        return "";
    };
    if text.is_empty() {
        return ": it is empty; `plugin-gateway new NAME --lang LANG` makes one";
    }
    if COMMENTS.iter().any(|begin| text.starts_with(begin)) {
        return ": JSON has no comments, so remove them";
    }
    syntax_advice(&why.to_string())
}

/// The same by the words of the reader.
fn syntax_advice(why: &str) -> &'static str {
    const KNOWN: [(&str, &str); 5] = [
        ("trailing comma", ": remove the comma before the bracket"),
        (
            "key must be a string",
            ": put the name of every member in double quotes, and remove comments",
        ),
        ("EOF while", ": its end is missing, so copy it whole"),
        (
            "expected `,`",
            ": a comma is missing before this place, or a quote before it is not closed",
        ),
        ("expected `:`", ": a colon is missing at this place"),
    ];
    let known = KNOWN.iter().find(|(said, _)| why.contains(said));
    known.map_or("", |(_, advice)| advice)
}

fn typed(value: Value) -> Result<(Manifest, Entry), Issue> {
    let manifest: Manifest =
        serde_json::from_value(value).map_err(|misfit| error("", misfit.to_string()))?;
    let entry = Entry::of(&manifest.entrypoint)
        .map_err(|(place, why)| error(format!("/entrypoint{place}"), why))?;
    Ok((manifest, entry))
}

fn report(issues: Vec<Issue>, manifest_hash: Option<ManifestHash>) -> ValidationReport {
    ValidationReport {
        valid: !has_error(&issues),
        issues,
        manifest_hash,
        checked_at: Timestamp::now(),
    }
}

fn has_error(issues: &[Issue]) -> bool {
    issues.iter().any(|issue| issue.severity == Severity::Error)
}

/// Adds what the schema finds, except where a rule has already said it better.
fn add_shape(issues: &mut Vec<Issue>, value: &Value) {
    let errors = issues
        .iter()
        .filter(|issue| issue.severity == Severity::Error);
    let said: BTreeSet<String> = errors.map(|issue| issue.field.clone()).collect();
    // A rule names a repeated capability at its own place; the schema would only say that there is one.
    let repeated = said.iter().any(|field| field.starts_with("/capabilities/"));
    let said_already =
        |field: &String| said.contains(field) || (repeated && field == "/capabilities");
    let fresh = |found: &Issue| !said_already(&found.field);
    issues.extend(shape::MANIFEST.issues(value).into_iter().filter(fresh));
}

/// Every rule beyond shape. A rule ignores any part of the manifest whose shape is wrong, since the schema reports that.
fn rules(manifest: &Value) -> Vec<Issue> {
    let mut issues = Vec::new();
    capabilities(manifest, &mut issues);
    inputs(manifest, &mut issues);
    outputs(manifest, &mut issues);
    versions(manifest, &mut issues);
    limits(manifest, &mut issues);
    entrypoint(manifest, &mut issues);
    schemas(manifest, &mut issues);
    server::ports(manifest, &mut issues);
    redactions::unknown(manifest, &mut issues);
    // Who names no schema writes as OMEGA's own plugins do: of a manifest that was correct there, nothing is to be said here.
    if manifest.get("schemas").is_none() {
        issues.retain(|found| found.severity != Severity::Info);
    }
    issues
}

fn declared(manifest: &Value) -> impl Iterator<Item = &str> {
    let array = manifest.get("capabilities").and_then(Value::as_array);
    array.into_iter().flatten().filter_map(Value::as_str)
}

fn declares(manifest: &Value, capability: Capability) -> bool {
    declared(manifest).any(|word| word == capability.as_str())
}

fn capabilities(manifest: &Value, issues: &mut Vec<Issue>) {
    let array = manifest.get("capabilities").and_then(Value::as_array);
    let words = array.into_iter().flatten().enumerate();
    let allowed = || ALLOWED.iter().map(|capability| capability.as_str());
    let mut seen = BTreeSet::new();
    for (index, word) in words.filter_map(|(index, word)| Some((index, word.as_str()?))) {
        let message = if FORBIDDEN.contains(&word) {
            format!(
                "{}: {word}; remove it, a plugin can only read its request and write its answer",
                words::FORBIDDEN_CAPABILITY
            )
        } else if !allowed().any(|known| known == word) {
            let meant = nearest(word, allowed());
            let meant = meant.map_or(String::new(), |near| format!(" (did you mean {near}?)"));
            format!(
                "unknown capability {}{meant}: use {}",
                quoted(word),
                listed(allowed())
            )
        } else if !seen.insert(word) {
            format!("capability '{word}' is declared twice: remove one")
        } else {
            continue;
        };
        issues.push(error(format!("/capabilities/{index}"), message));
    }
}

fn ports<'a>(manifest: &'a Value, side: &str) -> impl Iterator<Item = (usize, &'a Value)> {
    let array = manifest
        .get("io")
        .and_then(|io| io.get(side))
        .and_then(Value::as_array);
    array.into_iter().flatten().enumerate()
}

fn kind_of(port: &Value) -> Option<PayloadKind> {
    serde_json::from_value(port.get("kind")?.clone()).ok()
}

fn inputs(manifest: &Value, issues: &mut Vec<Issue>) {
    let mut read = BTreeSet::new();
    for (index, port) in ports(manifest, "inputs") {
        let field = format!("/io/inputs/{index}");
        if let Some(kind) = kind_of(port) {
            let needed = Capability::to_read(kind);
            read.insert(needed.as_str());
            if !declares(manifest, needed) {
                let name = needed.as_str();
                let message = format!(
                    "input kind '{kind}' {} '{name}': add \"{name}\" to capabilities",
                    words::REQUIRES_CAPABILITY
                );
                issues.push(error(format!("{field}/kind"), message));
            }
        }
        port_limits(manifest, port, &field, issues);
    }
    let unused =
        declared(manifest).filter(|word| word.starts_with("read_") && !read.contains(word));
    for word in unused.filter(|word| ALLOWED.iter().any(|known| known.as_str() == *word)) {
        let message = format!("capability '{word}' is not used by any input: it can be removed");
        issues.push(issue("/io/inputs", message, Severity::Info));
    }
}

fn outputs(manifest: &Value, issues: &mut Vec<Issue>) {
    let writes = ALLOWED
        .into_iter()
        .any(|known| known.writes() && declares(manifest, known));
    let mut any = false;
    for (index, port) in ports(manifest, "outputs") {
        any = true;
        port_limits(manifest, port, &format!("/io/outputs/{index}"), issues);
    }
    if any && !writes {
        let message = format!(
            "an output {} 'write_suggestion' or 'write_report': add one of them to capabilities",
            words::REQUIRES_CAPABILITY
        );
        issues.push(error("/io/outputs", message));
    }
    let listed = manifest.pointer("/io/outputs").is_some_and(Value::is_array);
    if listed && !any {
        let message = "no output is declared: an answer with status ok cannot be accepted";
        issues.push(issue("/io/outputs", message, Severity::Info));
    }
}

/// Warns of a payload limit that can never be reached, because the limit on the whole line is lower.
fn port_limits(manifest: &Value, port: &Value, field: &str, issues: &mut Vec<Issue>) {
    let of_port = port.pointer("/limits/max_bytes").and_then(Value::as_u64);
    let of_line = manifest
        .pointer("/limits/max_bytes")
        .and_then(Value::as_u64);
    if let (Some(port), Some(line)) = (of_port, of_line)
        && port > line
    {
        let message = format!(
            "{port} bytes are never reached: the whole line is limited to {line} bytes by /limits/max_bytes"
        );
        issues.push(issue(
            format!("{field}/limits/max_bytes"),
            message,
            Severity::Info,
        ));
    }
}

fn versions(manifest: &Value, issues: &mut Vec<Issue>) {
    let Ok(ours) = Version::parse(OMEGA_PLUGIN_API_VERSION) else {
        return;
    };
    let text = |field: &str| manifest.get(field).and_then(Value::as_str);
    if let Some(Ok(api)) = text("api_version").map(Version::parse)
        && (api.major != ours.major || api.major < 1)
    {
        let message = format!(
            "plugin API {api} is not supported: this gateway speaks {ours}, so write {}.x.y",
            ours.major
        );
        issues.push(error("/api_version", message));
    }
    let field = "/supported_omega_api_versions";
    match text("supported_omega_api_versions").map(Range::parse) {
        Some(Err(misfit)) => issues.push(error(field, misfit.to_string())),
        Some(Ok(range)) if !range.contains(ours) => {
            let message = format!(
                "the range {} leaves out this gateway's version {ours}: write for instance \">={}.0.0 <{}.0.0\"",
                quoted(range.as_str()),
                ours.major,
                ours.major + 1
            );
            issues.push(error(field, message));
        }
        Some(Ok(_)) | None => {}
    }
}

fn limits(manifest: &Value, issues: &mut Vec<Issue>) {
    for field in ["/limits/max_ms", "/limits/max_cpu_ms"] {
        let asked = manifest.pointer(field).and_then(Value::as_u64);
        if let Some(asked) = asked.filter(|asked| *asked > MAX_CALL_MS) {
            let message = format!(
                "{asked} ms {} the gateway's ceiling: a call gets {MAX_CALL_MS} ms at most, so write {MAX_CALL_MS} or less",
                words::EXCEEDS
            );
            issues.push(issue(field, message, Severity::Warning));
        }
    }
}

fn entrypoint(manifest: &Value, issues: &mut Vec<Issue>) {
    let entry = manifest.get("entrypoint").cloned();
    let typed = entry.and_then(|entry| serde_json::from_value::<Entrypoint>(entry).ok());
    match typed.map(|typed| Entry::of(&typed)) {
        Some(Err((place, why))) => issues.push(error(format!("/entrypoint{place}"), why)),
        Some(Ok(entry)) => issues.extend(typescript(&entry)),
        None => {}
    }
}

/// A warning where Node is to run TypeScript, with what to do. Deno and Bun run it as it is.
fn typescript(entry: &Entry) -> Option<Issue> {
    const ENDINGS: [&str; 4] = [".ts", ".mts", ".cts", ".tsx"];
    let (field, file) = match entry {
        Entry::Worker { file, .. } => ("/entrypoint/file", file),
        Entry::Runtime { name, script, .. } if name == "node" => ("/entrypoint/command/1", script),
        Entry::Runtime { .. } | Entry::Program { .. } => return None,
    };
    if !ENDINGS.iter().any(|ending| file.ends_with(ending)) {
        return None;
    }
    let message = format!(
        "{} is TypeScript, which Node runs from version 22.18 on at best: build it to JavaScript (`tsc --outDir dist`), and name the file that comes out, for instance \"dist/index.js\"",
        quoted(file)
    );
    Some(issue(field, message, Severity::Warning))
}

fn schemas(manifest: &Value, issues: &mut Vec<Issue>) {
    // Who names no schema at all asks for no check.
    let Some(map) = manifest.get("schemas").and_then(Value::as_object) else {
        return;
    };
    for (name, path) in map {
        if let Some(Err(why)) = path.as_str().map(inside) {
            issues.push(error(pointer("/schemas", name), why));
        }
    }
    for side in ["inputs", "outputs"] {
        for (index, port) in ports(manifest, side) {
            let name = port.get("schema_ref").and_then(Value::as_str);
            let unlisted = name.filter(|name| !map.contains_key(*name));
            if let (Some(name), Some(PayloadKind::Json)) = (unlisted, kind_of(port)) {
                let message = format!(
                    "no schema for {}: its data is not checked; to have it checked, add its file to `schemas`",
                    quoted(name)
                );
                let field = format!("/io/{side}/{index}/schema_ref");
                issues.push(issue(field, message, Severity::Info));
            }
        }
    }
}
