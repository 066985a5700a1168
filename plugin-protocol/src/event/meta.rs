//! The names of the members of an event's `meta`, each defined once, for the code that writes events and the code that reads them.
//! No member ever holds a secret or a payload.

/// Which attempt of a call this is, from 1.
pub const ATTEMPT: &str = "attempt";
/// `INVOKE`'s `event_id`, in the event that closes the call.
pub const INVOKE: &str = "invoke";
/// `unknown` where a crash left a call open.
pub const OUTCOME: &str = "outcome";
/// The status of a response, or of a plugin after its registration.
pub const STATUS: &str = "status";
/// Why a call ended as it did, in one word.
pub const CAUSE: &str = "cause";
/// What a call changed about its plugin's circuit breaker.
pub const CIRCUIT: &str = "circuit";
/// Why, in words.
pub const REASON: &str = "reason";
/// How long a call took, in milliseconds.
pub const DURATION_MS: &str = "duration_ms";

/// SHA-256 of the plugin's canonical manifest.
pub const MANIFEST_HASH: &str = "manifest_hash";
/// The digest of the plugin's package.
pub const PACKAGE_DIGEST: &str = "package_digest";

/// The kind of the request's payload.
pub const INPUT_KIND: &str = "input_kind";
/// The size of the request's canonical payload, in bytes.
pub const INPUT_BYTES: &str = "input_bytes";
/// The kind of the result.
pub const OUTPUT_KIND: &str = "output_kind";
/// The size of the canonical result, in bytes.
pub const OUTPUT_BYTES: &str = "output_bytes";
/// SHA-256 of the request as it is kept.
pub const REQUEST_EVIDENCE: &str = "request_evidence";
/// How many values of the kept request were replaced by `[redacted]`.
pub const REQUEST_REDACTED: &str = "request_redacted";
/// SHA-256 of the result as it is kept.
pub const RESULT_EVIDENCE: &str = "result_evidence";
/// How many values of the kept result were replaced by `[redacted]`.
pub const RESULT_REDACTED: &str = "result_redacted";

/// The protections that held the plugin.
pub const LAYERS: &str = "layers";
/// Whether the plugin's process was started for the call, [`START_COLD`], or before there was one, [`START_WARM`]; it has not seen the
/// request before the call's `INVOKE` in either case.
pub const START: &str = "start";
/// The [`START`] of a process that was started for its call.
pub const START_COLD: &str = "cold";
/// The [`START`] of a process that waited for its request.
pub const START_WARM: &str = "warm";
/// The processor time that the plugin used for its request, in milliseconds.
pub const CPU_MS: &str = "cpu_ms";
/// The processor time that a plugin used before it had a request, in milliseconds.
pub const CPU_BEFORE_MS: &str = "cpu_before_ms";
/// The most memory that the plugin held, in bytes.
pub const PEAK_MEMORY_BYTES: &str = "peak_memory_bytes";
/// What the plugin wrote on stderr beyond what is kept, in bytes.
pub const STDERR_DROPPED_BYTES: &str = "stderr_dropped_bytes";
/// How often the plugin's runtime made a forbidden but harmless call.
pub const BENIGN_PROBES: &str = "benign_probes";
/// The forbidden call that ended the plugin.
pub const DENIED_CALL: &str = "denied_call";
/// What is known of that call.
pub const DENIED_DETAIL: &str = "denied_detail";
/// What the plugin asked for and was refused: the first different calls, and how many there were in all.
pub const DENIED: &str = "denied";
/// How often each call was refused: names and numbers.
pub const DENIED_COUNTS: &str = "denied_counts";
/// Whether reads of paths that are not there for the plugin are among these: `yes` or `no`.
pub const READS_NAMED: &str = "reads_named";
/// The code that the plugin exited with.
pub const EXIT_CODE: &str = "exit_code";
/// The signal that ended the plugin.
pub const SIGNAL: &str = "signal";

