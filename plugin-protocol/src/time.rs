//! Points in time as the wire carries them: RFC 3339 text.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

/// Why a text is not a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not an RFC 3339 time: write it like 2026-01-31T12:00:00.000Z")]
pub struct InvalidTime {
    text: String,
}

/// Why a clock's time cannot be written down.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the clock of this machine is {seconds} seconds {side} 1970, and times from 1970-01-01 to 9999-12-30 can be written down: set the clock and try again"
)]
pub struct ClockUnusable {
    seconds: u64,
    side: &'static str,
}

/// The last time that can be written down, in milliseconds since 1970: 9999-12-30T22:00:00.999Z. It is the last that the time library
/// accepts, because with every UTC offset it is still in the year 9999.
const LAST_MS: u64 = 253_402_207_200_999;

/// A clock's time in milliseconds since 1970.
///
/// # Errors
/// When it is before 1970 or at the end of the year 9999: the machine's clock is wrong, as after an empty battery.
pub fn milliseconds(clock: SystemTime) -> Result<u64, ClockUnusable> {
    let unusable = |time: Duration, side| ClockUnusable {
        seconds: time.as_secs(),
        side,
    };
    let since = clock
        .duration_since(UNIX_EPOCH)
        .map_err(|error| unusable(error.duration(), "before"))?;
    u64::try_from(since.as_millis())
        .ok()
        .filter(|ms| *ms <= LAST_MS)
        .ok_or_else(|| unusable(since, "after"))
}

/// A point in time as RFC 3339 text, kept as it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(String);

impl Timestamp {
    /// The present time, in UTC with milliseconds. Where the clock's time cannot be written down ([`milliseconds`]), the nearest time that can.
    #[must_use]
    pub fn now() -> Self {
        Self::of(SystemTime::now())
    }

    fn of(clock: SystemTime) -> Self {
        let ms = milliseconds(clock).unwrap_or_else(|_| nearest_ms(clock));
        let time = i64::try_from(ms).map(jiff::Timestamp::from_millisecond);
        let time = time.ok().and_then(Result::ok);
        Self(format!("{:.3}", time.unwrap_or(jiff::Timestamp::MAX)))
    }

    /// Parses RFC 3339 text (date, time and offset all present).
    ///
    /// # Errors
    /// When `text` is not such a time.
    pub fn parse(text: &str) -> Result<Self, InvalidTime> {
        // The time library reads wider forms (RFC 9557, spaces, short offsets) and fewer leap
        // seconds and fractions, so it is asked for the calendar only.
        if is_rfc_3339_shape(text.as_bytes()) && Fields::of(text).is_some_and(|f| f.exist()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidTime {
                text: text.chars().take(64).collect(),
            })
        }
    }

    /// The time as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The nearest time that can be written down, in milliseconds since 1970, for a clock whose own time cannot.
pub(crate) fn nearest_ms(clock: SystemTime) -> u64 {
    if clock < UNIX_EPOCH { 0 } else { LAST_MS }
}

/// Reads a time that is written in UTC with milliseconds, as the ledger writes it.
///
/// # Errors
/// When the text is not such a time.
pub fn utc_milliseconds<'de, D: Deserializer<'de>>(input: D) -> Result<Timestamp, D::Error> {
    const SHAPE: &str = "0000-00-00T00:00:00.000Z";
    let time = Timestamp::deserialize(input)?;
    let text = time.as_str();
    let marks_agree = text
        .bytes()
        .zip(SHAPE.bytes())
        .all(|(byte, mark)| byte == mark || mark == b'0');
    if text.len() == SHAPE.len() && marks_agree {
        Ok(time)
    } else {
        Err(D::Error::custom(format_args!(
            "'{text}' is not in UTC with milliseconds: write it like 2026-01-31T12:00:00.000Z"
        )))
    }
}

/// The numbers of a text whose shape is known.
struct Fields {
    year: i16,
    month: i8,
    day: i8,
    hour: i16,
    minute: i16,
    second: i16,
    offset_hour: i16,
    offset_minute: i16,
    west: bool,
}

impl Fields {
    fn of(text: &str) -> Option<Self> {
        let (west, offset_hour, offset_minute) = if text.ends_with(['Z', 'z']) {
            (false, 0, 0)
        } else {
            let offset = text.get(text.len().checked_sub(6)?..)?;
            (
                offset.starts_with('-'),
                number(offset, 1..3)?,
                number(offset, 4..6)?,
            )
        };
        Some(Self {
            year: number(text, 0..4)?,
            month: number(text, 5..7)?,
            day: number(text, 8..10)?,
            hour: number(text, 11..13)?,
            minute: number(text, 14..16)?,
            second: number(text, 17..19)?,
            offset_hour,
            offset_minute,
            west,
        })
    }

