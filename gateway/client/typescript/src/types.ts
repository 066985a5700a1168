/** What host and gateway say to each other: payloads, manifests, requests, responses and reports, as they are on the wire. */

import type { GatewayEventKind, PluginCapability } from './constants.js';

/** A JSON value. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;

/** A JSON object. */
export type JsonObject = { readonly [name: string]: JsonValue };

/** An object of which nothing else is known. What JSON cannot say in it is a `TypeError`. */
export type AnyObject = { readonly [name: string]: unknown };

/** A map from string to string. */
export type StringMap = { readonly [name: string]: string };

/** What goes into a plugin and comes out of it. */
export type Payload = TextPayload | JsonPayload | BinaryRefPayload | DatasetSlicePayload;

/** Text in UTF-8. */
export type TextPayload = {
  readonly kind: 'text';
  readonly content: string;
  readonly encoding: 'utf-8';
  readonly metadata: StringMap;
};

/** An object that follows the schema of that name. */
export type JsonPayload = {
  readonly kind: 'json';
  readonly data: AnyObject;
  readonly schema_ref: string;
};

/** An artifact by its name and SHA-256 (64 lower-case hex digits), never its bytes. */
export type BinaryRefPayload = {
  readonly kind: 'binary_ref';
  readonly artifact_id: string;
  readonly artifact_hash: string;
  readonly mime_type: string;
};

/** Parts of a data set by their names; at least one. */
export type DatasetSlicePayload = {
  readonly kind: 'dataset_slice';
  readonly slice_ids: readonly string[];
  readonly source: string;
  readonly filters: StringMap;
};

/** The word that tags a payload. */
export type PayloadKind = Payload['kind'];

/** What a plugin may be allowed. */
export type Capability = PluginCapability;

/** One kind of payload that a plugin takes or gives, and its size in bytes of canonical JSON. */
export type PayloadRule = {
  readonly kind: PayloadKind;
  readonly schema_ref: string;
  readonly limits?: { readonly max_bytes: number };
};

/** What is started: a program of the package, an exported JavaScript function, or an MCP server. */
export type Entrypoint =
  | { readonly type: 'process'; readonly command: readonly [string, ...string[]] }
  | { readonly type: 'worker'; readonly file: string; readonly export: string }
  | { readonly type: 'mcp'; readonly command: readonly [string, ...string[]] };

/** A plugin's `plugin.json`. What may be left out is filled in by the gateway (contract, section 4). */
export type Manifest = {
  readonly plugin_id: string;
  readonly name: string;
  readonly vendor: string;
  readonly description?: string;
  readonly version: string;
  readonly api_version: string;
  readonly supported_omega_api_versions?: string;
  readonly capabilities: readonly Capability[];
  readonly io: {
    readonly inputs: readonly PayloadRule[];
    readonly outputs: readonly PayloadRule[];
  };
  readonly limits?: {
    readonly max_bytes?: number;
    readonly max_ms?: number;
    readonly max_concurrency?: number;
    readonly max_memory_bytes?: number;
    readonly max_cpu_ms?: number;
    readonly max_open_files?: number;
  };
  readonly determinism?: { readonly mode?: 'deterministic' | 'probabilistic'; readonly notes?: string };
  readonly evidence?: {
    readonly log_level?: 'full' | 'summary' | 'minimal';
    readonly redactions?: readonly string[];
  };
  readonly entrypoint: Entrypoint;
  readonly schemas?: StringMap;
};

/** What `plugin.sig` holds. */
export type Signature = {
  readonly algorithm: 'ed25519';
  readonly key_id: string;
  readonly signature: string;
};

/** How one request may be carried out. */
export type RequestPolicy = {
  readonly deterministic_only: boolean;
  /** At least 100. */
  readonly timeout_ms: number;
  /** 0 to 5. */
  readonly max_retries: number;
};

/** One request to a plugin. */
export type PluginRequest = {
  readonly request_id: string;
  readonly run_id: string;
  /** RFC 3339. */
  readonly timestamp: string;
  readonly payload: Payload;
  readonly context: StringMap;
  readonly policy: RequestPolicy;
};

/** How a call ended. Only `ok` stands for a valid answer. */
export type Status = 'ok' | 'rejected' | 'error' | 'timeout';

/** What came of a request. */
export type PluginResponse = {
  readonly request_id: string;
  readonly plugin_id: string;
  readonly status: Status;
  readonly result: Payload | null;
  /** SHA-256 of the canonical payloads, as the gateway computed them; empty where there is none. */
  readonly evidence_hashes: { readonly input_hash: string; readonly output_hash: string };
  readonly duration_ms: number;
  /** Why, in words. */
  readonly notes: string;
  /** Where the event that closed the call stands in the ledger; it is part of no hash. */
  readonly _receipt?: Receipt;
};

