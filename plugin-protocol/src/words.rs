//! Words that hosts match on: the contract fixes them, so each stands once, here.

/// The plugin is not in the registry.
pub const NOT_FOUND: &str = "not found";
/// The plugin is known but not enabled.
pub const NOT_ENABLED: &str = "not enabled";
/// `deterministic_only` was asked of a plugin that does not promise it.
pub const PROBABILISTIC: &str = "probabilistic";
/// The plugin was killed when its time was over.
pub const TIMEOUT: &str = "timeout";
/// The request breaks a rule.
pub const INVALID_REQUEST: &str = "Invalid request";
/// The sandbox refused something that the plugin tried.
pub const VIOLATION: &str = "violation";
/// The queue is full, or no slot came free in time.
pub const OVERLOADED: &str = "overloaded";
/// The plugin failed too often recently.
pub const CIRCUIT_OPEN: &str = "circuit open";
/// A step of a fan-out was ended because another one failed, and the host asked to stop then.
pub const ANOTHER_STEP_FAILED: &str = "cancelled: another step failed";
/// The id is taken.
pub const ALREADY_REGISTERED: &str = "Plugin already registered";
/// The id is unknown to a registry verb.
pub const PLUGIN_NOT_FOUND: &str = "Plugin not found";
/// A rejected plugin cannot be enabled.
pub const CANNOT_ENABLE_REJECTED: &str = "Cannot enable rejected plugin";
/// A rejected plugin cannot be disabled.
pub const CANNOT_DISABLE_REJECTED: &str = "Cannot disable rejected plugin";
/// A manifest names a capability that is refused by name.
pub const FORBIDDEN_CAPABILITY: &str = "Forbidden capability declared";
/// A manifest uses something without the capability for it.
pub const REQUIRES_CAPABILITY: &str = "requires capability";
/// A manifest asks for more time than the gateway ever gives.
pub const EXCEEDS: &str = "exceeds";
/// How many bytes of a plugin's standard output are quoted where they are not the one answer line (contract, section 8).
pub const QUOTED_OUTPUT_BYTES: usize = 200;
/// What to do about output that is not the answer.
pub const PRINTS_BELONG: &str =
    "stdout is for the one answer line, so send prints and logs to stderr";
