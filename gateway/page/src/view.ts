// Shows what was found: the verdict, each check, the run's calls, its plugins, the chain, and an event's way to the root.

import type { Call, Status } from './calls.js';
import { callsOf, pluginsOf } from './calls.js';
import type { Check, Findings, Placed } from './checks.js';
import { linkBetween } from './checks.js';
import { byId, el, grouped, hashOf, pairs, shown } from './dom.js';
import type { Bundle } from './format.js';
import { inShort, pathOf } from './path.js';

/** Rows that are shown at once; a button brings the rest. */
const ROWS_AT_FIRST = 300;

const OUTCOMES = { pass: ['✓', 'pass'], fail: ['✗', 'FAIL'], not_checked: ['–', 'not checked'] } as const;

/** What each check is about, for people. */
const ABOUT: Readonly<Record<string, string>> = {
    schema: 'The bundle has the form of one',
    event_hashes: 'Each event carries its own hash',
    run_order: 'The events are of the run, in order',
    checkpoint_signature: "The log's key signed the checkpoint",
    inclusion: "Each event is in the log's tree",
    run_completeness: 'No event of the run is missing',
    attachments: 'The manifests and reports are those of the export',
    chain_links: 'Neighbours in the log are linked',
    beyond_the_bundle: 'What no bundle proves',
};

const STATUSES: Readonly<Record<Status, readonly [string, string]>> = {
    ok: ['✓', 'ok'],
    rejected: ['⊘', 'rejected'],
    error: ['✗', 'error'],
    timeout: ['◷', 'timeout'],
    unknown: ['?', 'unknown'],
    open: ['…', 'not closed'],
    event: ['•', 'event'],
};

export function showChecks(checks: readonly Check[]): void {
    byId('checks').replaceChildren(...checks.map(checkRow));
}

function checkRow({ name, outcome, detail }: Check): HTMLElement {
    const [mark, word] = OUTCOMES[outcome];
    return el(
        'li', { 'data-check': name, 'data-outcome': outcome },
        el('span', { class: 'mark', 'aria-hidden': 'true' }, mark),
        el('span', { class: 'outcome' }, word),
        el('span', { class: 'about' }, ABOUT[name] ?? name, ' ', el('code', {}, name)),
        el('span', { class: 'detail' }, shown(detail)),
    );
}

/** Shows the run, or nothing where there is no bundle that can be read. */
export function showRun(found: Findings): void {
    const { bundle, placed } = found;
    byId('run').hidden = bundle === null;
    if (bundle === null) return;
    const run = placed.slice(0, -1);
    byId('facts').replaceChildren(factsOf(found, bundle));
    const calls = callsOf(run);
    byId('count').textContent = inWords(calls);
    fill(byId('calls'), calls, timeline(calls));
    byId('plugins').replaceChildren(...pluginRows(bundle, run));
    showChain(found);
}

function factsOf({ checkpoint }: Findings, bundle: Bundle): HTMLElement {
    return pairs([
        ['Run', el('bdi', {}, shown(bundle.run_id))],
        ['Exported', el('time', { datetime: bundle.created_at }, shown(bundle.created_at))],
        ['Events', `${bundle.events.length}, and the export's own`],
        ['Checkpoint', checkpoint === null ? 'none that the key vouches for' : `over ${checkpoint.size} events of the log`],
        ['Head', hashOf(bundle.head_event_hash)],
        ['Proof', el('code', {}, bundle.proof_id)],
    ]);
}

function inWords(calls: readonly Call[]): string {
    const counts = (Object.keys(STATUSES) as Status[]).map((status) => [calls.filter((call) => call.status === status).length, STATUSES[status][1]] as const);
    const parts = counts.filter(([count]) => count > 0).map(([count, word]) => `${count} ${word}`);
    return parts.length === 0 ? 'No calls.' : `${parts.join(', ')}.`;
}

/** Rows in a list, the first of them at once. */
function fill<T>(list: HTMLElement, items: readonly T[], row: (item: T, at: number) => HTMLElement): void {
    list.replaceChildren(...items.slice(0, ROWS_AT_FIRST).map(row));
    list.parentElement?.querySelector('.more')?.remove();
    if (items.length <= ROWS_AT_FIRST) return;
    const more = el('button', { type: 'button', class: 'more' }, `Show all ${items.length}`);
    more.addEventListener('click', () => {
        more.remove();
        const rest = items.slice(ROWS_AT_FIRST).map((item, at) => row(item, at + ROWS_AT_FIRST));
        list.append(...rest);
        // Where the keyboard was, there is no button any more.
        (rest[0]?.querySelector('summary, button') as HTMLElement | null)?.focus();
    });
    list.after(more);
}

/** Rows of calls, whose bars stand in the time that the run took. */
function timeline(calls: readonly Call[]): (call: Call) => HTMLElement {
    const start = calls.reduce((least, call) => Math.min(least, call.start), Infinity);
    const end = calls.reduce((most, call) => Math.max(most, call.end), -Infinity);
    const span = Math.max(end - start, 1);
    return (call) => {
        const bar = el('span', { class: 'bar' });
        bar.style.left = `${(100 * (call.start - start)) / span}%`;
        bar.style.width = `${(100 * (call.end - call.start)) / span}%`;
        return callRow(call, bar, call.start - start);
    };
}

