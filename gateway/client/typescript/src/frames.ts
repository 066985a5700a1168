/** JSON-RPC 2.0 messages: from a line to a frame, and from a call to a line. */

import { ProtocolError } from './errors.js';
import { anything, integer, nullable, object, optional, string, word } from './shape.js';

export type Fault = {
  readonly code: number;
  readonly message: string;
  readonly data: { readonly kind?: string; readonly hint?: string } | undefined;
};

/** What the gateway says. */
export type Frame =
  | { readonly type: 'result'; readonly id: number; readonly result: unknown }
  /** Without an id where the gateway could not tell it. */
  | { readonly type: 'error'; readonly id: number | null; readonly error: Fault }
  | { readonly type: 'notification'; readonly method: string; readonly params: unknown };

type Members = {
  readonly jsonrpc: '2.0';
  readonly id: number | null | undefined;
  readonly method: string | undefined;
  readonly params: unknown;
  readonly result: unknown;
  readonly error: Fault | undefined;
};

const fault = object<Fault>({
  code: integer,
  message: string,
  data: optional(
    object<{ readonly kind?: string; readonly hint?: string }>({ kind: words, hint: words }),
  ),
});

const members = object<Members>({
  jsonrpc: word('2.0'),
  id: optional(nullable(integer)),
  method: optional(string),
  params: anything,
  result: anything,
  error: optional(fault),
});

/** Words for people are taken where they are words, and nothing depends on them. */
function words(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** How much of a line that cannot be read is shown. */
const SHOWN_CHARS = 80;

/** Reads one line. Throws a `ProtocolError` where it is none of the frames. */
export function parse(line: Buffer): Frame {
  const { id, method, params, result, error } = members(parseJson(line), 'message');
  if (method !== undefined && id === undefined) return { type: 'notification', method, params };
  if (id !== undefined && error !== undefined && result === undefined) return { type: 'error', id, error };
  if (typeof id === 'number' && error === undefined && result !== undefined) return { type: 'result', id, result };
  throw new ProtocolError('the gateway sent neither an answer nor a notification');
}

function parseJson(line: Buffer): unknown {
  try {
    return JSON.parse(utf8.decode(line));
  } catch (cause) {
    const shown = JSON.stringify(line.subarray(0, SHOWN_CHARS).toString('utf8'));
    throw new ProtocolError(`the gateway sent a line that is not JSON: ${shown}`, { cause });
  }
}

/** The line of a call, or of a notification where there is no id. Throws a `TypeError` where JSON cannot say it. */
export function format(id: number | undefined, method: string, params: object): Buffer {
  return Buffer.from(`${JSON.stringify({ jsonrpc: '2.0', id, method, params }, sayable)}\n`);
}

/** Left to itself JSON.stringify would turn such a number into null. */
function sayable(name: string, value: unknown): unknown {
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new TypeError(`'${name}' is ${value}, which JSON has not: send it as a string`);
  }
  return value;
}
