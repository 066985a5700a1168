//! The strict one-pass reader of ledger lines: it says whether a line is exactly the canonical form of an
//! event, and where its parts are, without building anything.
//!
//! It gives the same verdict as reading the line as an event and writing that event again (a test holds it to that).

use plugin_protocol::digest::EventHash;
use plugin_protocol::event::EventKind;
use plugin_protocol::ids::{MAX_RUN_ID_CHARS, PLUGIN_ID_CHARS};
use plugin_protocol::time::Timestamp;

use super::hash::OPENING;
use super::text::unescape;

/// Where and how a line is not a canonical event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a canonical event line: at byte {at}, {what}")]
pub(crate) struct Flaw {
    /// The byte in the line.
    pub(crate) at: usize,
    /// What was expected there.
    pub(crate) what: &'static str,
}

/// The parts of a canonical line that the ledger looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scanned<'a> {
    pub(crate) event_hash: EventHash,
    pub(crate) event_id: &'a str,
    pub(crate) kind: EventKind,
    /// The members of `meta` as they stand in the line, without the braces.
    pub(crate) meta: &'a str,
    pub(crate) plugin_id: &'a str,
    pub(crate) prev_hash: Option<EventHash>,
    /// The inside of the JSON string, escapes and all: equal for equal ids, because the form is canonical.
    pub(crate) request_id: &'a str,
    /// The inside of the JSON string, escapes and all.
    pub(crate) run_id: &'a str,
    pub(crate) ts: &'a str,
}

impl<'a> Scanned<'a> {
    /// The value of one `meta` member, for names and values that need no escapes.
    pub(crate) fn meta_value(&self, name: &str) -> Option<&'a str> {
        // A member's name stands at the start or after a comma. Inside a text, a quote there would be escaped, so it cannot match.
        let opening = format!("\"{name}\":\"");
        let begins = |at: usize| at == 0 || self.meta.as_bytes().get(at - 1) == Some(&b',');
        let (at, _) = self
            .meta
            .match_indices(&opening)
            .find(|(at, _)| begins(*at))?;
        let value = self.meta.get(at + opening.len()..)?;
        value.get(..value.find('"')?)
    }
}

