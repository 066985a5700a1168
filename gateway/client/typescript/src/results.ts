/** The shapes of the gateway's results. */

import { ordered } from './canonical.js';
import { anything, array, boolean, count, integer, map, nullable, object, optional, string, tagged, word } from './shape.js';
import type { Shape } from './shape.js';
import { GatewayEventKind } from './constants.js';
import type { PluginCapability } from './constants.js';
import type {
  AnyObject,
  BinaryRefPayload,
  ComplianceCheckResult,
  ComplianceReport,
  DatasetSlicePayload,
  JsonPayload,
  LedgerEvent,
  LedgerReport,
  Metrics,
  Payload,
  Ping,
  PipelineResponse,
  PipelineStep,
  PlacedEvent,
  PluginInfo,
  PluginResponse,
  ProofBundle,
  PrunedLines,
  Receipt,
  TextPayload,
  ValidationIssue,
  ValidationReport,
} from './types.js';

const anyObject: Shape<AnyObject> = map(anything);

// A gateway writes others only of what it rejected.
const capabilities = array(string) as Shape<readonly PluginCapability[]>;

const payload: Shape<Payload> = tagged<Payload>('kind', {
  text: object<TextPayload>({
    kind: word('text'),
    content: string,
    encoding: word('utf-8'),
    metadata: map(string),
  }),
  json: object<JsonPayload>({ kind: word('json'), data: anyObject, schema_ref: string }),
  binary_ref: object<BinaryRefPayload>({
    kind: word('binary_ref'),
    artifact_id: string,
    artifact_hash: string,
    mime_type: string,
  }),
  dataset_slice: object<DatasetSlicePayload>({
    kind: word('dataset_slice'),
    slice_ids: array(string),
    source: string,
    filters: map(string),
  }),
});

const status = word('ok', 'rejected', 'error', 'timeout');

const strategy = word('sequential', 'fan_out');

export const pluginResponse: Shape<PluginResponse> = object<PluginResponse>({
  request_id: string,
  plugin_id: string,
  status,
  result: nullable(payload),
  evidence_hashes: object<PluginResponse['evidence_hashes']>({ input_hash: string, output_hash: string }),
  duration_ms: count,
  notes: string,
  _receipt: optional(object<Receipt>({ event_hash: string, index: count, checkpoint_size: count })),
});

export const pipelineResponse: Shape<PipelineResponse> = object<PipelineResponse>({
  run_id: string,
  strategy,
  steps: array(object<PipelineStep>({ plugin_id: string, response: pluginResponse, step_index: count })),
  overall_status: status,
  total_duration_ms: count,
});

export const pluginInfo: Shape<PluginInfo> = object<PluginInfo>({
  plugin_id: string,
  name: string,
  version: string,
  status: word('registered', 'enabled', 'disabled', 'rejected'),
  capabilities,
  registered_at: string,
  signature_valid: boolean,
});

export const pluginInfos: Shape<readonly PluginInfo[]> = array(pluginInfo);

export const validationReport: Shape<ValidationReport> = object<ValidationReport>({
  valid: boolean,
  issues: array(
    object<ValidationIssue>({ field: string, message: string, severity: word('error', 'warning', 'info') }),
  ),
  manifest_hash: string,
  checked_at: string,
});

const ledgerEvent: Shape<LedgerEvent> = object<LedgerEvent>({
  event_id: string,
  run_id: string,
  ts: string,
  kind: word(...Object.values(GatewayEventKind)),
  plugin_id: string,
  request_id: string,
  input_hash: string,
  output_hash: string,
  prev_hash: string,
  event_hash: string,
  meta: map(string),
});

export const placedEvent: Shape<PlacedEvent> = object<PlacedEvent>({ index: count, event: ledgerEvent });

const bundle: Shape<ProofBundle> = object<ProofBundle>({
  format: word('plugin-gateway-proof/1'),
  proof_id: string,
  run_id: string,
  created_at: string,
  head_event_hash: string,
  events: array(ledgerEvent),
  inclusion: array(object<ProofBundle['inclusion'][number]>({ index: count, hashes: array(string) })),
  export: object<ProofBundle['export']>({ event: ledgerEvent, index: count, hashes: array(string) }),
  checkpoint: string,
  plugin_manifest_digests: array(
    object<ProofBundle['plugin_manifest_digests'][number]>({ plugin_id: string, manifest_hash: string }),
  ),
  validation_reports: array(validationReport),
});

/** In canonical order, so that what `JSON.stringify` writes of it verifies. */
export const proofBundle: Shape<ProofBundle> = (value, at) => bundle(ordered(value), at);

export const complianceReport: Shape<ComplianceReport> = object<ComplianceReport>({
  plugin_id: string,
  timestamp: string,
  passed: boolean,
  checks: array(
    object<ComplianceCheckResult>({ id: string, name: string, law: string, passed: boolean, detail: string, duration_ms: count }),
  ),
  summary: object<ComplianceReport['summary']>({ total: count, passed_count: count, failed_count: count }),
});

export const ledgerReport: Shape<LedgerReport> = object<LedgerReport>({
  valid: boolean,
  events: count,
  bytes: count,
  head: string,
  broken_at: nullable(count),
  reason: string,
  pruned: optional(object<PrunedLines>({ before: count, dropped: count, bytes: count, carried: count })),
});

export const ping: Shape<Ping> = object<Ping>({
  version: string,
  api_version: string,
  state: string,
  pid: integer,
});

export const metrics: Shape<Metrics> = object<Metrics>({ content_type: string, text: string });

type Subscribed = { readonly from: number; readonly subscription: number };

export const subscribed: Shape<Subscribed> = object<Subscribed>({ from: count, subscription: count });

export const stopped: Shape<{ readonly stopped: boolean }> = object<{ readonly stopped: boolean }>({ stopped: boolean });
