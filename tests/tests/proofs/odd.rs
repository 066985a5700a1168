//! Bundles that are odd in every way: members with other values, and texts with other parts.

use serde_json::{Value, json};

/// What is put in the place of a member of a bundle, by JSON pointer.
pub(super) fn odd_members() -> Vec<(&'static str, Value)> {
    let long = "\u{1f600}".repeat(257);
    vec![
        ("/format", json!("plugin-gateway-proof/2")),
        ("/proof_id", json!("936da01f-9abd-4d9d-80c7-02af85c822a8")),
        ("/run_id", json!("")),
        ("/run_id", json!(long)),
        ("/run_id", json!(["run"])),
        ("/created_at", json!("2026-01-31T12:00:00Z")),
        ("/created_at", json!("2026-02-31T12:00:00.000Z")),
        ("/head_event_hash", json!("A".repeat(64))),
        ("/head_event_hash", json!("")),
        ("/events", json!([])),
        ("/events", json!({})),
        ("/events/0", json!([])),
        ("/events/0/ts", json!("2026-01-31T12:00:00.000+00:00")),
        ("/events/0/ts", json!("2026-12-31T23:59:60.000Z")),
        ("/events/0/ts", json!("2026-12-31T22:59:60.000Z")),
        ("/events/0/ts", json!("0000-02-29T00:00:00.000Z")),
        ("/events/0/ts", json!("1900-02-29T00:00:00.000Z")),
        ("/events/0/kind", json!("PROOF_EXPORT")),
        ("/events/0/kind", json!("invoke")),
        ("/events/0/plugin_id", json!("P.upper")),
        ("/events/0/plugin_id", json!("")),
        ("/events/0/request_id", json!("")),
        ("/events/0/request_id", json!(long)),
        ("/events/0/prev_hash", json!("")),
        ("/events/0/event_hash", json!("")),
        ("/events/0/meta", json!({ "\u{e000}": "", "\u{1f600}": "" })),
        ("/events/0/meta", json!({ "a": 1 })),
        ("/events/0/meta", Value::Null),
        (
            "/events/0/event_id",
            json!("01a211f4-b663-7a26-c000-d3295bc9494b"),
        ),
        (
            "/events/0/event_id",
            json!("01a211f4-b663-7a26-8000-d3295bc9494b"),
        ),
        ("/inclusion", json!([])),
        ("/inclusion/0/index", json!(-1)),
        ("/inclusion/0/index", json!(9_007_199_254_740_991_u64)),
        ("/inclusion/0/index", json!(9_007_199_254_740_992_u64)),
        ("/inclusion/0/index", json!(1.5)),
        ("/inclusion/0/index", json!("1")),
        ("/inclusion/0/index", json!(true)),
        ("/inclusion/0/hashes", json!([])),
        ("/inclusion/0/hashes/0", json!("0".repeat(64))),
        ("/inclusion/0/hashes/0", json!("0".repeat(63))),
        ("/export/index", json!(0)),
        ("/export/hashes", json!(["0".repeat(64)])),
        ("/export/event/kind", json!("RESULT")),
        ("/export/event/meta/run_count", json!("09")),
        ("/export/extra", json!(1)),
        ("/checkpoint", json!("")),
        ("/checkpoint", json!("\n\n\u{2014} a b\n")),
        ("/plugin_manifest_digests", json!([])),
        ("/plugin_manifest_digests/0/plugin_id", json!("")),
        ("/plugin_manifest_digests/0/manifest_hash", json!("")),
        ("/validation_reports/0/manifest_hash", json!("")),
        (
            "/validation_reports/0/checked_at",
            json!("2026-01-31t12:00:00.5+23:59"),
        ),
        (
            "/validation_reports/0/checked_at",
            json!("2026-01-31 12:00:00Z"),
        ),
        ("/validation_reports/0/valid", json!("true")),
        ("/validation_reports/0/extra", json!("")),
        (
            "/validation_reports/0/issues",
            json!([{ "field": "", "message": "", "severity": "info" }]),
        ),
        (
            "/validation_reports/0/issues",
            json!([{ "field": "", "message": "", "severity": "fatal" }]),
        ),
    ]
}

/// What is written in the place of a part of a bundle's text. The first four change nothing but its form.
pub(super) const ODD_TEXTS: [(&str, &str); 17] = [
    ("{", " \r\n\t{"),
    (",\"export\"", " , \"export\""),
    ("\"run_id\"", "\"run\\u005fid\""),
    ("\u{1f600}", "\\ud83d\\ude00"),
    ("{", "\u{b}{"),
    ("{", "\u{a0}{"),
    ("{", "\u{feff}{"),
    (",\"export\"", ",,\"export\""),
    ("\u{1f600}", "\\ud83d"),
    ("\u{1f600}", "\\ude00\\ud83d"),
    ("\u{1f600}", "\u{0}"),
    ("\u{1f600}", "\\/"),
    ("\"index\":", "\"index\":0"),
    ("\"index\":", "\"index\":-"),
    (
        "\"format\"",
        "\"format\":\"plugin-gateway-proof/1\",\"format\"",
    ),
    (
        "\"format\"",
        "\"format\":\"plugin-gateway-proof/1\",\"form\\u0061t\"",
    ),
    ("{", "/**/{"),
];