/// Reads one line without its newline.
pub(crate) fn scan(line: &[u8]) -> Result<Scanned<'_>, Flaw> {
    let text = std::str::from_utf8(line).map_err(|error| Flaw {
        at: error.valid_up_to(),
        what: "expected UTF-8",
    })?;
    let mut cursor = Cursor {
        text,
        bytes: line,
        at: 0,
    };
    cursor.word(OPENING, r#"expected {"event_hash":""#)?;
    let event_hash = cursor.hash()?;
    cursor.word(br#"","event_id":""#, r#"expected ,"event_id":"#)?;
    let event_id = cursor.uuid()?;
    cursor.word(br#"","input_hash":""#, r#"expected ,"input_hash":"#)?;
    cursor.hash_or_empty()?;
    cursor.word(br#"","kind":""#, r#"expected ,"kind":"#)?;
    let kind = cursor.kind()?;
    cursor.word(br#","meta":{"#, r#"expected ,"meta":{"#)?;
    let meta = cursor.meta()?;
    cursor.word(br#","output_hash":""#, r#"expected ,"output_hash":"#)?;
    cursor.hash_or_empty()?;
    cursor.word(br#"","plugin_id":""#, r#"expected ,"plugin_id":"#)?;
    let plugin_id = cursor.plugin_id()?;
    cursor.word(br#","prev_hash":""#, r#"expected ,"prev_hash":"#)?;
    let prev_hash = cursor.hash_or_empty()?;
    cursor.word(br#"","request_id":""#, r#"expected ,"request_id":"#)?;
    let request_id = cursor.id(0)?;
    cursor.word(br#","run_id":""#, r#"expected ,"run_id":"#)?;
    let run_id = cursor.id(1)?;
    cursor.word(br#","ts":""#, r#"expected ,"ts":"#)?;
    let ts = cursor.time()?;
    cursor.word(br#""}"#, "expected the end of the event")?;
    if cursor.at == line.len() {
        Ok(Scanned {
            event_hash,
            event_id,
            kind,
            meta,
            plugin_id,
            prev_hash,
            request_id,
            run_id,
            ts,
        })
    } else {
        Err(cursor.flaw("expected the end of the line"))
    }
}

struct Cursor<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

/// A JSON string's inside, and its length in characters.
struct Text<'a> {
    inside: &'a str,
    chars: usize,
    escaped: bool,
}

impl<'a> Cursor<'a> {
    fn flaw(&self, what: &'static str) -> Flaw {
        Flaw { at: self.at, what }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn slice(&self, from: usize) -> &'a str {
        self.text.get(from..self.at).unwrap_or_default()
    }

    fn word(&mut self, word: &[u8], what: &'static str) -> Result<(), Flaw> {
        if self
            .bytes
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(word))
        {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.flaw(what))
        }
    }

    fn hash(&mut self) -> Result<EventHash, Flaw> {
        let flaw = self.flaw("expected 64 lower-case hexadecimal digits");
        let digits: &[u8; 64] = self
            .bytes
            .get(self.at..)
            .and_then(|rest| rest.first_chunk())
            .ok_or(flaw)?;
        // Neither a table nor an early exit, so that the compiler vectorises the loop.
        let mut values = [0_u8; 64];
        let mut good = true;
        for (value, digit) in values.iter_mut().zip(digits) {
            let (number, letter) = (digit.wrapping_sub(b'0'), digit.wrapping_sub(b'a'));
            *value = if number < 10 {
                number
            } else {
                letter.wrapping_add(10)
            };
            good &= (number < 10) | (letter < 6);
        }
        if !good {
            return Err(flaw);
        }
        let mut hash = [0; 32];
        let (pairs, _) = values.as_chunks::<2>();
        for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
            *byte = high << 4 | low;
        }
        self.at += 64;
        Ok(EventHash::from_bytes(hash))
    }

    fn hash_or_empty(&mut self) -> Result<Option<EventHash>, Flaw> {
        if self.peek() == Some(b'"') {
            Ok(None)
        } else {
            self.hash().map(Some)
        }
    }

    fn uuid(&mut self) -> Result<&'a str, Flaw> {
        const CHARS: usize = 36;
        let flaw = self.flaw("expected a version 7 UUID in lower case");
        let digits = self.bytes.get(self.at..self.at + CHARS).ok_or(flaw)?;
        let valid = digits.iter().enumerate().all(|(at, &digit)| match at {
            8 | 13 | 18 | 23 => digit == b'-',
            14 => digit == b'7',
            // The variant of RFC 9562, whose first two bits are 10.
            19 => matches!(digit, b'8' | b'9' | b'a' | b'b'),
            _ => NIBBLES[usize::from(digit)] != NO_NIBBLE,
        });
        if !valid {
            return Err(flaw);
        }
        self.at += CHARS;
        Ok(self.slice(self.at - CHARS))
    }

    fn kind(&mut self) -> Result<EventKind, Flaw> {
        const KINDS: [EventKind; 8] = [
            EventKind::Invoke,
            EventKind::Result,
            EventKind::Reject,
            EventKind::Error,
            EventKind::Register,
            EventKind::Enable,
            EventKind::Disable,
            EventKind::ProofExport,
        ];
        let flaw = self.flaw("expected a kind of event");
        let word = self.string()?.inside;
        KINDS
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .ok_or(flaw)
    }

    fn plugin_id(&mut self) -> Result<&'a str, Flaw> {
        let flaw = self.flaw("expected a plugin_id or nothing");
        let id = self.string()?.inside;
        let inner = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-')
        };
        let first = id.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
        let valid = PLUGIN_ID_CHARS.contains(&id.len()) && first && id.bytes().all(inner);
        if id.is_empty() || valid {
            Ok(id)
        } else {
            Err(flaw)
        }
    }

    fn id(&mut self, min_chars: usize) -> Result<&'a str, Flaw> {
        let flaw = self.flaw("expected an id of 1 to 256 characters");
        let text = self.string()?;
        if (min_chars..=MAX_RUN_ID_CHARS).contains(&text.chars) {
            Ok(text.inside)
        } else {
            Err(flaw)
        }
    }

    /// `YYYY-MM-DDTHH:MM:SS.mmmZ`, without its closing quote.
    fn time(&mut self) -> Result<&'a str, Flaw> {
        const SHAPE: &[u8; 24] = b"0000-00-00T00:00:00.000Z";
        let flaw = self.flaw("expected a time in UTC with milliseconds");
        let bytes = self.bytes.get(self.at..self.at + SHAPE.len()).ok_or(flaw)?;
        let shaped = bytes.iter().zip(SHAPE).all(|(byte, shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            _ => byte == shape,
        });
        if !shaped {
            return Err(flaw);
        }
        let two = |at: usize| {
            bytes
                .get(at..at + 2)
                .map_or(99, |pair| (pair[0] - b'0') * 10 + (pair[1] - b'0'))
        };
        self.at += SHAPE.len();
        let text = self.slice(self.at - SHAPE.len());
        // Days 1 to 28, which every month has, need no calendar; the library judges the others.
        let plain = (1..=12).contains(&two(5))
            && (1..=28).contains(&two(8))
            && two(11) < 24
            && two(14) < 60
            && two(17) < 60;
        if plain || Timestamp::parse(text).is_ok() {
            Ok(text)
        } else {
            Err(flaw)
        }
    }

    /// The members of `meta` and its closing brace.
    fn meta(&mut self) -> Result<&'a str, Flaw> {
        let from = self.at;
        let mut before: Option<Text<'a>> = None;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok("");
        }
        loop {
            self.word(b"\"", "expected a member name")?;
            let flaw = self.flaw("expected member names in RFC 8785 order, each once");
            let key = self.string()?;
            if before.is_some_and(|before| !sorted(&before, &key)) {
                return Err(flaw);
            }
            self.word(b":\"", "expected a text value")?;
            self.string()?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    let members = self.slice(from);
                    self.at += 1;
                    return Ok(members);
                }
                _ => return Err(self.flaw("expected , or }")),
            }
            before = Some(key);
        }
    }

    /// A string whose opening quote was read, up to and with its closing quote, in the one form that RFC 8785 allows.
    fn string(&mut self) -> Result<Text<'a>, Flaw> {
        let from = self.at;
        let (mut chars, mut escaped) = (0, false);
        loop {
            // Most strings hold only such characters.
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let plain = rest.iter().take_while(|byte| is_plain(**byte)).count();
            self.at += plain;
            chars += plain;
            let byte = self
                .peek()
                .ok_or(self.flaw("expected the end of a string"))?;
            match byte {
                b'"' => {
                    let inside = self.slice(from);
                    self.at += 1;
                    return Ok(Text {
                        inside,
                        chars,
                        escaped,
                    });
                }
                b'\\' => {
                    self.escape()?;
                    escaped = true;
                    chars += 1;
                }
                0..0x20 => return Err(self.flaw("expected no bare control character")),
                _ => {
                    self.at += 1;
                    // Bytes 10xxxxxx continue a character.
                    chars += usize::from(byte & 0xc0 != 0x80);
                }
            }
        }
    }

    fn escape(&mut self) -> Result<(), Flaw> {
        let flaw = self.flaw("expected the escape that RFC 8785 prescribes");
        let rest = self.bytes.get(self.at + 1..).unwrap_or_default();
        match rest {
            [b'"' | b'\\' | b'b' | b't' | b'n' | b'f' | b'r', ..] => self.at += 2,
            [b'u', b'0', b'0', high @ b'0'..=b'1', low, ..] => {
                let low = NIBBLES[usize::from(*low)];
                let short = *high == b'0' && matches!(low, 0x8 | 0x9 | 0xa | 0xc | 0xd);
                if low == NO_NIBBLE || short {
                    return Err(flaw);
                }
                self.at += 6;
            }
            _ => return Err(flaw),
        }
        Ok(())
    }
}

/// Whether a byte is a whole character that stands for itself.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..0x80) && !matches!(byte, b'"' | b'\\')
}

/// Whether `a` comes before `b` by UTF-16 code units.
fn sorted(a: &Text<'_>, b: &Text<'_>) -> bool {
    let simple = |text: &Text<'_>| !text.escaped && text.chars == text.inside.len();
    if simple(a) && simple(b) {
        return a.inside < b.inside;
    }
    unescape(a.inside)
        .encode_utf16()
        .lt(unescape(b.inside).encode_utf16())
}

/// Marks what is not a hexadecimal digit; no digit's value has this bit.
const NO_NIBBLE: u8 = 0x80;

/// The value of each lower-case hexadecimal digit.
const NIBBLES: [u8; 256] = nibbles();

const fn nibbles() -> [u8; 256] {
    let mut table = [NO_NIBBLE; 256];
    let mut value: u8 = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    table
}
