// Keys and checkpoints: C2SP signed notes with Ed25519 signatures. EVIDENCE.md, section 5.

import { Flaw, fromBase64, hex, join, same, sha256, utf8 } from './bytes.js';
import { isKey, verifies } from './ed25519.js';

/** What a log's key vouches for: so many events, and the root over their lines. */
export interface Checkpoint {
    readonly size: bigint;
    readonly root: Uint8Array;
}

const ED25519 = Uint8Array.of(1);
/** SubjectPublicKeyInfo of an Ed25519 key (RFC 8410), up to its 32 bytes. */
const SPKI = Uint8Array.of(0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00);
const PEM = /^-----BEGIN PUBLIC KEY-----\r?\n([A-Za-z0-9+/=\r\n]+?)\r?\n-----END PUBLIC KEY-----$/;
const MAX_NOTE_BYTES = 64 * 1024;
/** More witnesses than any policy of use has. */
const MAX_SIGNATURES = 100;
/** White space as Unicode has it, which is not quite that of `\s`. No name may hold any. */
const SPACE = '\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const NO_NAME = new RegExp(`[+${SPACE}]`);
const AROUND = new RegExp(`^[${SPACE}]+|[${SPACE}]+$`, 'g');

function isName(name: string): boolean {
    return name !== '' && !NO_NAME.test(name);
}

/** A key's id in notes: the first 4 bytes of SHA-256 of its name, a newline, the type byte and the key. */
async function noteKeyId(name: string, key: Uint8Array): Promise<Uint8Array> {
    return (await sha256(join(utf8(`${name}\n`), ED25519, key))).subarray(0, 4);
}

/** A log's public key, and its name where the key's file says it. */
export class LogKey {
    private constructor(
        readonly bytes: Uint8Array<ArrayBuffer>,
        readonly name: string | null,
        /** SHA-256 of the 32 bytes, in hexadecimal digits; the first 16 are the key's id. */
        readonly fingerprint: string,
    ) {}

    /** Reads an SPKI PEM file or a C2SP verifier key `name+hash+base64`. */
    static async parse(given: string): Promise<LogKey> {
        const text = given.replace(AROUND, '');
        const [bytes, name] = text.startsWith('-----BEGIN') ? [fromPem(text), null] : await fromVkey(text);
        if (!isKey(bytes)) throw new Flaw('the key is no Ed25519 key, or one so weak that it vouches for nothing');
        return new LogKey(bytes, name, hex(await sha256(bytes)));
    }

    get id(): string {
        return this.fingerprint.slice(0, 16);
    }

    /** What a checkpoint says, where this key signed it and it has exactly the form of one. */
    async open(note: string, mayBeCosigned: boolean): Promise<Checkpoint> {
        const { text, lines } = split(note);
        const [only] = lines;
        if (!mayBeCosigned && (only === undefined || lines.length > 1 || only.signature.length !== 64)) {
            throw new Flaw('the checkpoint has not exactly one Ed25519 signature');
        }
        // A PEM file says no name: then the checkpoint's own counts, which the key's id is made of.
        const name = this.name ?? text.split('\n', 1)[0] ?? '';
        const keyId = await noteKeyId(name, this.bytes);
        const [own, second] = lines.filter((line) => line.name === name && same(line.keyId, keyId));
        if (own === undefined) throw new Flaw(`the checkpoint is not signed by key ${name}+${hex(keyId)}`);
        if (second !== undefined) throw new Flaw('the checkpoint has two signatures by one key');
        if (!(await verifies(this.bytes, utf8(text), own.signature))) throw new Flaw("the checkpoint's signature does not hold");
        return readCheckpoint(text, name);
    }
}

function fromPem(text: string): Uint8Array<ArrayBuffer> {
    const der = fromBase64((PEM.exec(text)?.[1] ?? '').replace(/[\r\n]/g, ''));
    if (der === null || der.length !== 44 || !same(der.subarray(0, SPKI.length), SPKI)) {
        throw new Flaw('the PEM file holds no Ed25519 public key');
    }
    return der.slice(SPKI.length);
}

async function fromVkey(text: string): Promise<[Uint8Array<ArrayBuffer>, string]> {
    // The base64 part may itself hold a plus sign, so the first two divide.
    const [, name = '', hash = '', encoded = ''] = /^([^+]*)\+([^+]*)\+([^]*)$/.exec(text) ?? [];
    const data = fromBase64(encoded);
    if (!isName(name) || data === null || data.length !== 33 || data[0] !== ED25519[0]) {
        throw new Flaw('the key is neither a PEM public key (Ed25519) nor a verifier key name+hash+base64');
    }
    const bytes = data.slice(1);
    if (hash !== hex(await noteKeyId(name, bytes))) throw new Flaw("the verifier key's hash is not that of its name and key");
    return [bytes, name];
}

interface SignatureLine {
    readonly name: string;
    readonly keyId: Uint8Array;
    readonly signature: Uint8Array<ArrayBuffer>;
}

/** Divides a note into its text with the last newline, and its signature lines. */
function split(note: string): { text: string; lines: readonly SignatureLine[] } {
    if (utf8(note).length > MAX_NOTE_BYTES) throw new Flaw('the checkpoint is too long');
    const at = note.lastIndexOf('\n\n');
    if (at < 0 || !note.endsWith('\n') || at + 2 >= note.length) {
        throw new Flaw('the checkpoint has not a text, an empty line and a signature line, each ended by a newline');
    }
    const lines = note.slice(at + 2, -1).split('\n');
    if (lines.length > MAX_SIGNATURES) throw new Flaw('the checkpoint has too many signatures');
    return { text: note.slice(0, at + 1), lines: lines.map(readLine) };
}

/** A signature line of any kind. */
function readLine(line: string): SignatureLine {
    const [, name = '', encoded = ''] = /^\u2014 ([^ ]*) ([^]*)$/.exec(line) ?? [];
    const data = fromBase64(encoded);
    if (!isName(name) || data === null || data.length < 5) throw new Flaw('a signature line of the checkpoint has not the form of one');
    return { name, keyId: data.slice(0, 4), signature: data.slice(4) };
}

/** Reads the three lines of a checkpoint's text: origin, size and root. */
function readCheckpoint(text: string, signer: string): Checkpoint {
    const lines = text.split('\n');
    const [origin, size = '', encoded = ''] = lines;
    if (lines.length !== 4 || lines[3] !== '') throw new Flaw("the checkpoint's text has not exactly three lines");
    if (origin !== signer) throw new Flaw("the checkpoint's origin is not the name of its signer");
    if (!/^[1-9][0-9]{0,19}$/.test(size) || BigInt(size) >= 2n ** 64n) {
        throw new Flaw("the checkpoint's size is not a plain positive number");
    }
    const root = fromBase64(encoded);
    if (root === null || root.length !== 32) throw new Flaw("the checkpoint's root is not the base64 of 32 bytes");
    return { size: BigInt(size), root };
}
