/** The shapes of the gateway's results. */

import { anything, array, boolean, count, integer, map, nullable, object, string, tagged, word } from './shape.js';
import type { Shape } from './shape.js';
import type {
  BinaryRefPayload,
  DatasetSlicePayload,
  JsonObject,
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
  TextPayload,
  ValidationIssue,
  ValidationReport,
} from './types.js';

// What JSON.parse made is a JsonObject where it is an object at all.
const jsonObject: Shape<JsonObject> = (value, at) => map(anything)(value, at) as JsonObject;

const payload: Shape<Payload> = tagged<Payload>('kind', {
  text: object<TextPayload>({
    kind: word('text'),
    content: string,
    encoding: word('utf-8'),
    metadata: map(string),
  }),
  json: object<JsonPayload>({ kind: word('json'), data: jsonObject, schema_ref: string }),
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
  capabilities: array(string),
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
  kind: word('REGISTER', 'ENABLE', 'DISABLE', 'INVOKE', 'RESULT', 'REJECT', 'ERROR', 'PROOF_EXPORT'),
  plugin_id: string,
  request_id: string,
  input_hash: string,
  output_hash: string,
  prev_hash: string,
  event_hash: string,
  meta: map(string),
});

export const placedEvent: Shape<PlacedEvent> = object<PlacedEvent>({ index: count, event: ledgerEvent });

export const proofBundle: Shape<ProofBundle> = object<ProofBundle>({
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

export const ledgerReport: Shape<LedgerReport> = object<LedgerReport>({
  valid: boolean,
  events: count,
  bytes: count,
  head: string,
  broken_at: nullable(count),
  reason: string,
});

export const ping: Shape<Ping> = object<Ping>({
  version: string,
  api_version: string,
  state: string,
  pid: integer,
});

export const metrics: Shape<Metrics> = object<Metrics>({ content_type: string, text: string });

export const subscribed: Shape<{ readonly from: number }> = object<{ readonly from: number }>({ from: count });

export const stopped: Shape<{ readonly stopped: boolean }> = object<{ readonly stopped: boolean }>({ stopped: boolean });
