// The checks of a bundle, by the names of EVIDENCE.md, section 9. This is the whole verifier; it knows nothing of a page.

import { Flaw, fromHex, hex, sha256, utf8 } from './bytes.js';
import type { Bundle, GatewayEvent, Place } from './format.js';
import { readBundle } from './format.js';
import type { JsonObject } from './json.js';
import { canonical, quoted, readJson } from './json.js';
import type { Checkpoint, LogKey } from './note.js';
import type { Hash, Step } from './tree.js';
import { leafHash, Nodes, wayToRoot } from './tree.js';

export type Outcome = 'pass' | 'fail' | 'not_checked';

export interface Check {
    readonly name: string;
    readonly outcome: Outcome;
    readonly detail: string;
}

/** What is known of an event beside what it says. */
export interface Placed {
    readonly event: GatewayEvent;
    /** None where there are fewer proofs than events. */
    readonly place: Place | undefined;
    readonly leaf: Hash;
    /** Whether it has the hash that it carries. */
    readonly hashed: boolean;
    /** The way to the checkpoint's root; none where there is no way, or no checkpoint. */
    readonly way: readonly Step[] | null;
}

/** What checking a bundle found. */
export interface Findings {
    /** Whether no check failed. */
    readonly valid: boolean;
    readonly checks: readonly Check[];
    readonly bundle: Bundle | null;
    readonly checkpoint: Checkpoint | null;
    /** The run's events, and last the export's own. */
    readonly placed: readonly Placed[];
}

/** The key that the reader trusts, or why there is none. */
export type Trust = LogKey | Flaw | null;

const MAX_BUNDLE_BYTES = 512 * 1024 * 1024;
/** Events that are hashed at once: all would be too much for a large bundle, one by one too slow. */
const AT_ONCE = 256;

const WITHOUT_SCHEMA = [
    'event_hashes', 'run_order', 'checkpoint_signature', 'inclusion', 'run_completeness', 'attachments', 'chain_links',
];

const BEYOND =
    'a bundle does not prove that what the events say is true, that nothing of the run was recorded after the export, or that ' +
    'the log shows everyone the same history: compare its checkpoint with the anchor or with other copies for that';

/** Checks a bundle's bytes against the log's key. */
export async function verify(bytes: Uint8Array, trust: Trust): Promise<Findings> {
    const checks: Check[] = [];
    let found: Omit<Findings, 'valid' | 'checks'> = { bundle: null, checkpoint: null, placed: [] };
    const read = await make(checks, 'schema', async () => {
        if (bytes.length > MAX_BUNDLE_BYTES) throw new Flaw(`it is larger than ${MAX_BUNDLE_BYTES} bytes`);
        const bundle = readBundle(readJson(bytes), 'the bundle');
        return [`a ${bundle.format} bundle of ${bundle.events.length} events`, bundle];
    });
    if (read === null) {
        for (const name of WITHOUT_SCHEMA) checks.push({ name, outcome: 'not_checked', detail: 'the bundle cannot be read' });
    } else {
        found = await checkParts(read, trust, checks);
    }
    checks.push({ name: 'beyond_the_bundle', outcome: 'not_checked', detail: BEYOND });
    return { valid: checks.every((check) => check.outcome !== 'fail'), checks, ...found };
}

/** Makes one check: `check` gives the words of a pass and what else is needed of it, or throws the flaw. */
async function make<T>(checks: Check[], name: string, check: () => Promise<readonly [string, T]>): Promise<T | null> {
    try {
        const [detail, made] = await check();
        checks.push({ name, outcome: 'pass', detail });
        return made;
    } catch (flaw) {
        if (!(flaw instanceof Flaw)) throw flaw;
        checks.push({ name, outcome: 'fail', detail: flaw.message });
        return null;
    }
}

async function checkParts(bundle: Bundle, trust: Trust, checks: Check[]): Promise<Omit<Findings, 'valid' | 'checks'>> {
    const nodes = new Nodes();
    const events = [...bundle.events, bundle.export.event];
    const count = `${events.length}`;
    const hashed = await inGroups(events, hashes);
    await make(checks, 'event_hashes', async () => {
        const bad = hashed.findIndex((one) => !one.holds);
        if (bad >= 0) throw new Flaw(`event ${events[bad]?.event_id} does not hash to its event_hash`);
        return [`${count} events carry their own hash`, null];
    });
    await make(checks, 'run_order', async () => [runOrder(bundle), null]);
    const checkpoint = await signature(bundle, trust, checks);
    const placed = await inGroups(events, async (event, at): Promise<Placed> => {
        const place = at < bundle.events.length ? bundle.inclusion[at] : bundle.export;
        const { leaf, holds } = hashed[at] as Hashed;
        return { event, place, leaf, hashed: holds, way: place && checkpoint ? await way(nodes, leaf, place, checkpoint) : null };
    });
    if (checkpoint === null) {
        checks.push({ name: 'inclusion', outcome: 'not_checked', detail: 'there is no checkpoint that the key vouches for' });
    } else {
        await make(checks, 'inclusion', async () => {
            // An event without a proof is a failure of `run_order`.
            const lost = placed.find((one) => one.place !== undefined && one.way === null);
            if (lost) throw new Flaw(`event ${lost.event.event_id} is not proven to be event ${lost.place?.index} of the log`);
            return [`${count} proofs lead to the checkpoint's root`, null];
        });
    }
    const root = await nodes.root(hashed.slice(0, -1).map((one) => one.leaf));
    await make(checks, 'run_completeness', async () => [runCompleteness(bundle, hex(root)), null]);
    await make(checks, 'attachments', async () => [await attachments(bundle), null]);
    await chainLinks(placed, checks);
    return { bundle, checkpoint, placed };
}

