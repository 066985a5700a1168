/** Requests made with what most have in common. */

import { randomUUID } from 'node:crypto';

import type { Payload, PluginRequest, RequestPolicy, StringMap } from './types.js';

/** A minute is the longest that the gateway lets a plugin run. */
const DEFAULT_POLICY: RequestPolicy = { deterministic_only: false, timeout_ms: 60_000, max_retries: 0 };

export type RequestOptions = {
  readonly runId: string;
  /** A random UUID where left out. */
  readonly requestId?: string;
  readonly context?: StringMap;
  readonly policy?: Partial<RequestPolicy>;
};

/** A request of now. */
export function newRequest(payload: Payload, options: RequestOptions): PluginRequest {
  return {
    request_id: options.requestId ?? randomUUID(),
    run_id: options.runId,
    timestamp: new Date().toISOString(),
    payload,
    context: options.context ?? {},
    policy: { ...DEFAULT_POLICY, ...options.policy },
  };
}

/** A text payload. */
export function text(content: string, metadata: StringMap = {}): Payload {
  return { kind: 'text', content, encoding: 'utf-8', metadata };
}
