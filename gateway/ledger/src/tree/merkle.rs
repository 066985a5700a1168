//! The RFC 6962 Merkle tree over event lines: leaf and node hashes, growing roots, inclusion proofs. It knows no files.

use sha2::{Digest as _, Sha256};

/// A hash of the tree.
pub(crate) type Hash = [u8; 32];

/// The hash of a leaf: SHA-256 of 0x00 and the line without its newline (RFC 6962, section 2.1).
pub(crate) fn leaf_hash(line: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(line);
    hasher.finalize().into()
}

/// The hash of a node: SHA-256 of 0x01 and both children (RFC 6962, section 2.1).
pub(crate) fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    Sha256::digest(bytes).into()
}

/// The root over the perfect subtrees of a tree, largest first; SHA-256 of nothing for an empty tree.
fn root_of(peaks: &[Hash]) -> Hash {
    let mut peaks = peaks.iter().rev();
    let Some(smallest) = peaks.next() else {
        return Sha256::digest([]).into();
    };
    peaks.fold(*smallest, |right, left| node_hash(left, &right))
}

/// A tree that grows leaf by leaf and can tell its root at any moment; it keeps one hash for each perfect subtree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Growing {
    size: u64,
    /// The roots of the perfect subtrees, largest first: one for each bit that is set in the size.
    peaks: Vec<Hash>,
}

impl Growing {
    /// A tree of `size` leaves from the roots of its perfect subtrees, largest first.
    pub(crate) fn resume(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (peaks.len() == size.count_ones() as usize).then_some(Self { size, peaks })
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    pub(crate) fn root(&self) -> Hash {
        root_of(&self.peaks)
    }
}

/// The perfect subtrees of a tree of `size` leaves, largest first: level (log2 of its leaves) and index at that level.
pub(crate) fn peaks(size: u64) -> impl Iterator<Item = (u32, u64)> {
    (0..u64::BITS)
        .rev()
        .filter(move |level| size >> level & 1 == 1)
        .map(move |level| (level, (size >> level) - 1))
}

/// The nodes that make an inclusion proof for leaf `index` in a tree of `size` leaves, lowest first
/// (RFC 6962, section 2.1.1). Each is the root of the leaves in a range, which need not be perfect at the right edge.
pub(crate) fn path_ranges(index: u64, size: u64) -> Vec<std::ops::Range<u64>> {
    let (mut low, mut high) = (0, size);
    let mut ranges = Vec::new();
    while high - low > 1 {
        let middle = low + largest_power_below(high - low);
        if index < middle {
            ranges.push(middle..high);
            high = middle;
        } else {
            ranges.push(low..middle);
            low = middle;
        }
    }
    ranges.reverse();
    ranges
}

/// The largest power of two smaller than `leaves`, which is at least 2.
fn largest_power_below(leaves: u64) -> u64 {
    1 << (leaves - 1).ilog2()
}

/// The root over the leaves of `range`, which must be a right part of a tree that splits at its start, from perfect subtrees
/// that `node(level, index)` gives.
pub(crate) fn range_root<E>(
    range: &std::ops::Range<u64>,
    node: &mut dyn FnMut(u32, u64) -> Result<Hash, E>,
) -> Result<Hash, E> {
    let (start, size) = (range.start, range.end - range.start);
    let hashes = peaks(size)
        .map(|(level, index)| node(level, (start >> level) + index))
        .collect::<Result<Vec<_>, E>>()?;
    Ok(root_of(&hashes))
}

/// The root that an inclusion proof leads to; none when the proof has the wrong length or the index is outside the tree
/// (RFC 9162, section 2.1.3.2).
pub(crate) fn root_from_path(leaf: Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = leaf;
    for sibling in path {
        if last == 0 {
            return None;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}
