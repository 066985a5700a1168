//! C2SP signed notes with several signatures: dividing one into its text and its signature lines. It checks no signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};

use super::merkle::Hash;
use crate::disk::MAX_NOTE_BYTES;
use crate::error::InvalidNote;

/// What a signature line begins with: an em dash and a space.
pub(crate) const SIGNATURE_MARK: &str = "\u{2014} ";

/// The most signature lines of one note: more witnesses than any policy of use has, and what Go's reader takes.
const MAX_SIGNATURES: usize = 100;

/// A note: what is signed, and who signed it.
#[derive(Debug, Clone)]
pub(crate) struct Note<'a> {
    /// What is signed, with its last newline.
    pub(crate) text: &'a str,
    pub(crate) lines: Vec<NoteLine<'a>>,
}

/// One signature of a note.
#[derive(Debug, Clone)]
pub(crate) struct NoteLine<'a> {
    /// The signer's name.
    pub(crate) name: &'a str,
    pub(crate) key_id: [u8; 4],
    /// What follows the key's id: the signature, and before it whatever its kind puts there.
    pub(crate) signature: Vec<u8>,
    /// The line as it stands, without its newline.
    pub(crate) whole: &'a str,
}

impl<'a> Note<'a> {
    /// Divides a note.
    ///
    /// # Errors
    /// When it has not the form of one.
    pub(crate) fn split(note: &'a str) -> Result<Self, InvalidNote> {
        let form = InvalidNote::Form;
        if note.len() > MAX_NOTE_BYTES {
            return Err(form("it is too long"));
        }
        let at = note.rfind("\n\n").ok_or(form("it has no blank line"))?;
        let (text, rest) = note.split_at(at + 1);
        let rest = rest.get(1..).unwrap_or_default();
        let lines = signature_lines(rest)?;
        if lines.is_empty() {
            return Err(form("it has no signature"));
        }
        Ok(Self { text, lines })
    }
}

/// Reads signature lines, each with its newline.
///
/// # Errors
/// When one of them has not the form of one, or there are too many.
pub(crate) fn signature_lines(text: &str) -> Result<Vec<NoteLine<'_>>, InvalidNote> {
    let form = InvalidNote::Form;
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let lines = text
        .strip_suffix('\n')
        .ok_or(form("it does not end with a newline"))?;
    if lines.split('\n').count() > MAX_SIGNATURES {
        return Err(form("it has too many signatures"));
    }
    lines.split('\n').map(signature_line).collect()
}

fn signature_line(whole: &str) -> Result<NoteLine<'_>, InvalidNote> {
    let wrong = InvalidNote::Form("one of its signature lines is not one");
    let (name, base64) = whole
        .strip_prefix(SIGNATURE_MARK)
        .and_then(|line| line.split_once(' '))
        .filter(|(name, _)| is_name(name))
        .ok_or(wrong.clone())?;
    let bytes = BASE64.decode(base64).map_err(|_| wrong.clone())?;
    let (key_id, signature) = bytes.split_first_chunk::<4>().ok_or(wrong.clone())?;
    if signature.is_empty() {
        return Err(wrong);
    }
    Ok(NoteLine {
        name,
        key_id: *key_id,
        signature: signature.to_vec(),
        whole,
    })
}

/// The id of a key in notes: the first 4 bytes of SHA-256 of name, newline, the kind of signature, and key.
pub(crate) fn key_id(name: &str, kind: u8, key: &[u8; 32]) -> [u8; 4] {
    let mut hasher = Sha256::new();
    hasher.update(name.as_bytes());
    hasher.update([b'\n', kind]);
    hasher.update(key);
    let digest: Hash = hasher.finalize().into();
    let [a, b, c, d, ..] = digest;
    [a, b, c, d]
}

/// A key as C2SP writes it: `name+hash+base64`, where the base64 is that of the kind of signature and the key.
pub(crate) fn write_vkey(name: &str, kind: u8, key: &[u8; 32]) -> String {
    let bytes = [&[kind], key.as_slice()].concat();
    let id = hex(key_id(name, kind, key));
    format!("{name}+{id}+{}", BASE64.encode(bytes))
}

/// The name and the 32 bytes of a verifier key for signatures of this kind; none when it is something else.
pub(crate) fn read_vkey(text: &str, kind: u8) -> Option<(&str, [u8; 32])> {
    // The base64 part may itself hold a plus sign, so only the first two separate the parts.
    let mut parts = text.splitn(3, '+');
    let (name, hash, key) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes = BASE64.decode(key).ok()?;
    let (found, raw) = bytes.split_first()?;
    let raw: [u8; 32] = raw.try_into().ok()?;
    let named = is_name(name) && *found == kind && hash == hex(key_id(name, kind, &raw));
    named.then_some((name, raw))
}

pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('+') && !name.chars().any(char::is_whitespace)
}

pub(crate) fn hex(id: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}
