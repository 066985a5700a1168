//! From a draft to an event: identity, time, place in the chain, and the canonical line.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::time::{SystemTime, UNIX_EPOCH};

use plugin_protocol::digest::{EventHash, PayloadHash};
use plugin_protocol::event::{Event, EventKind};
use plugin_protocol::ids::{EventId, PluginId, RequestId, RunId};
use plugin_protocol::time::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::evidence::Document;

/// What a caller knows of an event; identity, time and place in the chain are the ledger's to give.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The run that it belongs to.
    pub run_id: RunId,
    /// What happened.
    pub kind: EventKind,
    /// The plugin concerned.
    pub plugin_id: Option<PluginId>,
    /// The request concerned.
    pub request_id: Option<RequestId>,
    /// SHA-256 of the canonical request payload.
    pub input_hash: Option<PayloadHash>,
    /// SHA-256 of the canonical result.
    pub output_hash: Option<PayloadHash>,
    /// Facts in words; never a secret, never a payload.
    pub meta: BTreeMap<String, String>,
}

/// What can be written down.
pub trait Record {
    /// The event to write for it.
    fn draft(&self) -> Draft;

    /// The request or result to keep beside it, where one is to be kept.
    fn evidence(&self) -> Option<&Document> {
        None
    }
}

/// A value whose event is durable. Only the ledger makes one.
#[derive(Debug)]
pub struct Recorded<T> {
    value: T,
    event: Event,
}

impl<T> Recorded<T> {
    pub(crate) fn new(value: T, event: Event) -> Self {
        Self { value, event }
    }

    /// The event that was written.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The value alone.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> Deref for Recorded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// The bytes of a line before the hashed part: `{"event_hash":"` + 64 digits + `",`.
pub(crate) const HASHED_FROM: usize = 81;

/// What opens a line.
pub(crate) const OPENING: &[u8] = br#"{"event_hash":""#;

/// The hash of a canonical line's event: SHA-256 of `{` and the line from byte 81, because `event_hash` sorts first.
///
/// `line` must be at least [`HASHED_FROM`] bytes long; a shorter one hashes as if it ended there.
pub(crate) fn hash_of_line(line: &[u8]) -> EventHash {
    let mut hasher = Sha256::new();
    hasher.update(b"{");
    hasher.update(line.get(HASHED_FROM..).unwrap_or_default());
    EventHash::from_bytes(hasher.finalize().into())
}

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

/// Writes a JSON string the RFC 8785 way: only quote, backslash and control characters are escaped, the short way where there is one.
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

/// The time of one batch, which is all that shares one sync.
#[derive(Debug, Clone)]
pub(crate) struct Stamp {
    ts: Timestamp,
    ticks: u64,
    drawn: u16,
    noise: [u8; 6],
}

/// Gives each batch its time and each event its name.
///
/// An event's name is a UUID version 7 whose 12 bits after the milliseconds are a finer clock (RFC 9562, section 6.2, method 3),
/// followed by a counter within the batch (method 1): names grow along the ledger even when the clock goes back, and
/// one batch is told from the next, which is how recovery tells a torn write from damage.
#[derive(Debug)]
pub(crate) struct Clock {
    now: fn() -> SystemTime,
    last_ticks: u64,
}

/// The finer clock's ticks in a millisecond: 12 bits.
const TICKS_PER_MS: u64 = 1 << 12;

/// A day that every library of time can write: the clock is held below it, 9999-12-31.
const LAST_MS: u64 = 253_402_300_799_999;

impl Clock {
    pub(crate) fn new(now: fn() -> SystemTime) -> Self {
        Self { now, last_ticks: 0 }
    }

    /// Goes on after `id`, the last name in the ledger.
    pub(crate) fn continue_after(&mut self, id: &EventId) {
        self.last_ticks = self.last_ticks.max(batch_of(id));
    }

    /// The time for a new batch. The time of day is the clock's even when it went back; the ticks in names only grow.
    pub(crate) fn stamp(&mut self) -> std::io::Result<Stamp> {
        let (ms, fine) = self.look();
        self.last_ticks = (ms * TICKS_PER_MS + fine).max(self.last_ticks + 1);
        let mut noise = [0; 6];
        rustix::rand::getrandom(&mut noise, rustix::rand::GetRandomFlags::empty())?;
        Ok(Stamp {
            ts: timestamp(ms)?,
            ticks: self.last_ticks,
            drawn: 0,
            noise,
        })
    }

    /// Gives `stamp` the present time of day; it goes on naming events of the same batch.
    pub(crate) fn refresh(&self, stamp: &mut Stamp) -> std::io::Result<()> {
        stamp.ts = timestamp(self.look().0)?;
        Ok(())
    }

    /// Milliseconds since 1970, and the ticks of the finer clock.
    fn look(&self) -> (u64, u64) {
        let since = (self.now)().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ms = u64::try_from(since.as_millis())
            .unwrap_or(LAST_MS)
            .min(LAST_MS);
        (
            ms,
            u64::from(since.subsec_nanos() % 1_000_000) * TICKS_PER_MS / 1_000_000,
        )
    }
}

fn timestamp(ms: u64) -> std::io::Result<Timestamp> {
    let ms = i64::try_from(ms).map_err(std::io::Error::other)?;
    let time = jiff::Timestamp::from_millisecond(ms).map_err(std::io::Error::other)?;
    Timestamp::parse(&format!("{time:.3}")).map_err(std::io::Error::other)
}

impl Stamp {
    /// The most events that one stamp can name: its counter has 14 bits.
    pub(crate) const MAX_EVENTS: u16 = 1 << 14;

    /// The time of day.
    pub(crate) fn ts(&self) -> &Timestamp {
        &self.ts
    }

    /// Whether no further event can be named.
    pub(crate) fn is_spent(&self) -> bool {
        self.drawn == Self::MAX_EVENTS
    }

    /// Takes back the last name, which no event carries: the names of a batch are counted without gaps.
    pub(crate) fn give_back(&mut self) {
        self.drawn = self.drawn.saturating_sub(1);
    }

    /// The name of the batch's next event; the stamp must not be spent.
    pub(crate) fn next_id(&mut self) -> std::io::Result<EventId> {
        let fine = (self.ticks % TICKS_PER_MS).to_be_bytes();
        let counter = self.drawn.to_be_bytes();
        self.drawn += 1;
        let [a, b, c, d, e, f] = self.noise;
        let tail = [fine[6], fine[7], counter[0], counter[1], a, b, c, d, e, f];
        let uuid =
            uuid::Builder::from_unix_timestamp_millis(self.ticks / TICKS_PER_MS, &tail).into_uuid();
        EventId::parse(&uuid.hyphenated().to_string()).map_err(std::io::Error::other)
    }
}

/// The batch that an event was written in, as its ticks since 1970.
pub(crate) fn batch_of(id: &EventId) -> u64 {
    bits(id, 0..12) * TICKS_PER_MS + bits(id, 13..16)
}

/// The event's place in its batch, from 0.
pub(crate) fn place_in_batch(id: &EventId) -> u16 {
    // The first two bits of these digits are the UUID's variant.
    u16::try_from(bits(id, 16..20) % u64::from(Stamp::MAX_EVENTS)).unwrap_or_default()
}

fn bits(id: &EventId, digits: std::ops::Range<usize>) -> u64 {
    let hex = id.to_string().replace('-', "");
    hex.get(digits)
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .unwrap_or_default()
}
