//! One walk over the bytes for nesting, surrogate escapes and numbers; it judges nothing else.
//!
//! Up to the first mistake in the grammar, this walk sees the same strings, brackets and numbers as the parser, and at that
//! mistake the parser stops. So the parser never reads anything that breaks these rules.

use super::{Error, Integers, MAX_DEPTH, MAX_SAFE_INTEGER, Position};

/// The longest part of a number that a message repeats, in bytes.
const SHOWN_BYTES: usize = 40;

/// Every integer of this many digits is within ±(2^53−1).
const SAFE_DIGITS: usize = 15;

/// From here on RFC 8785 (by ECMAScript's rule) writes doubles with an exponent.
const EXPONENT_FROM: f64 = 1e21;

/// Refuses `text` if it breaks one of the rules.
pub(super) fn check(text: &str, integers: Integers) -> Result<(), Error> {
    let text = text.as_bytes();
    let mut at = 0;
    let mut depth = 0_usize;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => at = after_string(text, at + 1)?,
            b'-' | b'0'..=b'9' => at = after_number(text, at, integers)?,
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Error::TooDeep(Position::of_byte(text, at)));
                }
                at += 1;
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            _ => at += 1,
        }
    }
    Ok(())
}

fn after_string(text: &[u8], mut at: usize) -> Result<usize, Error> {
    loop {
        let rest = text.get(at..).unwrap_or_default();
        match rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
            None => return Ok(text.len()),
            Some(found) if rest[found] == b'"' => return Ok(at + found + 1),
            Some(found) => at = after_escape(text, at + found)?,
        }
    }
}

/// `at` is the backslash. A malformed escape is left to the parser.
fn after_escape(text: &[u8], at: usize) -> Result<usize, Error> {
    const ESCAPE: usize = r"\u0000".len();
    match unicode_escape(text, at) {
        Some(0xD800..=0xDBFF) => match unicode_escape(text, at + ESCAPE) {
            Some(0xDC00..=0xDFFF) => Ok(at + 2 * ESCAPE),
            Some(_) | None => Err(Error::LoneSurrogate(Position::of_byte(text, at))),
        },
        Some(0xDC00..=0xDFFF) => Err(Error::LoneSurrogate(Position::of_byte(text, at))),
        Some(_) => Ok(at + ESCAPE),
        None => Ok(at + 2),
    }
}

fn unicode_escape(text: &[u8], at: usize) -> Option<u32> {
    let digits = text.get(at..at + 6)?.strip_prefix(br"\u")?;
    digits.iter().try_fold(0, |unit, &digit| {
        Some(unit << 4 | char::from(digit).to_digit(16)?)
    })
}

fn after_number(text: &[u8], start: usize, integers: Integers) -> Result<usize, Error> {
    let mut end = start + 1;
    let mut integer = true;
    while let Some(byte) = text.get(end) {
        match byte {
            b'0'..=b'9' => {}
            b'.' | b'e' | b'E' | b'+' | b'-' => integer = false,
            _ => break,
        }
        end += 1;
    }
    let literal = &text[start..end];
    // Most numbers are short integers, for which nothing more is to be checked.
    let fault = match integer {
        true if literal.len() <= SAFE_DIGITS => None,
        true => integer_fault(literal, integers),
        false => fraction_fault(literal),
    };
    match fault {
        None => Ok(end),
        Some(fault) => Err(fault.error(text, start, literal)),
    }
}

enum Fault {
    IntegerTooLarge,
    Overflow,
    Underflow,
}

fn integer_fault(literal: &[u8], integers: Integers) -> Option<Fault> {
    let digits = literal.strip_prefix(b"-").unwrap_or(literal);
    let magnitude = digits.iter().try_fold(0_u64, |sum, digit| {
        sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    });
    match magnitude {
        Some(0..=MAX_SAFE_INTEGER) => None,
        Some(magnitude) if integers == Integers::Wide && fits(magnitude, literal) => None,
        Some(_) | None => Some(Fault::IntegerTooLarge),
    }
}

fn fits(magnitude: u64, literal: &[u8]) -> bool {
    !literal.starts_with(b"-") || magnitude <= i64::MIN.unsigned_abs()
}

/// A literal that is no number is left to the parser.
fn fraction_fault(literal: &[u8]) -> Option<Fault> {
    let double: f64 = std::str::from_utf8(literal).ok()?.parse().ok()?;
    // Every safe integer is held exactly, so the comparison is exact too.
    #[expect(clippy::cast_precision_loss, reason = "2^53 − 1 is held exactly")]
    let safe = MAX_SAFE_INTEGER as f64;
    if double.is_infinite() {
        Some(Fault::Overflow)
    } else if double == 0.0 && has_nonzero_digit(literal) {
        Some(Fault::Underflow)
    } else if double.abs() > safe && double.abs() < EXPONENT_FROM {
        Some(Fault::IntegerTooLarge)
    } else {
        None
    }
}

fn has_nonzero_digit(literal: &[u8]) -> bool {
    literal
        .iter()
        .take_while(|byte| !matches!(byte, b'e' | b'E'))
        .any(|byte| matches!(byte, b'1'..=b'9'))
}

impl Fault {
    fn error(self, text: &[u8], start: usize, literal: &[u8]) -> Error {
        let at = Position::of_byte(text, start);
        let shown = &literal[..literal.len().min(SHOWN_BYTES)];
        let mut shown = String::from_utf8_lossy(shown).into_owned();
        if literal.len() > SHOWN_BYTES {
            shown.push('…');
        }
        let literal = shown;
        match self {
            Self::IntegerTooLarge => Error::IntegerTooLarge { literal, at },
            Self::Overflow => Error::Overflow { literal, at },
            Self::Underflow => Error::Underflow { literal, at },
        }
    }
}
