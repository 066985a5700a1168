// The tree over the events' lines (RFC 6962). EVIDENCE.md, section 4.

import { hex, join, sha256 } from './bytes.js';

export type Hash = Uint8Array;

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

export function leafHash(line: Uint8Array): Promise<Hash> {
    return sha256(join(LEAF, line));
}

/** Hashes pairs. The ways of a run's events to the root share most of their nodes, so each pair is hashed once. */
export class Nodes {
    private readonly known = new Map<string, Promise<Hash>>();

    node(left: Hash, right: Hash): Promise<Hash> {
        const name = hex(left) + hex(right);
        let made = this.known.get(name);
        if (made === undefined) {
            made = sha256(join(NODE, left, right));
            this.known.set(name, made);
        }
        return made;
    }

    /** The root over leaves, from the largest power of two below their number on. */
    async root(leaves: readonly Hash[]): Promise<Hash> {
        const [only] = leaves;
        if (only === undefined) return sha256(new Uint8Array());
        if (leaves.length === 1) return only;
        let half = 1;
        while (half * 2 < leaves.length) half *= 2;
        return this.node(await this.root(leaves.slice(0, half)), await this.root(leaves.slice(half)));
    }
}

/** One step of the way from a leaf to the root. */
export interface Step {
    readonly sibling: Hash;
    /** Whether the sibling is the left one. */
    readonly left: boolean;
    /** The hash of the two. */
    readonly hash: Hash;
}

/** The way to the root that an inclusion proof describes (RFC 9162, section 2.1.3.2), or null where it is too short or too long. */
export async function wayToRoot(
    nodes: Nodes, leaf: Hash, index: number, size: bigint, path: readonly Hash[],
): Promise<readonly Step[] | null> {
    let node = BigInt(index);
    if (node >= size) return null;
    let last = size - 1n;
    let found = leaf;
    const steps: Step[] = [];
    for (const sibling of path) {
        if (last === 0n) return null;
        const left = (node & 1n) === 1n || node === last;
        found = await (left ? nodes.node(sibling, found) : nodes.node(found, sibling));
        steps.push({ sibling, left, hash: found });
        while (left && node !== 0n && (node & 1n) === 0n) {
            node >>= 1n;
            last >>= 1n;
        }
        node >>= 1n;
        last >>= 1n;
    }
    return last === 0n ? steps : null;
}
