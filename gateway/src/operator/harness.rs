//! A gateway in a throw-away state with a key of its own: for one-shots, `certify` and replays, and for others' tests (`testing`).

use std::ops::Deref;
use std::path::Path;

use plugin_protocol::ids::PluginId;

use crate::api::{Gateway, Registration};
use crate::config::{self, Config};
use crate::error::Error;
use registry::{Package, SigningKey};
use sandbox::ThrowAwayFolder;

/// A gateway in a throw-away state, with a throw-away key that vouches for whatever is installed.
///
/// It is a whole gateway: it runs plugins in the sandbox and records every call. Dropping it removes the state.
#[derive(Debug)]
pub(crate) struct Harness {
    // Stands before the folder, so that it is dropped, and the ledger closed, before the files are removed.
    gateway: Gateway,
    key: SigningKey,
    state: ThrowAwayFolder,
}

impl Harness {
    /// Makes a state, a key, and trusts the key.
    pub(crate) fn new() -> Result<Self, Error> {
        Self::with(None)
    }

    /// The same, with the settings of the state in `like`, but for where its ledger is anchored.
    pub(super) fn with_settings_of(like: &Path) -> Result<Self, Error> {
        Self::with(Some(&Config {
            ledger: config::Ledger::default(),
            ..Config::load(like)?
        }))
    }

    fn with(config: Option<&Config>) -> Result<Self, Error> {
        // The ledger's key is in it: it must be gone whatever ends this process.
        let state = ThrowAwayFolder::new().map_err(|source| Error::File {
            action: "make a passing state in",
            path: std::env::temp_dir(),
            source,
        })?;
        ledger::init(state.path())?;
        config.map_or(Ok(()), |config| config.save(state.path()))?;
        let gateway = Gateway::open(state.path())?;
        let key = SigningKey::generate()?;
        gateway.trust_add(&key.public(), "this run only")?;
        Ok(Self {
            gateway,
            key,
            state,
        })
    }

    /// Signs the package in `folder` with the throw-away key (the folder stays as it is), registers and enables it.
    pub(crate) fn install(&self, folder: &Path) -> Result<PluginId, Error> {
        self.try_install(folder)?
            .map_err(|message| Error::Invalid { message })
    }

    /// As [`Self::install`], except that a rejected package is no error: the inner `Err` is the reason.
    pub(super) fn try_install(&self, folder: &Path) -> Result<Result<PluginId, String>, Error> {
        let signature = self.signature(&Package::read(folder)?);
        let (info, rejection) = self.gateway.register(Registration {
            package: folder,
            signature: Some(&signature),
            replace: false,
        })?;
        if let Some(rejection) = rejection {
            return Ok(Err(rejection.reason));
        }
        self.gateway.enable_plugin(&info.plugin_id)?;
        Ok(Ok(info.plugin_id))
    }

    /// The throw-away key's signature for `package`, as `plugin.sig` would hold it.
    pub(super) fn signature(&self, package: &Package) -> Vec<u8> {
        self.key.sign(package.digest()).to_file_bytes()
    }

    /// The state folder.
    pub(crate) fn state(&self) -> &Path {
        self.state.path()
    }
}

impl Deref for Harness {
    type Target = Gateway;

    fn deref(&self) -> &Gateway {
        &self.gateway
    }
}
