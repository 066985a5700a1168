/** The type names that OMEGA's own code uses, so that it compiles with its import swapped. */

import type {
  Entrypoint,
  JsonPayload,
  LedgerEvent,
  Manifest,
  Payload,
  PayloadRule,
  PipelinePolicy,
  PipelineStep,
  PluginInfo,
  PluginRequest,
  PluginResponse,
  Status,
  ValidationIssue,
} from './types.js';

export type JSONPayload = JsonPayload;
export type PluginPayload = Payload;
export type PluginResponseStatus = Status;
export type PluginStatus = PluginInfo['status'];
export type ValidationSeverity = ValidationIssue['severity'];
export type PipelineStrategy = PipelinePolicy['strategy'];
export type PipelineStepResult = PipelineStep;
export type GatewayEvent = LedgerEvent;

export type PluginIODescriptor = Required<PayloadRule>;
export type PluginLimits = NonNullable<Manifest['limits']> & {
  readonly max_bytes: number;
  readonly max_ms: number;
  readonly max_concurrency: number;
};
export type PluginDeterminism = Required<NonNullable<Manifest['determinism']>>;
export type PluginEvidence = Required<NonNullable<Manifest['evidence']>>;
export type PluginEntrypoint = Extract<Entrypoint, { readonly type: 'worker' }>;

/** A manifest in the older form: a worker, with every field written out. A `Manifest` may leave out more and start other programs. */
export type PluginManifest = Manifest & {
  readonly description: string;
  readonly supported_omega_api_versions: string;
  readonly io: {
    readonly inputs: readonly PluginIODescriptor[];
    readonly outputs: readonly PluginIODescriptor[];
  };
  readonly limits: PluginLimits;
  readonly determinism: PluginDeterminism;
  readonly evidence: PluginEvidence;
  readonly entrypoint: PluginEntrypoint;
};

/** What a plugin answers. The gateway computes hashes and time itself, and ignores what is here of them. */
export type PluginAnswer = Pick<PluginResponse, 'request_id' | 'status' | 'result'> & Partial<PluginResponse>;

/** A plugin as a function. */
export type PluginHandler = (request: PluginRequest) => PluginAnswer | Promise<PluginAnswer>;
