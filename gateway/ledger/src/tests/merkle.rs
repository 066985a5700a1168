//! The tree, held against the RFC's definition, known answers and the crate `ct-merkle`.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{InclusionProof, RootHash};
use sha2::Sha256;

use crate::tree::merkle::{
    Growing, Hash, leaf_hash, node_hash, path_ranges, range_root, root_from_path,
};

fn leaves(count: u64) -> Vec<Vec<u8>> {
    (0..count)
        .map(|leaf| format!("leaf {leaf}").into_bytes())
        .collect()
}

/// RFC 6962, section 2.1, word for word.
fn mth(leaves: &[Vec<u8>]) -> Hash {
    match leaves {
        [] => sha2::Digest::finalize(<Sha256 as sha2::Digest>::new()).into(),
        [leaf] => leaf_hash(leaf),
        _ => {
            let k = leaves.len().next_power_of_two() / 2;
            node_hash(&mth(&leaves[..k]), &mth(&leaves[k..]))
        }
    }
}

fn hex(hash: Hash) -> String {
    plugin_protocol::digest::FileHash::from_bytes(hash).to_string()
}

#[test]
fn known_answers_of_certificate_transparency_hold() {
    // The roots of the RFC's reference implementation for its eight test leaves.
    let data: [&[u8]; 8] = [
        b"",
        b"\0",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let mut tree = Growing::default();
    assert_eq!(
        hex(tree.root()),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    data.iter().for_each(|leaf| tree.push(leaf_hash(leaf)));
    assert_eq!(
        hex(tree.root()),
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    );
}

#[test]
fn roots_follow_the_rfc_at_every_size() {
    let leaves = leaves(300);
    let mut tree = Growing::default();
    for size in 0..=leaves.len() {
        assert_eq!(tree.root(), mth(&leaves[..size]), "{size}");
        if let Some(leaf) = leaves.get(size) {
            tree.push(leaf_hash(leaf));
        }
    }
}

#[test]
fn every_inclusion_proof_is_what_ct_merkle_makes_and_accepts() {
    for size in [1, 2, 3, 7, 8, 9, 31, 64, 65, 100] {
        let leaves = leaves(size);
        let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        leaves.iter().for_each(|leaf| theirs.push(leaf.clone()));
        let root = mth(&leaves);
        assert_eq!(theirs.root().as_bytes()[..], root);
        let at = |index: u64| usize::try_from(index).unwrap();
        for index in 0..size {
            let node = |level: u32, index: u64| {
                Ok::<_, ()>(mth(&leaves[at(index << level)..at((index + 1) << level)]))
            };
            let path: Vec<Hash> = path_ranges(index, size)
                .iter()
                .map(|range| range_root(range, &mut { node }).unwrap())
                .collect();
            assert_eq!(path.concat(), theirs.prove_inclusion(at(index)).as_bytes());
            let proof = InclusionProof::<Sha256>::try_from_bytes(path.concat()).unwrap();
            RootHash::<Sha256>::new(root.into(), size)
                .verify_inclusion(&leaves[at(index)], index, &proof)
                .unwrap();
            assert_eq!(
                root_from_path(leaf_hash(&leaves[at(index)]), index, size, &path),
                Some(root)
            );
        }
    }
}

#[test]
fn a_changed_proof_leads_elsewhere_or_nowhere() {
    let (size, index) = (100, 37);
    let leaves = leaves(size);
    let at = |index: u64| usize::try_from(index).unwrap();
    let node = |level: u32, index: u64| {
        Ok::<_, ()>(mth(&leaves[at(index << level)..at((index + 1) << level)]))
    };
    let path: Vec<Hash> = path_ranges(index, size)
        .iter()
        .map(|range| range_root(range, &mut { node }).unwrap())
        .collect();
    let (leaf, root) = (leaf_hash(&leaves[37]), mth(&leaves));
    for step in 0..path.len() {
        let mut changed = path.clone();
        changed[step][5] ^= 1;
        assert_ne!(root_from_path(leaf, index, size, &changed), Some(root));
        changed = path.clone();
        changed.remove(step);
        assert_ne!(root_from_path(leaf, index, size, &changed), Some(root));
        changed = path.clone();
        changed.insert(step, [7; 32]);
        assert_ne!(root_from_path(leaf, index, size, &changed), Some(root));
    }
    assert_ne!(root_from_path(leaf, index + 1, size, &path), Some(root));
    assert_eq!(root_from_path(leaf, size, size, &path), None);
}
