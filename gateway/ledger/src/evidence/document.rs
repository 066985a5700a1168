//! One request or result as it may be kept. A document cannot be made without applying the redactions.

use plugin_protocol::canonical;
use plugin_protocol::digest::FileHash;
use plugin_protocol::event::meta;
use plugin_protocol::message::Request;
use plugin_protocol::payload::Payload;
use serde::Serialize;
use serde_json::Value;

use super::salt::Salt;

/// What stands in the place of a value that is not kept.
const STAND_IN: &str = "[redacted]";

/// The `meta` members that lead to a kept file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EvidenceLink {
    /// Holds the file's SHA-256.
    pub evidence: &'static str,
    /// Holds how many values are missing in the file; absent where none is.
    pub redacted: &'static str,
}

/// The members about the request, in `INVOKE`.
pub const REQUEST_LINK: EvidenceLink = EvidenceLink {
    evidence: meta::REQUEST_EVIDENCE,
    redacted: meta::REQUEST_REDACTED,
};

/// The members about the result, in `RESULT`.
pub(crate) const RESULT_LINK: EvidenceLink = EvidenceLink {
    evidence: meta::RESULT_EVIDENCE,
    redacted: meta::RESULT_REDACTED,
};

/// Canonical bytes without what a redaction names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    link: EvidenceLink,
    bytes: Vec<u8>,
    hash: FileHash,
    redacted: usize,
}

impl Document {
    /// The whole request. A pointer is followed from the request and from its payload, and one that begins with `/request` also
    /// from the request without that part. Whatever any of these readings names is not kept.
    pub fn of_request(request: &Request, redactions: &[String]) -> Self {
        Self::new(REQUEST_LINK, request, redactions, |value, pointer| {
            let mut hit = redact_at(value, Some(pointer));
            hit += redact_at(value, behind(pointer, "/request"));
            let payload = value.get_mut("payload");
            hit + payload.map_or(0, |payload| redact_at(payload, Some(pointer)))
        })
    }

    /// The result. A pointer is followed from the result, also without a leading `/result`, `/response/result` or `/payload`.
    pub fn of_result(result: &Payload, redactions: &[String]) -> Self {
        Self::new(RESULT_LINK, result, redactions, |value, pointer| {
            let mut hit = redact_at(value, Some(pointer));
            for prefix in ["/result", "/response/result", "/payload"] {
                hit += redact_at(value, behind(pointer, prefix));
            }
            hit
        })
    }

    fn new<T: Serialize>(
        link: EvidenceLink,
        whole: &T,
        redactions: &[String],
        redact: impl Fn(&mut Value, &str) -> usize,
    ) -> Self {
        let mut bytes = canonical::bytes(whole);
        let mut redacted = 0;
        if !redactions.is_empty() {
            // A typed value always has a JSON form; if one had none, nothing would be kept.
            let mut value = serde_json::to_value(whole).unwrap_or_default();
            redacted = redactions
                .iter()
                .map(|pointer| redact(&mut value, pointer))
                .sum();
            bytes = canonical::bytes(&value);
        }
        Self {
            link,
            hash: FileHash::of(&bytes),
            bytes,
            redacted,
        }
    }

    /// What is written.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The file's name.
    pub(crate) fn name(&self, salt: Option<&Salt>) -> String {
        file_name(&self.hash(salt), self.redacted > 0)
    }

    /// What leads to it.
    fn hash(&self, salt: Option<&Salt>) -> FileHash {
        salt.map_or(self.hash, |salt| salt.file(&self.hash))
    }

    /// What the event's `meta` says of it.
    pub(crate) fn links(&self, salt: Option<&Salt>) -> impl Iterator<Item = (String, String)> {
        let redacted = (self.redacted > 0).then(|| self.redacted.to_string());
        [
            Some((self.link.evidence, self.hash(salt).to_string())),
            redacted.map(|count| (self.link.redacted, count)),
        ]
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.to_owned(), value))
    }
}