    /// Whether there is such a time; a leap second only where UTC can have one (RFC 3339, section 5.7).
    fn exist(&self) -> bool {
        const MINUTES_OF_DAY: i16 = 24 * 60;
        let offset = self.offset_hour * 60 + self.offset_minute;
        let local = self.hour * 60 + self.minute;
        let utc = if self.west {
            local + offset
        } else {
            local - offset
        };
        jiff::civil::Date::new(self.year, self.month, self.day).is_ok()
            && self.hour < 24
            && self.minute < 60
            && self.offset_hour < 24
            && self.offset_minute < 60
            && (self.second < 60
                || self.second == 60 && utc.rem_euclid(MINUTES_OF_DAY) == MINUTES_OF_DAY - 1)
    }
}

fn number<T: FromStr>(text: &str, range: Range<usize>) -> Option<T> {
    text.get(range)?.parse().ok()
}

fn is_rfc_3339_shape(text: &[u8]) -> bool {
    let digits = |range: Range<usize>| {
        text.get(range)
            .is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    let is = |at: usize, allowed: &[u8]| text.get(at).is_some_and(|byte| allowed.contains(byte));
    let date_and_time = digits(0..4)
        && is(4, b"-")
        && digits(5..7)
        && is(7, b"-")
        && digits(8..10)
        && is(10, b"Tt")
        && digits(11..13)
        && is(13, b":")
        && digits(14..16)
        && is(16, b":")
        && digits(17..19);
    let mut at = 19;
    if is(at, b".") {
        let fraction = text
            .iter()
            .skip(at + 1)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if fraction == 0 {
            return false;
        }
        at += 1 + fraction;
    }
    let utc = is(at, b"Zz") && text.len() == at + 1;
    let offset = is(at, b"+-")
        && digits(at + 1..at + 3)
        && is(at + 3, b":")
        && digits(at + 4..at + 6)
        && text.len() == at + 6;
    date_and_time && (utc || offset)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Timestamp {
    type Error = InvalidTime;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> Self {
        time.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rfc_3339_is_a_time() {
        for good in [
            "2026-01-31T12:00:00Z",
            "2026-01-31t12:00:00.123456+02:00",
            "2024-02-29T00:00:00.1234567890123-00:00",
            "2016-12-31T23:59:60Z",
            "2017-01-01T01:29:60+01:30",
            "2016-12-31T00:29:60-23:30",
            "0000-01-01T00:00:00Z",
            "9999-12-31T23:59:59-23:59",
            Timestamp::now().as_str(),
        ] {
            assert!(Timestamp::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "2026-01-31",
            "2026-01-31 12:00:00Z",
            "2026-02-30T12:00:00Z",
            "2026-01-31T12:00:00",
            "2026-01-31T12:00:00.Z",
            "2026-01-31T12:00:00Z[UTC]",
            "20260131T120000Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:60:00Z",
            "2026-01-31T12:00:60Z",
            "2016-12-31T23:59:61Z",
            "2016-12-31T23:59:60+01:00",
            "2026-01-31T12:00:00+24:00",
            "2026-01-31T12:00:00+00:60",
            "2026-01-31T12:00:00+0000",
            "2026-13-01T12:00:00Z",
            "2025-02-29T12:00:00Z",
            "2026-01-31T12:00:00Z\n",
            "+026-01-31T12:00:00Z",
        ] {
            assert!(Timestamp::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_clock_beyond_what_can_be_written_is_said_and_no_panic() {
        let after = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let before = UNIX_EPOCH - Duration::from_secs(100);
        assert_eq!(milliseconds(UNIX_EPOCH), Ok(0));
        assert_eq!(milliseconds(after(253_402_207_200)), Ok(LAST_MS - 999));
        let words = milliseconds(before).unwrap_err().to_string();
        assert!(words.contains("100 seconds before 1970"), "{words}");
        for seconds in [253_402_207_201, 253_402_300_799, 253_402_300_800, 1 << 62] {
            let words = milliseconds(after(seconds)).unwrap_err().to_string();
            assert!(
                words.contains(&format!("{seconds} seconds after 1970")),
                "{words}"
            );
            assert_eq!(
                Timestamp::of(after(seconds)).as_str(),
                "9999-12-30T22:00:00.999Z"
            );
        }
        assert_eq!(Timestamp::of(before).as_str(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::of(after(1)).as_str(), "1970-01-01T00:00:01.000Z");
    }

    #[test]
    fn now_has_milliseconds_and_utc() {
        assert_eq!(
            Timestamp::now().as_str().len(),
            "2026-01-31T12:00:00.000Z".len()
        );
    }
}