function callRow(call: Call, bar: HTMLElement, after: number): HTMLElement {
    const [mark, word] = STATUSES[call.status];
    const what = call.plugin === '' ? (call.events[0]?.event.kind ?? '') : call.plugin;
    const attempt = call.attempt === '' || call.attempt === '1' ? '' : ` (attempt ${call.attempt})`;
    const why = [call.status === 'ok' ? '' : call.reason, call.denied === '' ? '' : `refused: ${call.denied}`].filter((part) => part !== '');
    return el(
        'li', { 'data-status': call.status },
        el(
            'details', {},
            el(
                'summary', {},
                el('span', { class: 'status' }, el('span', { 'aria-hidden': 'true' }, mark), ` ${word}`),
                el('bdi', { class: 'who' }, shown(what) + attempt),
                el('span', { class: 'took' }, call.duration === '' ? '' : `${shown(call.duration)} ms`),
                el('span', { class: 'when' }, `+${(after / 1000).toFixed(3)} s`),
                el('span', { class: 'track', 'aria-hidden': 'true' }, bar),
                ...why.map((part) => el('span', { class: 'why' }, shown(part))),
            ),
            callFacts(call),
        ),
    );
}

/** Facts of the events that are shown in their own words, or in the row. */
const SAID = ['status', 'duration_ms', 'reason', 'invoke', 'attempt', 'key_id', 'denied', 'denied_call'];

function callFacts(call: Call): HTMLElement {
    const last = (call.events.at(-1) as Placed).event;
    const opening = (call.events[0] as Placed).event;
    const facts = new Map([...opening.meta, ...last.meta]);
    const rows: (readonly [string, Node | string])[] = [
        ['Request', el('bdi', {}, shown(call.request) || 'none')],
        ['Time', call.events.map((one) => one.event.ts).join(' to ')],
        ['Signed by key', call.signer === '' ? unsigned(opening.kind) : el('code', {}, shown(call.signer))],
        ['Input', hashOf(last.input_hash || opening.input_hash)],
        ['Output', hashOf(last.output_hash)],
    ];
    for (const [name, value] of facts) if (!SAID.includes(name)) rows.push([shown(name), el('bdi', {}, shown(value))]);
    rows.push(['Events', el('span', { class: 'events' }, ...call.events.map((one) => el('a', { href: `#event-${one.place?.index}` }, `${one.place?.index ?? '?'} ${one.event.kind}`)))]);
    return pairs(rows);
}

function unsigned(kind: string): string {
    return kind === 'INVOKE' ? 'not recorded in this event' : 'no plugin ran';
}

function pluginRows(bundle: Bundle, run: readonly Placed[]): HTMLElement[] {
    const rows = pluginsOf(run, bundle.plugin_manifest_digests);
    if (rows.length === 0) return [el('li', {}, 'No plugin ran.')];
    return rows.map(({ plugin, manifest, packages, signers }) => {
        const reports = bundle.validation_reports.filter((report) => report.manifest_hash === manifest);
        const issues = reports.flatMap((report) => report.issues).map((issue) => el('li', {}, shown(`${issue.severity}: ${issue.field} ${issue.message}`)));
        const words = reports.map((report) => (report.valid ? 'valid' : 'NOT valid')).join(', ') || 'no report';
        const signed = signers.length === 0 ? 'not recorded in these events' : el('code', {}, signers.map(shown).join(', '));
        return el(
            'li', {}, el('h3', {}, plugin),
            pairs([
                ['Signed by key', signed],
                ['Manifest', hashOf(manifest)],
                ['Package', packages.length === 0 ? 'none' : el('code', { class: 'hash' }, packages.map(shown).join(', '))],
                ['Validation', words],
            ]),
            ...(issues.length === 0 ? [] : [el('ul', {}, ...issues)]),
        );
    });
}

function showChain(found: Findings): void {
    const { placed } = found;
    const panel = byId('path');
    let chosen: Element | null = null;
    const choose = (row: Element, one: Placed): void => {
        if (row === chosen) return;
        // The drawing's hashes would be much to hear at each step of the keyboard.
        if (chosen !== null) byId('path-says').textContent = inShort(one, found.checkpoint?.size ?? null);
        chosen?.removeAttribute('aria-current');
        row.setAttribute('aria-current', 'true');
        chosen = row;
        panel.replaceChildren(...pathOf(one, found.checkpoint?.size ?? null));
    };
    fill(byId('chain'), placed, (one, at) => {
        const before = placed[at - 1];
        const button = el(
            'button', { type: 'button', id: `event-${one.place?.index}`, 'aria-controls': 'path' },
            el('span', { class: 'index' }, `${one.place?.index ?? '?'}`), ' ',
            el('span', { class: 'kind' }, one.event.kind), ' ',
            el('code', {}, one.event.event_hash.slice(0, 12)), ' ',
            el('span', { class: 'of' }, one.event.plugin_id),
            one.hashed ? '' : el('strong', { class: 'bad' }, ' wrong hash'),
        );
        // A pointer over it, the keyboard on it and a tap are the same.
        for (const act of ['pointerenter', 'focus', 'click']) button.addEventListener(act, () => choose(button, one));
        if (at === 0) choose(button, one);
        return el('li', {}, ...(before ? [linkRow(before, one)] : []), button);
    });
}

function linkRow(before: Placed, after: Placed): HTMLElement {
    const link = linkBetween(before, after);
    const between = (after.place?.index ?? 0) - (before.place?.index ?? 0) - 1;
    const others = `${between} ${between === 1 ? 'event' : 'events'} of other runs between`;
    const words = { holds: 'linked', broken: 'NOT linked: its prev_hash is another', apart: between > 0 ? others : 'not in order' };
    return el('span', { class: 'link', 'data-link': link }, words[link]);
}

/** The words under the verdict about the key. */
export function keyWords(name: string | null, fingerprint: string): Node[] {
    return [
        el('p', {}, 'Key ', el('code', {}, fingerprint.slice(0, 16)), name === null ? '' : el('bdi', {}, ` of ${shown(name)}`)),
        el('p', { class: 'fine' }, 'SHA-256 fingerprint: ', el('code', {}, grouped(fingerprint))),
    ];
}
