//! Points in time as the wire carries them: RFC 3339 text.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text is not a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not an RFC 3339 time: write it like 2026-01-31T12:00:00.000Z")]
pub struct InvalidTime {
    text: String,
}

/// A point in time as RFC 3339 text, kept as it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(String);

impl Timestamp {
    /// The present, in UTC with milliseconds.
    #[must_use]
    pub fn now() -> Self {
        Self(format!("{:.3}", jiff::Timestamp::now()))
    }

    /// Parses RFC 3339 text (date, time and offset all present).
    ///
    /// # Errors
    /// When `text` is not such a time.
    pub fn parse(text: &str) -> Result<Self, InvalidTime> {
        let invalid = || InvalidTime {
            text: text.chars().take(64).collect(),
        };
        // The time library also reads wider forms (RFC 9557, spaces, short offsets); the shape check keeps to RFC 3339.
        if !is_rfc_3339_shape(text.as_bytes()) {
            return Err(invalid());
        }
        text.parse::<jiff::Timestamp>().map_err(|_| invalid())?;
        Ok(Self(text.to_owned()))
    }

    /// The time as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_rfc_3339_shape(text: &[u8]) -> bool {
    let digits = |range: std::ops::Range<usize>| {
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
            "2026-01-31T12:00:00.123456+02:00",
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
        ] {
            assert!(Timestamp::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn now_has_milliseconds_and_utc() {
        assert_eq!(
            Timestamp::now().as_str().len(),
            "2026-01-31T12:00:00.000Z".len()
        );
    }
}
