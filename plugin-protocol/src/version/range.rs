//! Ranges in npm's notation, as spans over versions of digits only.
//!
//! Every comparator is one span from a first version up to, but without, an end. Comparators beside each other intersect,
//! and `||` joins. A pre-release (`1.2.3-beta`) lies just before its release and after every lower version. So, over versions
//! of digits only, it bounds a range as its release does, and no version equals it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{InvalidVersion, Version, number};

/// A range of versions in npm's notation, kept as it was written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Range {
    text: String,
    spans: Vec<Span>,
}

/// The versions from `from` up to, but without, `end`; unbounded where `end` is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    from: Version,
    end: Option<Version>,
}

/// A version whose last parts may be left open (`1`, `1.x`, `1.2`).
#[derive(Debug, Clone, Copy)]
struct Partial {
    major: Option<u64>,
    minor: Option<u64>,
    patch: Option<u64>,
    pre_release: bool,
}

#[derive(Debug, Clone, Copy)]
enum Operator {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Caret,
    Tilde,
}

const ZERO: Version = Version {
    major: 0,
    minor: 0,
    patch: 0,
};

const EVERYTHING: Span = Span {
    from: ZERO,
    end: None,
};

const NOTHING: Span = Span {
    from: ZERO,
    end: Some(ZERO),
};

impl Range {
    /// Parses npm's notation; a comma between comparators means "and", as a space does.
    ///
    /// # Errors
    /// When the notation is not npm's, or the text is blank (which npm takes for any version: write `*`).
    pub fn parse(text: &str) -> Result<Self, InvalidVersion> {
        const SHOWN_CHARS: usize = 128;
        let invalid = || InvalidVersion::Range(text.chars().take(SHOWN_CHARS).collect());
        let spaced = text.replace(',', " ");
        if spaced.trim().is_empty() {
            return Err(invalid());
        }
        let spans: Option<Vec<Span>> = spaced.split("||").map(alternative).collect();
        Ok(Self {
            text: text.to_owned(),
            spans: spans.ok_or_else(invalid)?,
        })
    }

    /// Whether `version` lies in the range.
    #[must_use]
    pub fn contains(&self, version: Version) -> bool {
        self.spans.iter().any(|span| span.contains(version))
    }

    /// The range as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The text between two `||`: a hyphen range, or comparators that must all hold.
fn alternative(text: &str) -> Option<Span> {
    let words: Vec<&str> = text.split_whitespace().collect();
    if let [first, "-", last] = words.as_slice() {
        return Some(hyphen(Partial::parse(first)?, Partial::parse(last)?));
    }
    let mut span = EVERYTHING;
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let (operator, version) = Operator::split(word);
        // The operator may stand apart from its version: `>= 1.0.0`.
        let version = match version {
            "" => words.next()?,
            _ => version,
        };
        span = span.and(operator.span(Partial::parse(version)?));
    }
    Some(span)
}

/// `1.2 - 2.3`: from the first version of the first to the last version of the last.
fn hyphen(first: Partial, last: Partial) -> Span {
    Operator::GreaterOrEqual
        .span(first)
        .and(Operator::LessOrEqual.span(last))
}

impl Operator {
    fn split(word: &str) -> (Self, &str) {
        // Longer signs first, since a shorter one may begin them.
        const SIGNS: [(&str, Operator); 8] = [
            (">=", Operator::GreaterOrEqual),
            ("<=", Operator::LessOrEqual),
            ("~>", Operator::Tilde),
            (">", Operator::Greater),
            ("<", Operator::Less),
            ("=", Operator::Equal),
            ("^", Operator::Caret),
            ("~", Operator::Tilde),
        ];
        SIGNS
            .iter()
            .find_map(|(sign, operator)| Some((*operator, word.strip_prefix(sign)?)))
            .unwrap_or((Self::Equal, word))
    }

