// A run as people look at it: its events put together into calls.

import type { Placed } from './checks.js';
import type { GatewayEvent } from './format.js';

/** How a call ended. `open` has an `INVOKE` and nothing that closes it; `event` is no call at all. */
export type Status = 'ok' | 'rejected' | 'error' | 'timeout' | 'unknown' | 'open' | 'event';

export interface Call {
    readonly status: Status;
    readonly plugin: string;
    readonly request: string;
    /** Which attempt it was, where there was more than one. */
    readonly attempt: string;
    /** Milliseconds since 1970; of a call that no plugin saw, both are the time of its event, less what it took. */
    readonly start: number;
    readonly end: number;
    readonly duration: string;
    /** Why it ended so, in words. */
    readonly reason: string;
    readonly cause: string;
    /** What the plugin asked for and was refused. */
    readonly denied: string;
    /** The key that signed the package that ran. */
    readonly signer: string;
    /** The events that it is made of, in ledger order. */
    readonly events: readonly Placed[];
}

const STATUSES: readonly string[] = ['ok', 'rejected', 'error', 'timeout'];

/** The run's calls in the order in which they began in the ledger. The export's own event is none. */
export function callsOf(placed: readonly Placed[]): Call[] {
    const open = new Map<string, Placed>();
    const groups = new Map<Placed, Placed[]>();
    for (const one of placed) {
        const opening = open.get(one.event.meta.get('invoke') ?? '');
        const group = opening && groups.get(opening);
        if (group && group.length === 1) group.push(one);
        else groups.set(one, [one]);
        if (one.event.kind === 'INVOKE') open.set(one.event.event_id, one);
    }
    return [...groups.values()].map(callOf);
}

function callOf(events: readonly Placed[]): Call {
    const first = (events[0] as Placed).event;
    const last = (events.at(-1) as Placed).event;
    const fact = (name: string): string => last.meta.get(name) ?? '';
    const end = Date.parse(last.ts);
    const took = Number(fact('duration_ms'));
    return {
        status: statusOf(first, last),
        plugin: last.plugin_id,
        request: last.request_id,
        attempt: first.meta.get('attempt') ?? '',
        start: first === last && took > 0 ? end - took : Date.parse(first.ts),
        end,
        duration: fact('duration_ms'),
        reason: fact('reason'),
        cause: fact('cause'),
        denied: [fact('denied'), fact('denied_call')].filter((text) => text !== '').join('; '),
        signer: first.kind === 'INVOKE' ? (first.meta.get('key_id') ?? '') : '',
        events,
    };
}

function statusOf(first: GatewayEvent, last: GatewayEvent): Status {
    if (last.kind === 'INVOKE') return 'open';
    if (!['RESULT', 'REJECT', 'ERROR'].includes(last.kind)) return 'event';
    if (last.meta.get('outcome') === 'unknown') return 'unknown';
    const said = last.meta.get('status') ?? '';
    if (STATUSES.includes(said)) return said as Status;
    return first.kind === 'INVOKE' ? 'unknown' : 'event';
}

/** What is known of a plugin of the run: one row for each manifest that it ran with. */
export interface PluginRow {
    readonly plugin: string;
    readonly manifest: string;
    readonly packages: readonly string[];
    readonly signers: readonly string[];
}

export function pluginsOf(placed: readonly Placed[], manifests: readonly { plugin_id: string; manifest_hash: string }[]): PluginRow[] {
    const ran = placed.map((one) => one.event).filter((event) => event.kind === 'INVOKE');
    return manifests.map(({ plugin_id, manifest_hash }) => {
        const own = ran.filter((event) => event.plugin_id === plugin_id && event.meta.get('manifest_hash') === manifest_hash);
        const facts = (name: string): string[] => [...new Set(own.map((event) => event.meta.get(name) ?? '').filter((fact) => fact !== ''))];
        return { plugin: plugin_id, manifest: manifest_hash, packages: facts('package_digest'), signers: facts('key_id') };
    });
}
