//! The settings about witnesses of the ledger.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What is asked of the witnesses. `plugin-gateway witness add` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Witness {
    /// How many witnesses have to cosign a checkpoint.
    pub quorum: usize,
    /// Whether new calls are refused while they have not.
    pub required: bool,
    /// How long they may take, in milliseconds.
    pub wait_ms: u64,
    /// Whether `serve` starts `witness sync` beside it.
    pub sync: bool,
}

impl Default for Witness {
    fn default() -> Self {
        /// A few tries over a slow network.
        const WAIT_MS: u64 = 10_000;
        Self {
            quorum: 0,
            required: false,
            wait_ms: WAIT_MS,
            sync: false,
        }
    }
}

impl Witness {
    /// How long the witnesses may take.
    #[must_use]
    pub(crate) fn wait(&self) -> Duration {
        Duration::from_millis(self.wait_ms)
    }
}
