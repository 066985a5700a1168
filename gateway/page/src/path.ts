// The way of one event to the checkpoint's root: a drawing, and the same in words.

import { hex } from './bytes.js';
import type { Placed } from './checks.js';
import { el, shown, svg } from './dom.js';

const [WIDTH, ROW, TOP] = [340, 58, 24];
const [BOX_WIDTH, BOX_HEIGHT] = [96, 26];
/** Where left siblings, the way itself, and right siblings stand. */
const [LEFT, MIDDLE, RIGHT] = [56, 170, 284];
const SHORT = 8;

/** Whether an event is bound to the root, in a sentence. */
export function inShort({ way }: Placed, size: bigint | null): string {
    if (size === null) return 'There is no checkpoint that the key vouches for.';
    if (way === null) return "Its hashes do not lead to the checkpoint's root.";
    return `${way.length} ${way.length === 1 ? 'step leads' : 'steps lead'} from its leaf to the root over ${size} events, which the key signed.`;
}

/** The whole of it. */
export function pathOf(one: Placed, size: bigint | null): Node[] {
    const { event, place, way } = one;
    const name = `Event ${place?.index ?? '?'}: ${event.kind}`;
    const title = el('h3', {}, name);
    const words = inShort(one, size);
    if (way === null) return [title, el('p', { class: 'bad' }, words), hashes(one)];
    const steps = way.map(({ sibling, left, hash }) => el('li', {}, `with ${hex(sibling)} on the ${left ? 'left' : 'right'} it gives ${hex(hash)}`));
    return [
        title,
        el('p', {}, words),
        drawing(one, name),
        el('details', {}, el('summary', {}, 'The steps in words'), el('p', {}, `The leaf is ${hex(one.leaf)}.`), el('ol', {}, ...steps)),
        hashes(one),
    ];
}

function hashes({ event, hashed }: Placed): HTMLElement {
    const own = `${event.event_hash} (${hashed ? 'it is' : 'it is NOT'} the hash of the event)`;
    return el('p', { class: 'fine' }, `event_hash ${own}; prev_hash ${event.prev_hash || 'none'}; event_id ${shown(event.event_id)}`);
}

function drawing({ leaf, way }: Placed, name: string): SVGElement {
    const steps = way ?? [];
    const height = TOP + steps.length * ROW + BOX_HEIGHT;
    // The root is at the top, as trees are drawn here.
    const y = (level: number): number => TOP + (steps.length - level) * ROW;
    const parts: Node[] = [];
    steps.forEach((step, level) => {
        const beside = step.left ? LEFT : RIGHT;
        parts.push(line(MIDDLE, y(level), MIDDLE, y(level + 1), 'way'), line(beside, y(level), MIDDLE, y(level + 1), 'side'));
    });
    steps.forEach((step, level) => parts.push(...box(step.left ? LEFT : RIGHT, y(level), hex(step.sibling), 'sibling')));
    [leaf, ...steps.map((step) => step.hash)].forEach((hash, level) => {
        const role = level === steps.length ? 'root' : level === 0 ? 'leaf' : 'inner';
        parts.push(...box(MIDDLE, y(level), hex(hash), role));
    });
    const attributes = { viewBox: `0 0 ${WIDTH} ${height}`, width: WIDTH, height, role: 'img', class: 'tree' };
    return svg('svg', { ...attributes, 'aria-label': `${name}: the way of ${steps.length} steps from its leaf to the root` }, ...parts);
}

function line(x1: number, y1: number, x2: number, y2: number, role: string): SVGElement {
    return svg('line', { x1, y1, x2, y2, class: role });
}

function box(x: number, y: number, hash: string, role: string): SVGElement[] {
    const at = { x: x - BOX_WIDTH / 2, y: y - BOX_HEIGHT / 2, width: BOX_WIDTH, height: BOX_HEIGHT, rx: 5 };
    return [svg('rect', { ...at, class: role }), svg('text', { x, y: y + 4, class: role }, hash.slice(0, SHORT))];
}
