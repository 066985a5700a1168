/** Canonical JSON (RFC 8785) of what came over the channel, whose numbers and strings keep the contract's rules already. */

import { isObject } from './shape.js';

/** The canonical text. The default order of `sort` is that of RFC 8785: by UTF-16 code units. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const members = Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`);
  return `{${members.join(',')}}`;
}

/** The same value with its members in canonical order, so that `JSON.stringify` writes the canonical text. */
export function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.keys(value).sort().map((name) => [name, ordered(value[name])]));
}
