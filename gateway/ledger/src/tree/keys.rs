//! The log's keys as they lie in the state folder. The private half is read for the writer alone.

use super::checkpoint::{LogKey, LogSigner};
use crate::disk::{Layout, read_small};
use crate::error::Error;

/// The log's key pair, for its writer.
pub(crate) fn load_signer(layout: &Layout) -> Result<LogSigner, Error> {
    let path = layout.log_key();
    let signer = LogSigner::from_pem(&read_small(&path)?);
    let signer = signer.map_err(|source| Error::Note { path, source })?;
    // The log's name stands with its public key. Before that is there, the name is made from the key.
    if !layout.log_vkey().exists() {
        return Ok(signer);
    }
    let public = load_key(layout)?;
    let name = public
        .name()
        .filter(|_| public.is_same_key(&signer.public()));
    match name {
        Some(name) => signer.named(name).map_err(|source| Error::Note {
            path: layout.log_vkey(),
            source,
        }),
        None => Ok(signer),
    }
}

/// The log's public key, for its readers.
pub(crate) fn load_key(layout: &Layout) -> Result<LogKey, Error> {
    let path = layout.log_vkey();
    LogKey::parse(&read_small(&path)?).map_err(|source| Error::Note { path, source })
}
