//! Consistency proofs (RFC 6962, section 2.1.2): that a tree is the beginning of a larger one. It knows no files.

use std::ops::Range;

use super::merkle::{Hash, node_hash};

/// The nodes that make the proof that the tree of `old` leaves is the beginning of the one of `size`, lowest first. Each is the root of the
/// leaves in a range. None are needed where `old` is 0, is `size`, or is larger.
pub(crate) fn consistency_ranges(old: u64, size: u64) -> Vec<Range<u64>> {
    let mut ranges = Vec::new();
    if old == 0 || old >= size {
        return ranges;
    }
    let (mut low, mut high) = (0, size);
    // Whether the part in hand began as the old tree itself, whose root the verifier has.
    let mut is_whole = true;
    while old != high {
        let middle = low + (1 << (high - low - 1).ilog2());
        if old <= middle {
            ranges.push(middle..high);
            high = middle;
        } else {
            ranges.push(low..middle);
            low = middle;
            is_whole = false;
        }
    }
    if !is_whole {
        ranges.push(low..high);
    }
    ranges.reverse();
    ranges
}

/// Whether `proof` shows that the tree of `old` leaves with the root `old_root` is the beginning of the one of `size` leaves with `root`
/// (RFC 9162, section 2.1.4.2). The empty tree is the beginning of every tree, and needs no proof.
#[must_use]
pub fn is_consistent(
    (old, old_root): (u64, &[u8; 32]),
    (size, root): (u64, &[u8; 32]),
    proof: &[[u8; 32]],
) -> bool {
    if old == 0 || old == size {
        return proof.is_empty() && (old == 0 || old_root == root);
    }
    if old > size {
        return false;
    }
    let mut proof = proof.iter();
    // A perfect tree's root is the first node of the path, which the proof leaves out.
    let first = match old.is_power_of_two() {
        true => Some(old_root),
        false => proof.next(),
    };
    let Some(first) = first else { return false };
    climb((old - 1, size - 1), first, proof)
        .is_some_and(|(first, second)| first == *old_root && second == *root)
}

/// The roots of the two trees that the path leads to; none when it is too short or too long.
fn climb<'a>(
    (mut node, mut last): (u64, u64),
    seed: &Hash,
    path: impl Iterator<Item = &'a Hash>,
) -> Option<(Hash, Hash)> {
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut first, mut second) = (*seed, *seed);
    for sibling in path {
        if last == 0 {
            return None;
        }
        if node & 1 == 1 || node == last {
            first = node_hash(sibling, &first);
            second = node_hash(sibling, &second);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            second = node_hash(&second, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    (last == 0).then_some((first, second))
}
