//! Versions and the npm-style ranges over them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most digits of each number in a version: all such numbers are held exactly by every reader.
const MAX_DIGITS: usize = 15;

/// Why a text is not a version or a range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVersion {
    /// Not `MAJOR.MINOR.PATCH` in digits.
    #[error("'{0}' is not a version: write MAJOR.MINOR.PATCH in digits, for instance 1.0.0")]
    Version(String),
    /// Not a range that npm reads.
    #[error(
        "'{0}' is not a version range: write it like \">=1.0.0 <2.0.0\", \"^1.0.0\" or \"1.x\""
    )]
    Range(String),
}

/// `MAJOR.MINOR.PATCH`, digits only, ordered by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    /// Changes that break.
    pub major: u64,
    /// Changes that add.
    pub minor: u64,
    /// Changes that mend.
    pub patch: u64,
}

/// A range of versions in npm's notation, kept as it was written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Range {
    text: String,
    range: nodejs_semver::Range,
}

impl Version {
    /// Parses `text`.
    ///
    /// # Errors
    /// When it is not three numbers with dots between, without signs or leading zeros.
    pub fn parse(text: &str) -> Result<Self, InvalidVersion> {
        let invalid = || InvalidVersion::Version(text.chars().take(64).collect());
        let number = |part: &str| {
            let plain = (1..=MAX_DIGITS).contains(&part.len())
                && part.bytes().all(|b| b.is_ascii_digit())
                && (part.len() == 1 || !part.starts_with('0'));
            if plain {
                part.parse().map_err(|_| invalid())
            } else {
                Err(invalid())
            }
        };
        let parts: Vec<&str> = text.split('.').collect();
        match parts.as_slice() {
            [major, minor, patch] => Ok(Self {
                major: number(major)?,
                minor: number(minor)?,
                patch: number(patch)?,
            }),
            _ => Err(invalid()),
        }
    }
}

impl Range {
    /// Parses npm's notation; a comma between comparators means "and", as a space does.
    ///
    /// # Errors
    /// When the notation is not npm's, or the text is empty.
    pub fn parse(text: &str) -> Result<Self, InvalidVersion> {
        let invalid = || InvalidVersion::Range(text.chars().take(128).collect());
        if text.trim().is_empty() {
            return Err(invalid());
        }
        let range = nodejs_semver::Range::parse(text.replace(',', " ")).map_err(|_| invalid())?;
        Ok(Self {
            text: text.to_owned(),
            range,
        })
    }

    /// Whether `version` lies in the range.
    #[must_use]
    pub fn contains(&self, version: Version) -> bool {
        self.range.satisfies(&nodejs_semver::Version::from((
            version.major,
            version.minor,
            version.patch,
        )))
    }

    /// The range as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Range {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl TryFrom<String> for Version {
    type Error = InvalidVersion;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

impl TryFrom<String> for Range {
    type Error = InvalidVersion;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Range> for String {
    fn from(range: Range) -> Self {
        range.text
    }
}
