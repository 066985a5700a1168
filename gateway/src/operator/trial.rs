//! An author's one-shot: a package is signed with a passing key and called in a throw-away state, on the very same path as any call.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::api::{Gateway, Registration};
use crate::error::Error;
use crate::ledger::{self, Recorded};
use crate::registry::{self, Package, SigningKey};
use crate::router::Outcome;

/// What came of it.
#[derive(Debug)]
pub(crate) enum Trial {
    /// The package cannot be registered, whoever signs it.
    Refused { reason: String },
    /// It ran.
    Ran(Box<Recorded<Outcome>>),
}

/// Runs the package at `folder` once on `request`.
pub(crate) fn trial(folder: &Path, request: &Value) -> Result<Trial, Error> {
    // Declared before the gateway, and so removed after it has let the state go.
    let state = PassingState::new()?;
    ledger::init(state.0.path())?;
    let gateway = Gateway::open(state.0.path())?;
    let key = SigningKey::generate()?;
    gateway.trust_add(&key.public(), "this run only")?;
    let signature = key.sign(Package::read(folder)?.digest()).to_file_bytes();
    let (info, rejection) = gateway.register(Registration {
        package: folder,
        signature: Some(&signature),
        replace: false,
    })?;
    if let Some(rejection) = rejection {
        return Ok(Trial::Refused {
            reason: rejection.reason,
        });
    }
    gateway.enable_plugin(&info.plugin_id)?;
    Ok(Trial::Ran(Box::new(gateway.invoke(
        info.plugin_id.as_str(),
        request,
        None,
    )?)))
}

/// A state that is gone when this is dropped, with the packages in it.
struct PassingState(TempDir);

impl PassingState {
    fn new() -> Result<Self, Error> {
        let made = tempfile::Builder::new()
            .prefix("plugin-gateway-run-")
            .tempdir();
        made.map(Self).map_err(|source| Error::File {
            action: "make a passing state in",
            path: std::env::temp_dir(),
            source,
        })
    }
}

impl Drop for PassingState {
    fn drop(&mut self) {
        // The folder itself is removed right after; what refuses that is left in the temporary folder.
        drop(registry::unseal(self.0.path()));
    }
}
