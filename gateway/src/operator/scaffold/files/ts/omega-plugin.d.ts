// The types of omega-plugin.js, the Node plugin SDK.

/** A text, or a result that is one. */
export interface TextPayload {
  kind: 'text';
  content: string;
  encoding: 'utf-8';
  metadata: Record<string, string>;
}

/** An object that follows the schema named `schema_ref`. */
export interface JsonPayload {
  kind: 'json';
  schema_ref: string;
  data: Record<string, unknown>;
}

/** A file that the host keeps, by its hash. */
export interface BinaryRefPayload {
  kind: 'binary_ref';
  artifact_id: string;
  artifact_hash: string;
  mime_type: string;
}

/** Pieces of a data set that the host keeps. */
export interface DatasetSlicePayload {
  kind: 'dataset_slice';
  slice_ids: string[];
  source: string;
  filters: Record<string, string>;
}

export type Payload = TextPayload | JsonPayload | BinaryRefPayload | DatasetSlicePayload;

/** What the host asks. */
export interface Request {
  request_id: string;
  run_id: string;
  timestamp: string;
  payload: Payload;
  context: Record<string, string>;
  policy: { deterministic_only: boolean; timeout_ms: number; max_retries: number };
}

/** What `ok`, `rejected` and `error` make. */
export interface Answer {
  status: 'ok' | 'rejected' | 'error';
  result: Payload | null;
  notes: string;
}

/** The answer `ok` with its result; make the payload with `jsonPayload` or `textPayload`. */
export function ok(payload: Payload, notes?: string): Answer;
/** The answer for a request that this plugin will not take, with the reason in words. */
export function rejected(notes: string): Answer;
/** The answer for a request that this plugin failed on, with the reason in words. */
export function error(notes: string): Answer;
/** A payload of kind `json`: `data` is an object that follows the schema named `schemaRef`. */
export function jsonPayload(schemaRef: string, data: Record<string, unknown>): JsonPayload;
/** A payload of kind `text`. */
export function textPayload(content: string, metadata?: Record<string, string>): TextPayload;
/** Answers the one request of this process. What `handle` throws is the answer `error`. */
export function run(handle: (request: Request) => Answer | Promise<Answer>): Promise<void>;