async function inGroups<T, U>(items: readonly T[], make: (item: T, at: number) => Promise<U>): Promise<U[]> {
    const made: U[] = [];
    for (let at = 0; at < items.length; at += AT_ONCE) {
        made.push(...(await Promise.all(items.slice(at, at + AT_ONCE).map((item, more) => make(item, at + more)))));
    }
    return made;
}

interface Hashed {
    readonly leaf: Hash;
    readonly holds: boolean;
}

async function hashes(event: GatewayEvent): Promise<Hashed> {
    const rest: JsonObject = new Map(event.json);
    rest.delete('event_hash');
    const [leaf, hash] = await Promise.all([leafHash(utf8(canonical(event.json))), sha256(utf8(canonical(rest)))]);
    return { leaf, holds: hex(hash) === event.event_hash };
}

/** The events are of the run, none is an export, they stand in ledger order before the export, and the head is the last. */
function runOrder(bundle: Bundle): string {
    const { events, inclusion } = bundle;
    if (inclusion.length !== events.length) throw new Flaw(`there are ${inclusion.length} proofs for ${events.length} events`);
    const stranger = events.find((event) => event.run_id !== bundle.run_id || event.kind === 'PROOF_EXPORT');
    if (stranger) throw new Flaw(`event ${stranger.event_id} does not belong to the run`);
    const indexes = [...inclusion, bundle.export].map((place) => place.index);
    if (indexes.some((index, at) => at > 0 && index <= (indexes[at - 1] ?? -1))) {
        throw new Flaw('the events do not stand in ledger order');
    }
    const last = events.at(-1);
    if (!last) throw new Flaw('the run has no event');
    if (last.event_hash !== bundle.head_event_hash) throw new Flaw("head_event_hash is not the last event's");
    return `${events.length} events of run ${quoted(bundle.run_id)} in ledger order`;
}

async function signature(bundle: Bundle, trust: Trust, checks: Check[]): Promise<Checkpoint | null> {
    const name = 'checkpoint_signature';
    if (trust === null) {
        checks.push({ name, outcome: 'not_checked', detail: "nobody gave the log's public key yet" });
        return null;
    }
    return make(checks, name, async () => {
        if (trust instanceof Flaw) throw trust;
        const checkpoint = await trust.open(bundle.checkpoint, bundle.format !== 'plugin-gateway-proof/1');
        return [`key ${trust.id} signed for ${checkpoint.size} events`, checkpoint];
    });
}

async function way(nodes: Nodes, leaf: Hash, place: Place, checkpoint: Checkpoint): Promise<readonly Step[] | null> {
    const steps = await wayToRoot(nodes, leaf, place.index, checkpoint.size, place.hashes.map(fromHex));
    return steps !== null && hex(steps.at(-1)?.hash ?? leaf) === hex(checkpoint.root) ? steps : null;
}

/** The export's event, which is itself in the log, commits to exactly these events. */
function runCompleteness(bundle: Bundle, root: string): string {
    const { event } = bundle.export;
    if (event.kind !== 'PROOF_EXPORT' || event.run_id !== bundle.run_id) {
        throw new Flaw("the export's event is not a PROOF_EXPORT of this run");
    }
    const place = (at: number): string => `${bundle.inclusion.at(at)?.index ?? ''}`;
    const committed = {
        proof_id: bundle.proof_id, run_count: `${bundle.events.length}`, run_root: root, first_index: place(0), last_index: place(-1),
    };
    for (const [name, found] of Object.entries(committed)) {
        if (event.meta.get(name) !== found) throw new Flaw(`the export committed to another ${name}`);
    }
    if (event.ts !== bundle.created_at) throw new Flaw("created_at is not the time of the export's event");
    return `the export committed to exactly these ${bundle.events.length} events`;
}

/** The export's event commits to the manifest digests and the validation reports. */
async function attachments(bundle: Bundle): Promise<string> {
    const names = ['plugin_manifest_digests', 'validation_reports'];
    const beside: JsonObject = new Map(names.map((name) => [name, bundle.json.get(name) ?? null]));
    if (bundle.export.event.meta.get('attachments_hash') !== hex(await sha256(utf8(canonical(beside))))) {
        throw new Flaw('the export committed to other manifest digests or validation reports');
    }
    return 'the export committed to these manifest digests and validation reports';
}

/** How an event stands to the one before it in the bundle. */
export type Link = 'holds' | 'broken' | 'apart';

export function linkBetween(before: Placed, after: Placed): Link {
    if (before.place === undefined || after.place === undefined || before.place.index + 1 !== after.place.index) return 'apart';
    return after.event.prev_hash === before.event.event_hash ? 'holds' : 'broken';
}

/** Each event's `prev_hash` is the `event_hash` of the one before it, where that is there. */
async function chainLinks(all: readonly Placed[], checks: Check[]): Promise<void> {
    const placed = all.filter((one) => one.place !== undefined);
    const links = placed.slice(1).map((after, at) => ({ after, link: linkBetween(placed[at] as Placed, after) }));
    const held = links.filter(({ link }) => link !== 'apart');
    if (held.length === 0) {
        const detail = 'no two events of the bundle are neighbours in the log';
        checks.push({ name: 'chain_links', outcome: 'not_checked', detail });
        return;
    }
    await make(checks, 'chain_links', async () => {
        const broken = held.find(({ link }) => link === 'broken');
        if (broken) throw new Flaw(`event ${broken.after.event.event_id} is not linked to the one before it`);
        return [`${held.length} links between neighbours hold`, null];
    });
}
