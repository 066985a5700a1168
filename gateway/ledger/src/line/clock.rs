//! The time of each batch and the name of each event. Names never go back, whatever the clock does.

use std::time::{SystemTime, UNIX_EPOCH};

use plugin_protocol::ids::EventId;
use plugin_protocol::time::{Timestamp, milliseconds};

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

impl Clock {
    pub(crate) fn new(now: fn() -> SystemTime) -> Self {
        Self { now, last_ticks: 0 }
    }

    /// Goes on after `id`, the last name in the ledger.
    pub(crate) fn continue_after(&mut self, id: &EventId) {
        self.last_ticks = self.last_ticks.max(batch_of(id));
    }

    /// The time for a new batch. The time of day is the clock's even when it went back; the ticks in names only grow.
    ///
    /// # Errors
    /// When the clock is beyond what can be written down.
    pub(crate) fn stamp(&mut self) -> std::io::Result<Stamp> {
        let (ms, fine) = self.look()?;
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
        stamp.ts = timestamp(self.look()?.0)?;
        Ok(())
    }

    /// Milliseconds since 1970, and the ticks of the finer clock.
    fn look(&self) -> std::io::Result<(u64, u64)> {
        let now = (self.now)();
        let ms = milliseconds(now).map_err(std::io::Error::other)?;
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let fine = u64::from(since.subsec_nanos() % 1_000_000) * TICKS_PER_MS / 1_000_000;
        Ok((ms, fine))
    }
}

/// The time of one batch. All events of a batch share one sync.
#[derive(Debug, Clone)]
pub(crate) struct Stamp {
    ts: Timestamp,
    ticks: u64,
    drawn: u16,
    noise: [u8; 6],
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

    /// Takes back the last name, which no event carries, because a batch's names are counted without gaps.
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

fn timestamp(ms: u64) -> std::io::Result<Timestamp> {
    let ms = i64::try_from(ms).map_err(std::io::Error::other)?;
    let time = jiff::Timestamp::from_millisecond(ms).map_err(std::io::Error::other)?;
    Timestamp::parse(&format!("{time:.3}")).map_err(std::io::Error::other)
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
