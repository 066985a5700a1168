// Ed25519 (RFC 8032, section 5.1), verification only, as strict as EVIDENCE.md, section 5, says.
//
// WebCrypto takes keys of small order, with which one signature fits many messages, and leaves to each browser whether the equation
// has the cofactor. So the points and the equation are judged here; WebCrypto is asked too where it knows Ed25519, and both have to
// agree. Nothing here is secret, so nothing has to take the same time.

import { join, same } from './bytes.js';

const P = 2n ** 255n - 19n;
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
const D = mod(-121665n * power(121666n, P - 2n));
const ROOT_OF_MINUS_1 = power(2n, (P - 1n) / 4n);

/** A point (x, y) as x = X/Z, y = Y/Z, xy = T/Z: adding needs no division. */
type Point = readonly [bigint, bigint, bigint, bigint];

const NEUTRAL: Point = [0n, 1n, 1n, 0n];
const BASE = base();

function mod(number: bigint): bigint {
    const rest = number % P;
    return rest < 0n ? rest + P : rest;
}

function power(base: bigint, exponent: bigint): bigint {
    let result = 1n;
    for (let square = mod(base), rest = exponent; rest > 0n; rest >>= 1n) {
        if (rest & 1n) result = (result * square) % P;
        square = (square * square) % P;
    }
    return result;
}

/** The number that bytes hold, the lowest byte first. */
function number(bytes: Uint8Array): bigint {
    return bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

/** The point that 32 bytes encode, or null where they encode none or are not its one canonical encoding. */
function decode(bytes: Uint8Array): Point | null {
    const whole = number(bytes);
    const sign = whole >> 255n;
    const y = whole & ((1n << 255n) - 1n);
    if (bytes.length !== 32 || y >= P) return null;
    // x² = (y² - 1) / (dy² + 1), by RFC 8032, section 5.1.3.
    const u = mod(y * y - 1n);
    const v = mod(D * y * y + 1n);
    let x = mod(u * power(v, 3n) * power(u * power(v, 7n), (P - 5n) / 8n));
    if (mod(v * x * x + u) === 0n) x = mod(x * ROOT_OF_MINUS_1);
    if (mod(v * x * x - u) !== 0n || (x === 0n && sign === 1n)) return null;
    if ((x & 1n) !== sign) x = P - x;
    return [x, y, 1n, mod(x * y)];
}

function encode([X, Y, Z]: Point): Uint8Array {
    const inverse = power(Z, P - 2n);
    let whole = mod(Y * inverse) | ((mod(X * inverse) & 1n) << 255n);
    const bytes = new Uint8Array(32);
    for (let at = 0; at < 32; at += 1, whole >>= 8n) bytes[at] = Number(whole & 255n);
    return bytes;
}

/** The sum of two points; the formula is complete, so they may be equal or neutral. */
function add([X1, Y1, Z1, T1]: Point, [X2, Y2, Z2, T2]: Point): Point {
    const a = mod((Y1 - X1) * (Y2 - X2));
    const b = mod((Y1 + X1) * (Y2 + X2));
    const c = mod(2n * T1 * T2 * D);
    const d = mod(2n * Z1 * Z2);
    const [e, f, g, h] = [b - a, d - c, d + c, b + a];
    return [mod(e * f), mod(g * h), mod(f * g), mod(e * h)];
}

function times(scalar: bigint, point: Point): Point {
    let result = NEUTRAL;
    for (let twice = point, rest = scalar; rest > 0n; rest >>= 1n) {
        if (rest & 1n) result = add(result, twice);
        twice = add(twice, twice);
    }
    return result;
}

function isSmall(point: Point): boolean {
    const [x, y, z] = times(8n, point);
    return x === 0n && y === z;
}

function base(): Point {
    const y = mod(4n * power(5n, P - 2n));
    const bytes = new Uint8Array(32);
    for (let at = 0, rest = y; at < 32; at += 1, rest >>= 8n) bytes[at] = Number(rest & 255n);
    return decode(bytes) ?? NEUTRAL;
}

/** A canonical point that is not of small order, or null. */
function sound(bytes: Uint8Array): Point | null {
    const point = decode(bytes);
    return point === null || isSmall(point) ? null : point;
}

/** Whether 32 bytes are a key that can vouch for anything. */
export function isKey(key: Uint8Array): boolean {
    return sound(key) !== null;
}

/** Whether `signature` (64 bytes) over `message` is one of `key` (32 bytes). */
export async function verifies(
    key: Uint8Array<ArrayBuffer>, message: Uint8Array<ArrayBuffer>, signature: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
    if (signature.length !== 64) return false;
    const [R, s] = [signature.subarray(0, 32), number(signature.subarray(32))];
    const a = sound(key);
    if (a === null || sound(R) === null || s >= ORDER) return false;
    const digest = await crypto.subtle.digest('SHA-512', join(R, key, message));
    const k = number(new Uint8Array(digest)) % ORDER;
    const minusA: Point = [mod(-a[0]), a[1], a[2], mod(-a[3])];
    // [S]B = R + [k]A without the cofactor, written as [S]B + [k](-A) = R.
    return same(encode(add(times(s, BASE), times(k, minusA))), R) && (await libraryAgrees(key, message, signature));
}

/** What WebCrypto says; a browser that does not know Ed25519 has no say. */
async function libraryAgrees(
    key: Uint8Array<ArrayBuffer>, message: Uint8Array<ArrayBuffer>, signature: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
    let imported: CryptoKey;
    try {
        imported = await crypto.subtle.importKey('raw', key, { name: 'Ed25519' }, false, ['verify']);
    } catch {
        return true;
    }
    return crypto.subtle.verify({ name: 'Ed25519' }, imported, signature, message);
}