    fn span(self, version: Partial) -> Span {
        let from = version.first();
        if version.major.is_none() {
            return match self {
                Self::Less | Self::Greater => NOTHING,
                Self::Equal
                | Self::LessOrEqual
                | Self::GreaterOrEqual
                | Self::Caret
                | Self::Tilde => EVERYTHING,
            };
        }
        let up_to = |end| Span {
            from: ZERO,
            end: Some(end),
        };
        match self {
            Self::Equal if version.pre_release => NOTHING,
            Self::Equal => Span {
                from,
                end: Some(version.after()),
            },
            Self::Less => up_to(from),
            Self::LessOrEqual => up_to(version.after()),
            Self::Greater => Span {
                from: version.after(),
                end: None,
            },
            Self::GreaterOrEqual => Span { from, end: None },
            Self::Caret => Span {
                from,
                end: Some(version.after_caret()),
            },
            Self::Tilde => Span {
                from,
                end: Some(version.after_tilde()),
            },
        }
    }
}

impl Partial {
    /// Parses `1`, `1.2`, `1.2.3`, with `x`, `X` or `*` for an open part; a whole version may carry
    /// a pre-release and build words, and any a `v` before it.
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        if text.contains(['-', '+']) {
            return Self::parse_with_words(text);
        }
        let mut parts = [None; 3];
        let mut open = false;
        for (index, part) in text.split('.').enumerate() {
            let place = parts.get_mut(index)?;
            match part {
                "x" | "X" | "*" => open = true,
                // After an open part no number has a meaning.
                _ if open => return None,
                _ => *place = Some(number(part)?),
            }
        }
        let [major, minor, patch] = parts;
        Some(Self {
            major,
            minor,
            patch,
            pre_release: false,
        })
    }

    fn parse_with_words(text: &str) -> Option<Self> {
        let version = semver::Version::parse(text).ok()?;
        let numbers = text.split(['-', '+']).next()?;
        Some(Self {
            pre_release: !version.pre.is_empty(),
            ..Self::parse(numbers)?
        })
    }

    /// The first version that it stands for.
    fn first(self) -> Version {
        Version {
            major: self.major.unwrap_or(0),
            minor: self.minor.unwrap_or(0),
            patch: self.patch.unwrap_or(0),
        }
    }

    /// The first version after all that it stands for.
    fn after(self) -> Version {
        let Version {
            major,
            minor,
            patch,
        } = self.first();
        match (self.minor, self.patch) {
            (Some(_), Some(_)) if self.pre_release => self.first(),
            (Some(_), Some(_)) => Version {
                major,
                minor,
                patch: patch + 1,
            },
            (Some(_), None) => next_minor(major, minor),
            (None, _) => next_major(major),
        }
    }

    /// The first version that changes the leftmost number that is not zero.
    fn after_caret(self) -> Version {
        let Version {
            major,
            minor,
            patch,
        } = self.first();
        match (major, self.minor, self.patch) {
            (0, Some(0), Some(_)) => Version {
                major,
                minor,
                patch: patch + 1,
            },
            (0, Some(_), _) => next_minor(major, minor),
            (_, _, _) => next_major(major),
        }
    }

    /// The first version that changes the minor number, or the major one where no minor one is given.
    fn after_tilde(self) -> Version {
        let Version { major, minor, .. } = self.first();
        match self.minor {
            Some(_) => next_minor(major, minor),
            None => next_major(major),
        }
    }
}

// The numbers have at most 15 digits, so that adding one never overflows.

fn next_minor(major: u64, minor: u64) -> Version {
    Version {
        major,
        minor: minor + 1,
        patch: 0,
    }
}

fn next_major(major: u64) -> Version {
    Version {
        major: major + 1,
        minor: 0,
        patch: 0,
    }
}

impl Span {
    fn contains(self, version: Version) -> bool {
        self.from <= version && self.end.is_none_or(|end| version < end)
    }

    fn and(self, other: Self) -> Self {
        let ends = [self.end, other.end];
        Self {
            from: self.from.max(other.from),
            end: ends.into_iter().flatten().min(),
        }
    }
}

impl PartialEq for Range {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Range {}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
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