/// What an `ENABLE` or `DISABLE` without a plugin is about: [`SUBJECT_KEY`], [`SUBJECT_EVIDENCE`] or [`SUBJECT_LEDGER`]; and what an `ERROR` that belongs to no
/// call is about: [`SUBJECT_WAITING`].
pub const SUBJECT: &str = "subject";
/// The [`SUBJECT`] of an event about a trusted key.
pub const SUBJECT_KEY: &str = "key";
/// The [`SUBJECT`] of an erasure.
pub const SUBJECT_EVIDENCE: &str = "evidence";
/// The [`SUBJECT`] of an event about a process that was discarded before it had a request.
pub const SUBJECT_WAITING: &str = "waiting_process";
/// The [`SUBJECT`] of an `ERROR` about a fleet's decision that was not carried out.
pub const SUBJECT_DECISION: &str = "decision";
/// The [`SUBJECT`] of a pruning.
pub const SUBJECT_LEDGER: &str = "ledger";
/// The first event whose line a pruning left in its segment.
pub const BEFORE: &str = "before";
/// How many lines are dropped below that, by this pruning and those before it.
pub const DROPPED: &str = "dropped";
/// How many lines below that were carried over.
pub const CARRIED: &str = "carried";
/// The root of the tree over the events below that.
pub const ROOT: &str = "root";
/// The id of a key.
pub const KEY_ID: &str = "key_id";
/// A trusted key, in base64.
pub const PUBLIC_KEY: &str = "public_key";
/// What the operator calls a trusted key.
pub const LABEL: &str = "label";
/// Whether the package's signature holds.
pub const SIGNATURE_VALID: &str = "signature_valid";
/// The plugin's name.
pub const NAME: &str = "name";
/// The plugin's version.
pub const VERSION: &str = "version";
/// The plugin's capabilities, separated by spaces.
pub const CAPABILITIES: &str = "capabilities";
/// The version that a registration replaces.
pub const REPLACES: &str = "replaces";
/// `true` in the `DISABLE` of a plugin that the registry forgets: its id is free again.
pub const REMOVED: &str = "removed";

/// The run whose evidence was erased.
pub const RUN: &str = "run";
/// How many kept files an erasure removed.
pub const FILES: &str = "files";
/// The id of an erasure, so that one that was cut off and completed later is recorded only once.
pub const ERASURE: &str = "erasure";

/// [`HASHES_SALTED`] where `input_hash` and `output_hash`, and the names of kept files, are HMAC-SHA256 with a salt of the run; absent where
/// they are plain SHA-256.
pub const HASHES: &str = "hashes";
/// The value of [`HASHES`].
pub const HASHES_SALTED: &str = "salted";
/// The first 16 hex digits of the salt's SHA-256.
pub const SALT_ID: &str = "salt_id";
/// The salt that went with an erasure, by its id.
pub const ERASED_SALT: &str = "erased_salt";

/// `relaxed` where callers are told of events before they are durable.
pub const DURABILITY: &str = "durability";
/// The file in quarantine that an `ERROR` is about.
pub const QUARANTINE: &str = "quarantine";
/// The length of that file; of a pruning, the bytes of the dropped lines.
pub const BYTES: &str = "bytes";
/// SHA-256 of that file; of a pruning, of `pruned.json`.
pub const SHA256: &str = "sha256";

/// The id of an export.
pub const PROOF_ID: &str = "proof_id";
/// How many events of the run were exported.
pub const RUN_COUNT: &str = "run_count";
/// The RFC 6962 root over their lines.
pub const RUN_ROOT: &str = "run_root";
/// The index of the first of them.
pub const FIRST_INDEX: &str = "first_index";
/// The index of the last of them.
pub const LAST_INDEX: &str = "last_index";
/// SHA-256 of what the bundle holds beside the events.
pub const ATTACHMENTS_HASH: &str = "attachments_hash";
