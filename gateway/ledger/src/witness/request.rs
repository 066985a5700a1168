//! The request `add-checkpoint` of C2SP `tlog-witness`, as text. It checks its form and no signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::disk::MAX_NOTE_BYTES;
use crate::tree::Hash;

/// The most hashes of a consistency proof (`tlog-witness`): a tree of 2^63 leaves has no longer one.
const MAX_PROOF: usize = 63;

/// A checkpoint for a witness, with the proof that it goes on from what the witness has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    /// How many events the witness has seen.
    pub(super) old: u64,
    pub(super) proof: Vec<Hash>,
    /// The signed checkpoint.
    pub(super) note: String,
}

impl Request {
    pub(super) fn write(&self) -> String {
        let proof = self
            .proof
            .iter()
            .map(|hash| format!("{}\n", BASE64.encode(hash)));
        let proof: String = proof.collect();
        format!("old {}\n{proof}\n{}", self.old, self.note)
    }

    /// Reads one; none where it has not exactly that form.
    pub(super) fn read(text: &str) -> Option<Self> {
        if text.len() > MAX_NOTE_BYTES {
            return None;
        }
        let (head, note) = text.split_once("\n\n")?;
        let mut lines = head.split('\n');
        let size = lines.next()?.strip_prefix("old ")?;
        let old = size
            .parse()
            .ok()
            .filter(|old: &u64| old.to_string() == size)?;
        let proof = lines
            .map(|line| BASE64.decode(line).ok()?.try_into().ok())
            .collect::<Option<Vec<Hash>>>()?;
        (proof.len() <= MAX_PROOF).then(|| Self {
            old,
            proof,
            note: note.to_owned(),
        })
    }
}
