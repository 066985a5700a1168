// Bytes, and the ways in which they are written as text. Reading is strict: one text for each sequence of bytes.

/** Why something is not what it should be, in words that end up in a check's detail. */
export class Flaw extends Error {}

const encoder = new TextEncoder();

export function utf8(text: string): Uint8Array<ArrayBuffer> {
    return encoder.encode(text);
}

/** The text of UTF-8 bytes. A byte order mark stays in it, where JSON and keys refuse it. */
export function textOf(bytes: Uint8Array): string {
    try {
        return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
        throw new Flaw('it is not UTF-8');
    }
}

export function join(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
    const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
        whole.set(part, at);
        at += part.length;
    }
    return whole;
}

export function same(one: Uint8Array, other: Uint8Array): boolean {
    return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

export function hex(bytes: Uint8Array): string {
    let text = '';
    for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
    return text;
}

/** The bytes of hexadecimal digits, whose form was checked before. */
export function fromHex(text: string): Uint8Array {
    const bytes = new Uint8Array(text.length / 2);
    for (let at = 0; at < bytes.length; at += 1) bytes[at] = parseInt(text.slice(2 * at, 2 * at + 2), 16);
    return bytes;
}

/** The bytes of padded standard base64, or null where it is not the one way to write them. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> | null {
    let characters: string;
    try {
        characters = atob(text);
    } catch {
        return null;
    }
    // `atob` passes over white space, padding that is missing and bits that are left over; written again, they show.
    return btoa(characters) === text ? Uint8Array.from(characters, (one) => one.charCodeAt(0)) : null;
}

export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
    return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
}
