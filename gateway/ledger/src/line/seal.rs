//! From a draft to an event: the canonical line, written in one pass. It never reads a line.

use std::collections::BTreeMap;

use plugin_protocol::digest::{EventHash, PayloadHash};
use plugin_protocol::event::Event;
use plugin_protocol::ids::{EventId, PluginId, RequestId};
use plugin_protocol::time::Timestamp;

use super::draft::Draft;
use super::hash::{OPENING, hash_of_line};

/// Makes the event for `draft` and appends its canonical line, without newline, to `out`.
pub(crate) fn seal(
    draft: Draft,

    event_id: EventId,
    ts: Timestamp,
    prev_hash: Option<EventHash>,
    out: &mut Vec<u8>,
) -> Event {
    let start = out.len();
    out.extend_from_slice(OPENING);
    out.extend_from_slice(&[b'0'; 64]);
    out.extend_from_slice(br#"","event_id":""#);
    push_display(out, &event_id);
    out.extend_from_slice(br#"","input_hash":""#);
    push_hex(out, draft.input_hash.as_ref().map(PayloadHash::as_bytes));
    out.extend_from_slice(br#"","kind":""#);
    out.extend_from_slice(draft.kind.as_str().as_bytes());
    out.extend_from_slice(br#"","meta":{"#);
    push_meta(out, &draft.meta);
    out.extend_from_slice(br#"},"output_hash":""#);
    push_hex(out, draft.output_hash.as_ref().map(PayloadHash::as_bytes));
    out.extend_from_slice(br#"","plugin_id":""#);
    out.extend_from_slice(
        draft
            .plugin_id
            .as_ref()
            .map_or("", PluginId::as_str)
            .as_bytes(),
    );
    out.extend_from_slice(br#"","prev_hash":""#);
    push_hex(out, prev_hash.as_ref().map(EventHash::as_bytes));
    out.extend_from_slice(br#"","request_id":"#);
    push_string(out, draft.request_id.as_ref().map_or("", RequestId::as_str));
    out.extend_from_slice(br#","run_id":"#);
    push_string(out, draft.run_id.as_str());
    out.extend_from_slice(br#","ts":""#);
    out.extend_from_slice(ts.as_str().as_bytes());
    out.extend_from_slice(br#""}"#);

    let event_hash = hash_of_line(out.get(start..).unwrap_or_default());
    let mut digits = Vec::with_capacity(64);
    push_hex(&mut digits, Some(event_hash.as_bytes()));
    if let Some(place) = out.get_mut(start + OPENING.len()..start + OPENING.len() + 64) {
        place.copy_from_slice(&digits);
    }
    Event {
        event_id,
        run_id: draft.run_id,
        ts,
        kind: draft.kind,
        plugin_id: draft.plugin_id,
        request_id: draft.request_id,
        input_hash: draft.input_hash,
        output_hash: draft.output_hash,
        prev_hash,
        event_hash,
        meta: draft.meta,
    }
}

fn push_display(out: &mut Vec<u8>, value: &dyn std::fmt::Display) {
    out.extend_from_slice(value.to_string().as_bytes());
}

fn push_hex(out: &mut Vec<u8>, bytes: Option<&[u8; 32]>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes.into_iter().flatten() {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

fn push_meta(out: &mut Vec<u8>, meta: &BTreeMap<String, String>) {
    let mut members: Vec<_> = meta.iter().collect();
    // RFC 8785 sorts by UTF-16 code units; that differs from the map's order only beyond the ASCII range.
    if members.iter().any(|(key, _)| !key.is_ascii()) {
        members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    }
    for (at, (key, value)) in members.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push_string(out, key);
        out.push(b':');
        push_string(out, value);
    }
}

/// Writes a JSON string as RFC 8785 wants it: only quote, backslash and control characters are escaped, in the short form where there is one.
fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut plain_from = 0;
    let bytes = text.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(bytes.get(plain_from..at).unwrap_or_default());
        plain_from = at + 1;
        match byte {
            b'"' => out.extend_from_slice(br#"\""#),
            b'\\' => out.extend_from_slice(br"\\"),
            0x08 => out.extend_from_slice(br"\b"),
            0x09 => out.extend_from_slice(br"\t"),
            0x0a => out.extend_from_slice(br"\n"),
            0x0c => out.extend_from_slice(br"\f"),
            0x0d => out.extend_from_slice(br"\r"),
            _ => push_display(out, &format_args!("\\u{byte:04x}")),
        }
    }
    out.extend_from_slice(bytes.get(plain_from..).unwrap_or_default());
    out.push(b'"');
}
