//! The plugin gateway: the one door between a host and the plugins that it does not trust.
//!
//! [`Gateway`] holds the eight operations of the contract; everything else a host needs is a type
//! that they take or give. The command `plugin-gateway` is built on the same operations.
//!
//! A host opens a state that `plugin-gateway init` made, and asks a plugin that an operator enabled:
//!
//! ```no_run
//! use plugin_gateway::Gateway;
//! use serde_json::json;
//!
//! # fn main() -> Result<(), plugin_gateway::Error> {
//! let gateway = Gateway::open("/var/lib/omega/plugins".as_ref())?;
//! let request = json!({
//!     "request_id": "r1", "run_id": "first-run", "timestamp": "2026-01-31T12:00:00Z", "context": {},
//!     "payload": {"kind": "text", "content": "Hello, plugin!", "encoding": "utf-8", "metadata": {}},
//!     "policy": {"deterministic_only": false, "timeout_ms": 5000, "max_retries": 0},
//! });
//! // What a plugin does wrong is no error: it is a response with another status, and words in its notes.
//! let outcome = gateway.invoke("p.hello.sh", &request, None)?;
//! let response = &outcome.response;
//! println!("{} {:?} {}", response.status, response.result, response.notes);
//! # Ok(())
//! # }
//! ```
//!
//! A test of a plugin or of a host needs no state and no keys: [`testing::Gateway`] has its own, and leaves nothing. The same call:
//!
//! ```
//! use plugin_gateway::{Payload, testing};
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
//! let gateway = testing::Gateway::new()?;
//! let plugin = gateway.install(package)?;
//! let outcome = gateway.invoke(&plugin, Payload::text("Hello, plugin!"))?;
//! assert_eq!(outcome.response.status.as_str(), "ok", "{}", outcome.response.notes);
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod access;
mod api;
mod cli;
mod config;
mod error;
mod mcp;
mod operator;
mod router;
mod serve;
pub mod testing;

pub use api::{Gateway, Registration};
pub use error::{Error, Kind};
pub use ledger::{ProofBundle, Recorded};
pub use plugin_protocol::ids::{PluginId, RunId};
pub use plugin_protocol::message::{Response, Status};
pub use plugin_protocol::payload::Payload;
pub use plugin_protocol::report::{
    PipelineInput, PipelinePolicy, PipelineResponse, PluginInfo, Strategy, ValidationReport,
};
pub use router::{Cause, Invoke, Outcome};
pub use sandbox::{Cancel, Denial, End, Layer, Report, Tail, Usage};

/// The whole command.
#[must_use]
pub fn main() -> std::process::ExitCode {
    cli::main(serve::serve, mcp::speak)
}
