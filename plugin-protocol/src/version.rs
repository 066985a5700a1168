//! Versions, npm-style ranges over them, and which plugins fit which gateway.

mod range;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use range::Range;

/// The most digits of each number in a version: every JSON reader holds such a number exactly.
const MAX_DIGITS: usize = 15;

/// The largest number of [`MAX_DIGITS`] digits.
const MAX_NUMBER: u64 = 999_999_999_999_999;

/// Why a text is not a version or a range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVersion {
    /// Not `MAJOR.MINOR.PATCH` in digits.
    #[error("'{0}' is not a version: write MAJOR.MINOR.PATCH in digits, for instance 1.0.0")]
    Version(String),
    /// Not a range in npm's notation.
    #[error(
        "'{0}' is not a version range: write it like \">=1.0.0 <2.0.0\", \"^1.0.0\" or \"1.x\""
    )]
    Range(String),
}

/// `MAJOR.MINOR.PATCH`, digits only, ordered by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    /// Incompatible changes.
    pub major: u64,
    /// Additions.
    pub minor: u64,
    /// Fixes.
    pub patch: u64,
}

/// Why a plugin does not fit this gateway (contract, section 1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Incompatible {
    /// Versions before 1.0.0 promise nothing.
    #[error(
        "api_version {api} has major version 0, which promises nothing: write the plugin for {gateway}"
    )]
    Unstable {
        /// The plugin's `api_version`.
        api: Version,
        /// The gateway's.
        gateway: Version,
    },
    /// Another major version.
    #[error("api_version {api} does not have the major version of this gateway, {gateway}: use a plugin written for {}.x", gateway.major)]
    Major {
        /// The plugin's `api_version`.
        api: Version,
        /// The gateway's.
        gateway: Version,
    },
    /// The plugin's author excluded this gateway.
    #[error(
        "supported_omega_api_versions '{range}' does not contain this gateway's version {gateway}: use a version of the plugin that supports it"
    )]
    Range {
        /// The plugin's range, as it was written.
        range: String,
        /// The gateway's version.
        gateway: Version,
    },
}

/// Whether a plugin for `api` that supports `range` fits a gateway of version `gateway`
/// (contract, section 1): the same major version, at least 1, and a range that contains the gateway.
///
/// # Errors
/// When it does not, with the first reason.
pub fn compatible(api: Version, range: &Range, gateway: Version) -> Result<(), Incompatible> {
    if api.major == 0 {
        Err(Incompatible::Unstable { api, gateway })
    } else if api.major != gateway.major {
        Err(Incompatible::Major { api, gateway })
    } else if range.contains(gateway) {
        Ok(())
    } else {
        let range = range.as_str().to_owned();
        Err(Incompatible::Range { range, gateway })
    }
}

impl Version {
    /// The version of the plugin API that this code speaks, [`crate::OMEGA_PLUGIN_API_VERSION`].
    pub const OMEGA_PLUGIN_API: Self = Self {
        major: 1,
        minor: 0,
        patch: 0,
    };

    /// Parses `text`.
    ///
    /// # Errors
    /// When it is not three numbers with dots between, without signs or leading zeros.
    pub fn parse(text: &str) -> Result<Self, InvalidVersion> {
        let invalid = || InvalidVersion::Version(text.chars().take(64).collect());
        let read = semver::Version::parse(text).map_err(|_| invalid())?;
        let numbers = [read.major, read.minor, read.patch];
        let plain = read.pre.is_empty() && read.build.is_empty();
        if plain && numbers.iter().all(|number| *number <= MAX_NUMBER) {
            let [major, minor, patch] = numbers;
            Ok(Self {
                major,
                minor,
                patch,
            })
        } else {
            Err(invalid())
        }
    }
}

/// A number without sign or leading zeros, of at most [`MAX_DIGITS`] digits.
fn number(part: &str) -> Option<u64> {
    let plain = (1..=MAX_DIGITS).contains(&part.len())
        && part.bytes().all(|byte| byte.is_ascii_digit())
        && (part.len() == 1 || !part.starts_with('0'));
    if plain { part.parse().ok() } else { None }
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
