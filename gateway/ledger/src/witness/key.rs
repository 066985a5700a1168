//! A new key for a witness.

use std::path::Path;

use crate::error::Error;
use crate::tree::{Cosigner, LogSigner};

/// Makes the key pair of a witness called `name`, and its private half as PKCS#8 PEM. Two witnesses never share a key.
///
/// # Errors
/// When the name cannot be one, or the system gives no randomness.
pub fn new_cosigner(name: &str) -> Result<(Cosigner, String), Error> {
    let signer = LogSigner::generate().map_err(Error::io("make a key for", Path::new(name)))?;
    let pem = signer.private_pem();
    let cosigner = signer.into_cosigner(name).map_err(|source| Error::Note {
        path: name.into(),
        source,
    })?;
    Ok((cosigner, pem))
}
