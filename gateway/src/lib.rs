//! The plugin gateway: the one door between a host and the plugins that it does not trust.
//!
//! [`Gateway`] holds the eight operations of the contract; everything else a host needs is a type
//! that they take or give. The command `plugin-gateway` is built on the same operations.
//!
//! A test of a plugin needs a few lines: [`testing::Harness`] is a gateway in a throw-away state with a
//! key of its own.
//!
//! ```
//! use plugin_gateway::testing::Harness;
//! use serde_json::json;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let samples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../sample-plugins/hello-sh");
//! # let made = tempfile::tempdir()?;
//! # let package = made.path();
//! # std::fs::create_dir(package.join("schemas"))?;
//! # for file in ["plugin.json", "hello.sh", "schemas/hello.json"] {
//! #     std::fs::copy(samples.join(file), package.join(file))?;
//! # }
//! # let sdk = samples.join("../../plugin-protocol/sdk/sh/omega-plugin.sh");
//! # std::fs::copy(sdk, package.join("omega-plugin.sh"))?;
//! let gateway = Harness::new()?;
//! let plugin = gateway.install(package)?;
//! let request = json!({
//!     "request_id": "r1", "run_id": "test", "timestamp": "2026-01-31T12:00:00Z", "context": {},
//!     "payload": {"kind": "text", "content": "hello there", "encoding": "utf-8", "metadata": {}},
//!     "policy": {"deterministic_only": true, "timeout_ms": 5000, "max_retries": 0},
//! });
//! let outcome = gateway.invoke(plugin.as_str(), &request, None)?;
//! assert_eq!(outcome.response.status.as_str(), "ok", "{}", outcome.response.notes);
//! # Ok(())
//! # }
//! ```
//!
//! A host in Rust opens a state that `plugin-gateway init` made, in place of the harness:
//!
//! ```no_run
//! # fn main() -> Result<(), plugin_gateway::Error> {
//! let gateway = plugin_gateway::Gateway::open(std::path::Path::new("/var/lib/omega/plugins"))?;
//! for plugin in gateway.list_plugins() {
//!     println!("{} {}", plugin.plugin_id, plugin.status.as_str());
//! }
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod api;
mod cli;
mod config;
mod error;
mod mcp;
mod operator;
mod router;
mod serve;

pub use api::{Gateway, Registration};
pub use error::{Error, Kind};
pub use ledger::{ProofBundle, Recorded};
pub use router::{Cause, Invoke, Outcome};
pub use sandbox::{Cancel, Denial, End, Layer, Report, Tail, Usage};

/// What tests of plugins and hosts need beside the operations.
pub mod testing {
    pub use crate::operator::Harness;
}

/// The whole command.
#[must_use]
pub fn main() -> std::process::ExitCode {
    cli::main(serve::serve, mcp::speak)
}