/** Where an event stands in the ledger. */
export type Receipt = {
  readonly event_hash: string;
  /** From 0, over the whole ledger. */
  readonly index: number;
  /** How many events the newest checkpoint that covers it is over; 0 while none does. */
  readonly checkpoint_size: number;
};

/** How several plugins are asked. */
export type PipelinePolicy = {
  readonly strategy: 'sequential' | 'fan_out';
  readonly plugin_ids: readonly string[];
  readonly timeout_ms: number;
  readonly stop_on_failure: boolean;
  /** `same` where left out: each step gets the request's payload; `previous`: the result before it. */
  readonly input?: 'same' | 'previous';
};

/** One plugin's part in a pipeline. */
export type PipelineStep = {
  readonly plugin_id: string;
  readonly response: PluginResponse;
  readonly step_index: number;
};

/** What came of a pipeline. */
export type PipelineResponse = {
  readonly run_id: string;
  readonly strategy: 'sequential' | 'fan_out';
  readonly steps: readonly PipelineStep[];
  readonly overall_status: Status;
  readonly total_duration_ms: number;
};

/** A plugin in the registry. */
export type PluginInfo = {
  readonly plugin_id: string;
  readonly name: string;
  readonly version: string;
  readonly status: 'registered' | 'enabled' | 'disabled' | 'rejected';
  /** What its manifest names. That of a rejected plugin may name others, too. */
  readonly capabilities: readonly PluginCapability[];
  readonly registered_at: string;
  readonly signature_valid: boolean;
};

/** One finding about a manifest. */
export type ValidationIssue = {
  /** A JSON pointer into the manifest. */
  readonly field: string;
  readonly message: string;
  readonly severity: 'error' | 'warning' | 'info';
};

/** What was found about a manifest. */
export type ValidationReport = {
  readonly valid: boolean;
  readonly issues: readonly ValidationIssue[];
  readonly manifest_hash: string;
  readonly checked_at: string;
};

/** What an event of the ledger is about. */
export type LedgerEventKind = GatewayEventKind;

/** One event of the ledger. */
export type LedgerEvent = {
  readonly event_id: string;
  readonly run_id: string;
  readonly ts: string;
  readonly kind: LedgerEventKind;
  readonly plugin_id: string;
  readonly request_id: string;
  readonly input_hash: string;
  readonly output_hash: string;
  readonly prev_hash: string;
  readonly event_hash: string;
  readonly meta: StringMap;
};

/** An event and its place in the ledger, counted from 0. */
export type PlacedEvent = { readonly index: number; readonly event: LedgerEvent };

/** A proof bundle: JSON to be kept as it is and given to an auditor. */
export type ProofBundle = {
  readonly format: 'plugin-gateway-proof/1';
  readonly proof_id: string;
  readonly run_id: string;
  readonly created_at: string;
  readonly head_event_hash: string;
  readonly events: readonly LedgerEvent[];
  readonly inclusion: readonly { readonly index: number; readonly hashes: readonly string[] }[];
  readonly export: {
    readonly event: LedgerEvent;
    readonly index: number;
    readonly hashes: readonly string[];
  };
  readonly checkpoint: string;
  readonly plugin_manifest_digests: readonly {
    readonly plugin_id: string;
    readonly manifest_hash: string;
  }[];
  readonly validation_reports: readonly ValidationReport[];
};

/** Whether the whole ledger is unbroken. */
export type LedgerReport = {
  readonly valid: boolean;
  readonly events: number;
  readonly bytes: number;
  readonly head: string;
  /** The index of the first bad event. */
  readonly broken_at: number | null;
  readonly reason: string;
  /** What an operator dropped of it: of the events before `before`, `dropped` lines of so many bytes; `carried` stayed. */
  readonly pruned?: PrunedLines | undefined;
};

/** What an operator dropped of a ledger. */
export type PrunedLines = {
  readonly before: number;
  readonly dropped: number;
  readonly bytes: number;
  readonly carried: number;
};

/** Who the gateway is. */
export type Ping = {
  readonly version: string;
  readonly api_version: string;
  readonly state: string;
  readonly pid: number;
};

/** The gateway's numbers, as OpenMetrics text. */
export type Metrics = { readonly content_type: string; readonly text: string };

/** One of the ten compliance checks. */
export type ComplianceCheckResult = {
  /** `CG-01` to `CG-10`. */
  readonly id: string;
  readonly name: string;
  readonly law: string;
  readonly passed: boolean;
  readonly detail: string;
  readonly duration_ms: number;
};

/** What the ten compliance checks found. */
export type ComplianceReport = {
  readonly plugin_id: string;
  readonly timestamp: string;
  readonly passed: boolean;
  readonly checks: readonly ComplianceCheckResult[];
  readonly summary: { readonly total: number; readonly passed_count: number; readonly failed_count: number };
};
