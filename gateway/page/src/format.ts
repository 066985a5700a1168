// The form of a bundle: which members there are and what each may hold. EVIDENCE.md, sections 2 and 8.

import { Flaw } from './bytes.js';
import type { Json, JsonObject } from './json.js';
import { quoted } from './json.js';

/** The formats that are read. They differ in how many signatures the checkpoint may have. */
export const FORMATS = ['plugin-gateway-proof/1', 'plugin-gateway-proof/2'] as const;

export interface GatewayEvent {
    readonly event_hash: string;
    readonly event_id: string;
    readonly input_hash: string;
    readonly kind: string;
    readonly meta: ReadonlyMap<string, string>;
    readonly output_hash: string;
    readonly plugin_id: string;
    readonly prev_hash: string;
    readonly request_id: string;
    readonly run_id: string;
    readonly ts: string;
    /** As it was read. */
    readonly json: JsonObject;
}

/** Where an event is in the log, and the hashes beside its way to the root. */
export interface Place {
    readonly index: number;
    readonly hashes: readonly string[];
}

export interface Issue {
    readonly field: string;
    readonly message: string;
    readonly severity: string;
}

export interface Report {
    readonly checked_at: string;
    readonly issues: readonly Issue[];
    readonly manifest_hash: string;
    readonly valid: boolean;
}

export interface ManifestDigest {
    readonly manifest_hash: string;
    readonly plugin_id: string;
}

export interface Bundle {
    readonly checkpoint: string;
    readonly created_at: string;
    readonly events: readonly GatewayEvent[];
    readonly export: Place & { readonly event: GatewayEvent };
    readonly format: string;
    readonly head_event_hash: string;
    readonly inclusion: readonly Place[];
    readonly plugin_manifest_digests: readonly ManifestDigest[];
    readonly proof_id: string;
    readonly run_id: string;
    readonly validation_reports: readonly Report[];
    /** As it was read. */
    readonly json: JsonObject;
}

/** Reads a value of one shape, or throws a flaw that names `what`. */
type Shape<T> = (value: Json, what: string) => T;

function matching(pattern: RegExp, rule: string): Shape<string> {
    return (value, what) => {
        if (typeof value !== 'string' || !pattern.test(value)) throw new Flaw(`${what} is not ${rule}`);
        return value;
    };
}

/** A text of so many characters (Unicode scalar values). */
function characters(least: number, most: number): Shape<string> {
    return (value, what) => {
        const count = typeof value === 'string' ? [...value].length : -1;
        if (typeof value !== 'string' || count < least || count > most) {
            throw new Flaw(`${what} is not a text of ${least} to ${most} characters`);
        }
        return value;
    };
}

type Shapes<T> = { readonly [Name in keyof T]-?: Shape<T[Name]> };

/** An object with exactly these members; `json` holds it as it was read. */
function objects<T extends object>(shapes: Shapes<T>): Shape<T & { json: JsonObject }> {
    const names = Object.keys(shapes) as (keyof T & string)[];
    return (value, what) => {
        if (!(value instanceof Map)) throw new Flaw(`${what} is not an object`);
        for (const name of value.keys()) {
            if (!Object.hasOwn(shapes, name)) throw new Flaw(`${what} has a member ${quoted(name)}, which the format does not know`);
        }
        const made: Record<string, unknown> = { json: value };
        for (const name of names) {
            const member = value.get(name);
            if (member === undefined) throw new Flaw(`${what} has no member ${quoted(name)}`);
            made[name] = shapes[name](member, `${what}.${name}`);
        }
        return made as T & { json: JsonObject };
    };
}

function arrays<T>(item: Shape<T>): Shape<readonly T[]> {
    return (value, what) => {
        if (!Array.isArray(value)) throw new Flaw(`${what} is not an array`);
        return value.map((one, at) => item(one, `${what}[${at}]`));
    };
}

const text: Shape<string> = (value, what) => {
    if (typeof value !== 'string') throw new Flaw(`${what} is not a text`);
    return value;
};

