// The types of the JavaScript plugin SDK, for TypeScript.

/** A host's request. */
export interface Request {
  request_id: string;
  run_id: string;
  timestamp: string;
  payload: Payload;
  context: Record<string, string>;
  policy: { deterministic_only: boolean; timeout_ms: number; max_retries: number };
}

export type Payload = TextPayload | JsonPayload | BinaryRefPayload | DatasetSlicePayload;

/** The kind of a payload. */
export type Kind = Payload['kind'];

/** Text with metadata. */
export interface TextPayload {
  kind: 'text';
  content: string;
  encoding: 'utf-8';
  metadata: Record<string, string>;
}

/** A JSON object that follows a named schema. */
export interface JsonPayload<Data extends object = Record<string, unknown>> {
  kind: 'json';
  data: Data;
  schema_ref: string;
}

/** A reference to bytes that the host keeps. */
export interface BinaryRefPayload {
  kind: 'binary_ref';
  artifact_id: string;
  artifact_hash: string;
  mime_type: string;
}

/** A reference to parts of a data set that the host keeps. */
export interface DatasetSlicePayload {
  kind: 'dataset_slice';
  slice_ids: string[];
  source: string;
  filters: Record<string, string>;
}

/** What `ok`, `rejected` and `error` make. */
export type Reply =
  | { status: 'ok'; result: TextPayload | JsonPayload<object> | BinaryRefPayload | DatasetSlicePayload; notes: string }
  | { status: 'rejected' | 'error'; result: null; notes: string };

export type Handler = (request: Request) => Reply | Promise<Reply>;

export interface Options {
  /** The kinds of payload that the handler is for; a request with another is answered `rejected`. Empty: all. */
  takes?: readonly Kind[];
}

/** The answer `ok` with its result; make the payload with `jsonPayload` or `textPayload`. */
export function ok(payload: TextPayload | JsonPayload<object> | BinaryRefPayload | DatasetSlicePayload, notes?: string): Reply;

/** The answer for a request that this plugin will not take, with the reason in words. */
export function rejected(notes: string): Reply;

/** The answer for a request that this plugin failed on, with the reason in words. */
export function error(notes: string): Reply;

/** A payload of kind `json`: `data` is an object that follows the schema named `schemaRef`. */
export function jsonPayload<Data extends object>(schemaRef: string, data: Data): JsonPayload<Data>;

/** A payload of kind `text`: `metadata` is an object of strings. */
export function textPayload(content: string, metadata?: Record<string, string>): TextPayload;

/** Reads the request, calls `handle(request)`, waits when it returns a promise, writes the answer. */
export function run(handle: Handler, options?: Options): Promise<void>;

/** The request inside one invoke line. Throws `NoRequest` when there is none. */
export function readRequest(line: Uint8Array): Request;

/** The result line for one reply made by `ok`, `rejected` or `error`. */
export function answerLine(requestId: string, reply: Reply): Uint8Array;

/** What came in is no request that can be answered. */
export class NoRequest extends Error {
  /** "" where even that could not be read. */
  readonly requestId: string;
}
