// What the page does: takes the bundle and the key that it was made with or that its reader gives, and sets its verdict anew for each.

import { Flaw, fromBase64, textOf } from './bytes.js';
import type { Findings, Trust } from './checks.js';
import { verify } from './checks.js';
import { byId, el, shown } from './dom.js';
import { verifies } from './ed25519.js';
import { canonical, readJson } from './json.js';
import { LogKey } from './note.js';
import { keyWords, showChecks, showRun } from './view.js';

// For whoever runs this script without a page, as the tests do.
export { Flaw, canonical, readJson, verifies, verify };

const MAX_KEY_BYTES = 64 * 1024;

/** The bytes of a key's file as what they are trusted for. */
export async function trustIn(bytes: Uint8Array): Promise<Trust> {
    try {
        if (bytes.length > MAX_KEY_BYTES) throw new Flaw('the key file is too large');
        return await LogKey.parse(textOf(bytes));
    } catch (flaw) {
        if (flaw instanceof Flaw) return flaw;
        throw flaw;
    }
}

/** Whether a file that was dropped is a key; anything else is taken for a bundle. */
function looksLikeKey(bytes: Uint8Array): boolean {
    const start = String.fromCharCode(...bytes.subarray(0, 256)).trim();
    return start.startsWith('-----BEGIN') || /^[^\s+{]+\+[0-9a-f]{8}\+/.test(start);
}

class Page {
    private bundle: Uint8Array | null = null;
    private trust: Trust = null;
    private whose = '';
    /** Counts what was given: an answer about what came before is thrown away. */
    private turn = 0;

    async start(): Promise<void> {
        this.bundle = embedded('embedded-bundle');
        const key = embedded('embedded-key');
        if (key !== null) await this.takeKey(key, 'The key that was given when this page was made.');
        await this.judge();
        onFile('bundle-file', (file) => this.give(async () => this.takeBundle(await bytesOf(file))));
        onFile('key-file', (file) => this.give(async () => this.takeKey(await bytesOf(file), 'The key that you gave.')));
        this.takeDrops();
    }

    private takeBundle(bytes: Uint8Array): void {
        this.bundle = bytes;
    }

    private async takeKey(bytes: Uint8Array, whose: string): Promise<void> {
        this.trust = await trustIn(bytes);
        this.whose = whose;
    }

    private async give(take: () => Promise<void>): Promise<void> {
        // Nobody may see the verdict on what was there before beside what is there now.
        this.unsay();
        try {
            await take();
            await this.judge();
        } catch (error) {
            fail(error);
        }
    }

    private takeDrops(): void {
        document.addEventListener('dragover', (event) => event.preventDefault());
        document.addEventListener('drop', (event) => {
            event.preventDefault();
            const files = [...(event.dataTransfer?.files ?? [])];
            void this.give(async () => {
                for (const file of files) {
                    const bytes = await bytesOf(file);
                    if (looksLikeKey(bytes)) await this.takeKey(bytes, 'The key that you gave.');
                    else this.takeBundle(bytes);
                }
            });
        });
    }

    private unsay(): void {
        this.turn += 1;
        delete document.documentElement.dataset['verdict'];
        say('Checking …', 'none');
    }

    private async judge(): Promise<void> {
        this.unsay();
        const turn = this.turn;
        this.showKey();
        if (this.bundle === null) {
            say('There is no bundle in this page: give one below.', 'none');
            return;
        }
        const found = await verify(this.bundle, this.trust);
        if (turn !== this.turn) return;
        showChecks(found.checks);
        showRun(found);
        this.conclude(found);
    }

    private conclude({ valid, bundle, checks }: Findings): void {
        const run = bundle === null ? '' : ` of run ${shown(bundle.run_id)}`;
        byId('title').replaceChildren('Proof', bundle === null ? '' : ' of run ', el('bdi', {}, bundle === null ? '' : shown(bundle.run_id)));
        const failed = checks.filter((check) => check.outcome === 'fail').map((check) => check.name);
        if (valid && this.trust === null) {
            document.title = `Proof${run}: not judged`;
            say("Not judged yet: give the log's public key, which you have from the operator.", 'none');
            return;
        }
        document.title = `Proof${run}: ${valid ? 'valid' : 'NOT VALID'}`;
        say(valid ? 'Valid' : `NOT VALID: ${failed.join(', ')}`, valid ? 'valid' : 'invalid');
        document.documentElement.dataset['verdict'] = valid ? 'valid' : 'invalid';
    }

    private showKey(): void {
        const trust = this.trust;
        if (trust === null) byId('key').replaceChildren(el('p', {}, 'No key was given. A key inside a bundle proves nothing, so none is looked for there.'));
        else if (trust instanceof Flaw) byId('key').replaceChildren(el('p', { class: 'bad' }, `${this.whose} It cannot be used: ${shown(trust.message)}.`));
        else byId('key').replaceChildren(el('p', {}, this.whose), ...keyWords(trust.name, trust.fingerprint));
    }
}

function say(words: string, verdict: string): void {
    const banner = byId('verdict');
    banner.textContent = words;
    banner.dataset['is'] = verdict;
}

/** What was put into the page when it was made, or null. */
function embedded(id: string): Uint8Array | null {
    const text = byId(id).textContent?.trim() ?? '';
    return text === '' ? null : fromBase64(text);
}

async function bytesOf(file: File): Promise<Uint8Array> {
    return new Uint8Array(await file.arrayBuffer());
}

function onFile(id: string, take: (file: File) => Promise<void>): void {
    const input = byId(id) as HTMLInputElement;
    // So that a file that was changed meanwhile can be given again under its name.
    input.addEventListener('click', () => {
        input.value = '';
    });
    input.addEventListener('change', () => {
        const file = input.files?.[0];
        if (file) void take(file);
    });
}

/** A fault of this page is no verdict on the bundle, and certainly no good one. */
function fail(error: unknown): void {
    const why = globalThis.crypto?.subtle ? `${error}` : 'the browser gives a page from here no WebCrypto: open it as a file, or over https';
    say(`Nothing could be checked: ${why}`, 'invalid');
    document.documentElement.dataset['verdict'] = 'invalid';
}

/** Paper has no rows to open, and shows what this page hides. */
function openForPrint(): void {
    let opened: HTMLDetailsElement[] = [];
    addEventListener('beforeprint', () => {
        opened = [...document.querySelectorAll('details')].filter((one) => !one.open);
        for (const one of opened) one.open = true;
    });
    addEventListener('afterprint', () => {
        for (const one of opened) one.open = false;
    });
}

if (typeof document !== 'undefined') {
    openForPrint();
    void new Page().start().catch(fail);
}