const texts: Shape<ReadonlyMap<string, string>> = (value, what) => {
    if (!(value instanceof Map)) throw new Flaw(`${what} is not an object of texts`);
    for (const member of value.values()) if (typeof member !== 'string') throw new Flaw(`${what} is not an object of texts`);
    return value as ReadonlyMap<string, string>;
};

const boolean: Shape<boolean> = (value, what) => {
    if (typeof value !== 'boolean') throw new Flaw(`${what} is neither true nor false`);
    return value;
};

const index: Shape<number> = (value, what) => {
    if (typeof value !== 'number' || value < 0) throw new Flaw(`${what} is not a number from 0`);
    return value;
};

const TIME =
    /^([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]+)?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))$/;

function daysOf(year: number, month: number): number {
    const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
    return [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1] ?? 0;
}

/** A point in time as RFC 3339 writes it; second 60 only where UTC can have a leap second. */
const time: Shape<string> = (value, what) => {
    const found = typeof value === 'string' ? TIME.exec(value) : null;
    if (typeof value !== 'string' || found === null) throw new Flaw(`${what} is not an RFC 3339 time`);
    const part = (at: number): number => Number(found[at] ?? 0);
    const [year, month, day, hour, minute, second] = [part(1), part(2), part(3), part(4), part(5), part(6)];
    const offset = (part(8) * 60 + part(9)) * (found[7] === '-' ? -1 : 1);
    const leap = second === 60 && (hour * 60 + minute - offset + 2880) % 1440 === 1439;
    const exists = day >= 1 && day <= daysOf(year, month) && hour < 24 && minute < 60 && (second < 60 || leap);
    if (!exists || part(8) > 23 || part(9) > 59) throw new Flaw(`${what} is a time that does not exist`);
    return value;
};

const utcMilliseconds: Shape<string> = (value, what) => {
    const read = time(value, what);
    if (!/^.{10}T.{8}\.[0-9]{3}Z$/.test(read)) throw new Flaw(`${what} is not in UTC with milliseconds`);
    return read;
};

const sha256 = matching(/^[0-9a-f]{64}$/, '64 lower-case hexadecimal digits');
const sha256OrEmpty = matching(/^(?:[0-9a-f]{64})?$/, '64 lower-case hexadecimal digits or empty');
const uuid7 = matching(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/, 'a version 7 UUID in lower case');
const pluginId = matching(/^[a-z0-9][a-z0-9._-]{2,63}$/, 'a plugin id');
const pluginIdOrEmpty = matching(/^(?:[a-z0-9][a-z0-9._-]{2,63})?$/, 'a plugin id or empty');
const kind = matching(/^(?:REGISTER|ENABLE|DISABLE|INVOKE|RESULT|REJECT|ERROR|PROOF_EXPORT)$/, 'a kind of event');
const severity = matching(/^(?:error|warning|info)$/, 'a severity');
const known = matching(new RegExp(`^(?:${FORMATS.join('|')})$`), FORMATS.join(' or '));

const event = objects<Omit<GatewayEvent, 'json'>>({
    event_hash: sha256,
    event_id: uuid7,
    input_hash: sha256OrEmpty,
    kind,
    meta: texts,
    output_hash: sha256OrEmpty,
    plugin_id: pluginIdOrEmpty,
    prev_hash: sha256OrEmpty,
    request_id: characters(0, 256),
    run_id: characters(1, 256),
    ts: utcMilliseconds,
});

/** Reads a bundle's members. */
export const readBundle: Shape<Bundle> = objects<Omit<Bundle, 'json'>>({
    checkpoint: text,
    created_at: time,
    events: arrays(event),
    export: objects({ event, hashes: arrays(sha256), index }),
    format: known,
    head_event_hash: sha256,
    inclusion: arrays(objects({ hashes: arrays(sha256), index })),
    plugin_manifest_digests: arrays(objects({ manifest_hash: sha256, plugin_id: pluginId })),
    proof_id: uuid7,
    run_id: characters(1, 256),
    validation_reports: arrays(
        objects({
            checked_at: time,
            issues: arrays(objects({ field: text, message: text, severity })),
            manifest_hash: sha256OrEmpty,
            valid: boolean,
        }),
    ),
});
