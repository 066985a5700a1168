/** Checks that what came over the wire has the shape that its type says. It changes nothing: fields that it does not know stay. */

import { ProtocolError } from './errors.js';

/** Gives the value back as a `T`, or throws a `ProtocolError` that names the place. */
export type Shape<T> = (value: unknown, at: string) => T;

type Fields = { readonly [name: string]: unknown };

function expected(what: string, at: string): never {
  throw new ProtocolError(`${at}: expected ${what}`);
}

/** Whether it is an object and no array. */
export function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export const string: Shape<string> = (value, at) =>
  typeof value === 'string' ? value : expected('a string', at);

export const boolean: Shape<boolean> = (value, at) =>
  typeof value === 'boolean' ? value : expected('true or false', at);

/** An integer of at least 0. */
export const count: Shape<number> = (value, at) =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
    ? value
    : expected('an integer of at least 0', at);

export const integer: Shape<number> = (value, at) =>
  typeof value === 'number' && Number.isSafeInteger(value) ? value : expected('an integer', at);

/** One of these words. */
export function word<const W extends readonly string[]>(...words: W): Shape<W[number]> {
  return (value, at) => words.find((known) => known === value) ?? expected(`one of ${words.join(', ')}`, at);
}

export function nullable<T>(shape: Shape<T>): Shape<T | null> {
  return (value, at) => (value === null ? null : shape(value, at));
}

export function optional<T>(shape: Shape<T>): Shape<T | undefined> {
  return (value, at) => (value === undefined ? undefined : shape(value, at));
}

export function array<T>(shape: Shape<T>): Shape<readonly T[]> {
  return (value, at) => {
    if (!Array.isArray(value)) return expected('an array', at);
    const items: readonly unknown[] = value;
    items.forEach((item, index) => shape(item, `${at}/${index}`));
    // Each item was checked above.
    return items as readonly T[];
  };
}

/** An object whose members all have one shape. */
export function map<T>(shape: Shape<T>): Shape<{ readonly [name: string]: T }> {
  return (value, at) => {
    if (!isObject(value)) return expected('an object', at);
    for (const [name, member] of Object.entries(value)) shape(member, `${at}/${name}`);
    // Each member was checked above.
    return value as { readonly [name: string]: T };
  };
}

/** An object with these members, and perhaps more. */
export function object<T extends object>(shapes: { readonly [N in keyof T]-?: Shape<T[N]> }): Shape<T> {
  return (value, at) => {
    if (!isObject(value)) return expected('an object', at);
    for (const [name, shape] of Object.entries<Shape<unknown>>(shapes)) {
      shape(Object.hasOwn(value, name) ? value[name] : undefined, `${at}/${name}`);
    }
    // Each member of T was checked above.
    return value as T;
  };
}

/** An object that one of its members tags. */
export function tagged<T>(tag: string, shapes: { readonly [word: string]: Shape<T> }): Shape<T> {
  return (value, at) => {
    const found = isObject(value) ? value[tag] : undefined;
    const shape = typeof found === 'string' && Object.hasOwn(shapes, found) ? shapes[found] : undefined;
    const words = Object.keys(shapes).join(', ');
    return shape ? shape(value, at) : expected(`an object whose '${tag}' is one of ${words}`, at);
  };
}

/** Any JSON value. */
export const anything: Shape<unknown> = (value) => value;
