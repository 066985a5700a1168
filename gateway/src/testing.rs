//! What tests of plugins and hosts need beside the operations: a whole gateway that nobody has to set up and that leaves nothing.

use std::ops::Deref;
use std::path::Path;

use plugin_protocol::ids::{EventId, PluginId};
use plugin_protocol::manifest::MAX_CALL_MS;
use plugin_protocol::payload::Payload;
use plugin_protocol::time::Timestamp;
use serde_json::json;

use crate::error::Error;
use crate::operator::Harness;
use crate::router::Outcome;
use ledger::Recorded;

/// The run of what [`Gateway::invoke`] asks, for a proof of it.
pub const RUN: &str = "testing";

/// A gateway in a throw-away state, with a throw-away key that vouches for whatever is installed.
///
/// It runs plugins in the sandbox and records every call, as any gateway does; dropping it removes the state and the key with it. The
/// eight operations are those of the [`Gateway`](crate::Gateway) that it dereferences to; the one of them that [`Self::invoke`] hides
/// takes a whole request: `(*gateway).invoke(plugin, &request, None)`.
///
/// ```
/// use plugin_gateway::{Payload, testing};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let samples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../sample-plugins/hello-sh");
/// # let made = tempfile::tempdir()?;
/// # let package = made.path();
/// # std::fs::create_dir(package.join("schemas"))?;
/// # for file in ["plugin.json", "hello.sh", "schemas/hello.json"] {
/// #     std::fs::copy(samples.join(file), package.join(file))?;
/// # }
/// # let sdk = samples.join("../../plugin-protocol/sdk/sh/omega-plugin.sh");
/// # std::fs::copy(sdk, package.join("omega-plugin.sh"))?;
/// let gateway = testing::Gateway::new()?;
/// let plugin = gateway.install(package)?;
/// let outcome = gateway.invoke(&plugin, Payload::text("hello there"))?;
/// assert_eq!(outcome.response.status.as_str(), "ok", "{}", outcome.response.notes);
/// assert_eq!(gateway.list_plugins().len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Gateway {
    harness: Harness,
}

impl Gateway {
    /// Makes a state and a key, and trusts the key.
    ///
    /// # Errors
    /// When no temporary folder can be made, or no state in it.
    pub fn new() -> Result<Self, Error> {
        let harness = Harness::new()?;
        Ok(Self { harness })
    }

    /// Signs the package in `folder` with the throw-away key (the folder stays as it is), registers and enables it.
    ///
    /// # Errors
    /// When it is no valid package; the message says what is wrong with it.
    pub fn install(&self, folder: &Path) -> Result<PluginId, Error> {
        self.harness.install(folder)
    }

    /// Asks a plugin once, with a request made around `payload`. A call that is refused, fails or takes too long is an outcome, not an
    /// error.
    ///
    /// # Errors
    /// When the ledger cannot record what happens: then nothing is run, or nothing is answered.
    pub fn invoke(&self, plugin: &PluginId, payload: Payload) -> Result<Recorded<Outcome>, Error> {
        let request = json!({
            "request_id": format!("req-{}", EventId::now()),
            "run_id": RUN,
            "timestamp": Timestamp::now(),
            "payload": payload,
            "context": {},
            "policy": { "deterministic_only": false, "timeout_ms": MAX_CALL_MS, "max_retries": 0 },
        });
        self.harness.invoke(plugin.as_str(), &request, None)
    }

    /// The state folder, with the log's public key `log.pub` in it.
    #[must_use]
    pub fn state(&self) -> &Path {
        self.harness.state()
    }
}

impl Deref for Gateway {
    type Target = crate::api::Gateway;

    fn deref(&self) -> &Self::Target {
        &self.harness
    }
}
