//! Identifiers as newtypes: each is made only by parsing and so is always well formed.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use uuid::{Uuid, Variant, Version};

use crate::time;

/// The longest `run_id` and `request_id`, in characters (contract, section 6).
pub const MAX_RUN_ID_CHARS: usize = 256;

/// The shortest and longest `plugin_id`, in characters (contract, section 4).
pub const PLUGIN_ID_CHARS: std::ops::RangeInclusive<usize> = 3..=64;

/// Why a text is not the identifier that it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} '{text}' is not valid: {rule}")]
pub struct InvalidId {
    /// The kind of identifier, for instance `plugin_id`.
    pub what: &'static str,
    /// The text that was refused, cut to a printable length.
    pub text: String,
    /// The rule in words, which also says how to correct the text.
    pub rule: &'static str,
}

impl InvalidId {
    fn new(what: &'static str, text: &str, rule: &'static str) -> Self {
        const SHOWN_CHARS: usize = 80;
        Self {
            what,
            text: text.chars().take(SHOWN_CHARS).collect(),
            rule,
        }
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Parses `text`.
            ///
            /// # Errors
            /// When `text` breaks the rule of this identifier, with the rule in words.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.to_owned())) } else { Err(InvalidId::new($what, text, $rule)) }
            }

            /// The identifier as it is written on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

text_id!(
    /// The name of a plugin: `^[a-z0-9][a-z0-9._-]{2,63}$`.
    PluginId, "plugin_id",
    "use 3 to 64 characters of a-z, 0-9, '.', '_' and '-', the first a letter or a digit, for instance p.text.hello",
    is_plugin_id
);

text_id!(
    /// The name of a host's run: 1 to 256 characters.
    RunId, "run_id", "use 1 to 256 characters", is_run_text
);

text_id!(
    /// The name of one request: 1 to 256 characters.
    RequestId, "request_id", "use 1 to 256 characters", is_run_text
);

fn is_plugin_id(text: &str) -> bool {
    let inner =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    PLUGIN_ID_CHARS.contains(&text.len())
        && text.bytes().all(inner)
        && text
            .as_bytes()
            .first()
            .is_some_and(u8::is_ascii_alphanumeric)
}

fn is_run_text(text: &str) -> bool {
    (1..=MAX_RUN_ID_CHARS).contains(&text.chars().count())
}

impl RunId {
    /// The gateway's own run, which carries registry events and is refused from hosts.
    #[must_use]
    pub fn system() -> Self {
        Self(SYSTEM_RUN.to_owned())
    }

    /// Whether this is the gateway's own run.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.0 == SYSTEM_RUN
    }
}

const SYSTEM_RUN: &str = "system";

/// The name of a ledger event: a UUID version 7 (RFC 9562), which grows with time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventId(Uuid);

impl EventId {
    /// Makes a new identifier from the clock and fresh randomness. Where the clock's time cannot be written down, the nearest one that can is used.
    #[must_use]
    pub fn now() -> Self {
        let clock = SystemTime::now();
        match time::milliseconds(clock) {
            Ok(_) => Self(Uuid::now_v7()),
            Err(_) => Self::at(time::nearest_ms(clock)),
        }
    }

    fn at(ms: u64) -> Self {
        let seconds = ms / 1000;
        let nanos = u32::try_from(ms % 1000 * 1_000_000).unwrap_or_default();
        let time = uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos);
        Self(Uuid::new_v7(time))
    }

    /// Parses the hyphenated lower-case form of a version 7 UUID.
    ///
    /// # Errors
    /// When `text` is anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        const RULE: &str = "use a version 7 UUID in its lower-case form with hyphens";
        match Uuid::try_parse(text) {
            Ok(uuid) if is_version_7(&uuid) && uuid.to_string() == text => Ok(Self(uuid)),
            Ok(_) | Err(_) => Err(InvalidId::new("event_id", text, RULE)),
        }
    }
}

fn is_version_7(uuid: &Uuid) -> bool {
    uuid.get_variant() == Variant::RFC4122 && uuid.get_version() == Some(Version::SortRand)
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for EventId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<EventId> for String {
    fn from(id: EventId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugin_ids_follow_the_contract_pattern() {
        for good in ["abc", "p.text.hello", "0ab", &"a".repeat(64)] {
            assert!(PluginId::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "ab",
            ".ab",
            "Abc",
            "a b",
            "é12",
            &"a".repeat(65),
            "abc\n",
        ] {
            assert!(PluginId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn run_ids_are_counted_in_characters() {
        assert!(RunId::parse(&"é".repeat(256)).is_ok());
        assert!(RunId::parse(&"é".repeat(257)).is_err());
        assert!(RunId::parse("").is_err());
        assert!(RunId::system().is_system());
    }

    #[test]
    fn event_ids_are_version_seven_only() {
        for ms in [0, 253_402_207_200_999] {
            let id = EventId::at(ms);
            assert_eq!(EventId::parse(&id.to_string()), Ok(id));
        }
        let id = EventId::now();
        assert_eq!(EventId::parse(&id.to_string()), Ok(id));
        assert!(EventId::parse("936da01f-9abd-4d9d-80c7-02af85c822a8").is_err());
        assert!(EventId::parse(&id.to_string().to_uppercase()).is_err());
    }
}