pub(crate) fn file_name(hash: &FileHash, redacted: bool) -> String {
    let mark = if redacted { ".redacted" } else { "" };
    format!("{hash}{mark}.json")
}

/// The rest of a pointer that begins with the members `prefix`.
fn behind<'a>(pointer: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = pointer.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// Replaces the value that `pointer` (RFC 6901) leads to, and returns how many values were replaced (0 or 1).
fn redact_at(value: &mut Value, pointer: Option<&str>) -> usize {
    let found = pointer.and_then(|pointer| value.pointer_mut(pointer));
    match found {
        Some(secret) if secret != STAND_IN => {
            *secret = STAND_IN.into();
            1
        }
        Some(_) | None => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(data: &Value) -> Request {
        let request = json!({
            "request_id": "r", "run_id": "n", "timestamp": "2026-01-31T12:00:00.000Z",
            "payload": { "kind": "json", "data": data, "schema_ref": "s" },
            "context": { "token": "SECRET" },
            "policy": { "deterministic_only": false, "timeout_ms": 100, "max_retries": 0 }
        });
        serde_json::from_value(request).unwrap()
    }

    fn kept(document: &Document) -> Value {
        serde_json::from_slice(document.bytes()).unwrap()
    }

    #[test]
    fn without_redactions_the_bytes_are_the_canonical_ones() {
        let request = request(&json!({ "a": 1.5 }));
        let document = Document::of_request(&request, &[]);
        assert_eq!(document.bytes(), canonical::bytes(&request));
        let Value::String(payload) = json!(request.payload.hash()) else {
            unreachable!()
        };
        let kept_payload = canonical::bytes(&kept(&document)["payload"]);
        assert_eq!(FileHash::of(&kept_payload).to_string(), payload);
        let result = Document::of_result(&request.payload, &[]);
        assert_eq!(result.name(None), format!("{payload}.json"));
        assert_eq!(
            result.links(None).collect::<Vec<_>>(),
            [("result_evidence".to_owned(), payload)]
        );
    }

    #[test]
    fn every_reading_of_a_pointer_is_redacted() {
        let secret = request(&json!({ "a": [{ "b/c": "SECRET" }], "public": 1 }));
        for pointer in [
            "/payload/data/a/0/b~1c",
            "/request/payload/data/a/0/b~1c",
            "/data/a/0/b~1c",
            "/data",
            "",
        ] {
            let redactions = [pointer.to_owned(), "/context/token".to_owned()];
            let document = Document::of_request(&secret, &redactions);
            let text = String::from_utf8(document.bytes().to_vec()).unwrap();
            assert!(!text.contains("SECRET"), "{pointer}: {text}");
            assert!(document.name(None).ends_with(".redacted.json"));
            assert!(
                document
                    .links(None)
                    .any(|(name, _)| name == "request_redacted")
            );
        }
        for pointer in [
            "/data/a/0/b~1c",
            "/result/data/a",
            "/response/result/data",
            "/payload/data",
            "/result",
        ] {
            let document = Document::of_result(&secret.payload, &[pointer.to_owned()]);
            let text = String::from_utf8(document.bytes().to_vec()).unwrap();
            assert!(!text.contains("SECRET"), "{pointer}: {text}");
        }
    }

    #[test]
    fn what_no_pointer_names_is_kept_and_not_called_redacted() {
        let request = request(&json!({ "a": 1 }));
        let nowhere = ["/b", "/a/0", "/data/-", "/requests", "/results/data"].map(str::to_owned);
        let document = Document::of_request(&request, &nowhere);
        assert_eq!(document.bytes(), canonical::bytes(&request));
        assert!(!document.name(None).contains("redacted"));
        let result = Document::of_result(&request.payload, &nowhere);
        assert_eq!(result.bytes(), request.payload.canonical());
    }
}
