//! What vouches for the lines: the Merkle tree, its tiles, signed checkpoints, the anchor. It never reads a line from the disk.

mod anchor;
mod checkpoint;
mod claims;
mod consistency;
mod cosign;
mod keys;
pub(crate) mod merkle;
mod note;
mod notes;
mod policy;
mod site;
mod tiles;

pub(crate) use anchor::Anchor;
pub(crate) use checkpoint::LogSigner;
pub use checkpoint::{Checkpoint, LogKey};
pub(crate) use claims::{Agreement, Claims};
pub use consistency::is_consistent;
pub use cosign::{Cosigner, WitnessKey};
pub(crate) use keys::{load_key, load_signer};
pub(crate) use merkle::{Growing, Hash, leaf_hash, root_from_path};
pub(crate) use note::{Note, signature_lines};
pub use notes::newest_checkpoint;
pub(crate) use notes::note_path;
pub(crate) use policy::PolicyWitness;
pub use policy::{Cosigned, Policy};
pub(crate) use site::SiteTiles;
pub(crate) use tiles::{TileReader, Tiles, edge_peaks, tile_name};

#[cfg(test)]
pub(crate) use consistency::consistency_ranges as consistency_ranges_of;
#[cfg(test)]
pub(crate) use cosign::renamed_vkey;
