//! What vouches for the lines: the Merkle tree, its tiles, signed checkpoints, the anchor. It never reads a line from the disk.

mod anchor;
mod checkpoint;
mod claims;
mod keys;
pub(crate) mod merkle;
mod notes;
mod tiles;

pub(crate) use anchor::Anchor;
pub(crate) use checkpoint::LogSigner;
pub use checkpoint::{Checkpoint, LogKey};
pub(crate) use claims::{Agreement, Claims};
pub(crate) use keys::{load_key, load_signer};
pub(crate) use merkle::{Growing, Hash, leaf_hash, root_from_path};
pub use notes::newest_checkpoint;
pub(crate) use notes::note_path;
pub(crate) use tiles::{TileReader, Tiles, edge_peaks};
