// JSON: a strict reader, which `JSON.parse` is not, and the one canonical form (RFC 8785). EVIDENCE.md, section 1.

import { Flaw, textOf } from './bytes.js';

export type Json = null | boolean | number | string | Json[] | JsonObject;

/** An object; a map, because a name such as `__proto__` is a name like any other. */
export type JsonObject = Map<string, Json>;

/** Deeper is nothing that a gateway writes, and a reader's own stack has an end. */
const MAX_DEPTH = 128;

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
/** As much of a text as needs no second look. */
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const SPACE = /[ \t\n\r]*/y;
const ESCAPES: Readonly<Record<string, string>> = {
    '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t',
};
const WORDS: readonly (readonly [string, Json])[] = [['null', null], ['true', true], ['false', false]];
const HALF_OF_A_PAIR = /\p{Surrogate}/u;

/** Reads one JSON value in any form; no name twice, no half of a surrogate pair, and no numbers but integers that a double holds. */
export function readJson(bytes: Uint8Array): Json {
    return new Reader(textOf(bytes)).whole();
}

class Reader {
    private at = 0;

    constructor(private readonly text: string) {}

    whole(): Json {
        const value = this.value(0);
        this.space();
        if (this.at !== this.text.length) throw this.flaw('there is more behind the value');
        return value;
    }

    private flaw(what: string): Flaw {
        return new Flaw(`it is not JSON at character ${this.at}: ${what}`);
    }

    /** What `pattern` matches here, perhaps nothing. */
    private take(pattern: RegExp): string {
        pattern.lastIndex = this.at;
        const found = pattern.exec(this.text)?.[0] ?? '';
        this.at += found.length;
        return found;
    }

    private space(): void {
        this.take(SPACE);
    }

    /** Whether `mark` is next; if so, it is passed. */
    private passes(mark: string): boolean {
        this.space();
        const found = this.text.startsWith(mark, this.at);
        if (found) this.at += mark.length;
        return found;
    }

    private value(depth: number): Json {
        if (depth > MAX_DEPTH) throw this.flaw('it is nested too deeply');
        if (this.passes('{')) return this.object(depth);
        if (this.passes('[')) return this.array(depth);
        if (this.passes('"')) return this.string();
        for (const [word, value] of WORDS) if (this.passes(word)) return value;
        return this.number();
    }

    private object(depth: number): JsonObject {
        const members: JsonObject = new Map();
        if (this.passes('}')) return members;
        do {
            if (!this.passes('"')) throw this.flaw('a name is expected');
            const name = this.string();
            if (members.has(name)) throw this.flaw(`the name ${quoted(name)} stands twice in one object`);
            if (!this.passes(':')) throw this.flaw('a colon is expected');
            members.set(name, this.value(depth + 1));
        } while (this.passes(','));
        if (!this.passes('}')) throw this.flaw('a comma or a brace is expected');
        return members;
    }

    private array(depth: number): Json[] {
        const items: Json[] = [];
        if (this.passes(']')) return items;
        do items.push(this.value(depth + 1));
        while (this.passes(','));
        if (!this.passes(']')) throw this.flaw('a comma or a bracket is expected');
        return items;
    }

    /** The rest of a text behind its opening quote. */
    private string(): string {
        let text = '';
        for (;;) {
            text += this.take(PLAIN);
            const mark = this.text[this.at];
            if (mark === '"') break;
            if (mark !== '\\') throw this.flaw('a text has no end, or holds a control character');
            text += this.escape();
        }
        this.at += 1;
        if (HALF_OF_A_PAIR.test(text)) throw this.flaw('it holds half of a surrogate pair');
        return text;
    }

    private escape(): string {
        const letter = this.text[this.at + 1] ?? '';
        const digits = this.text.slice(this.at + 2, this.at + 6);
        const plain = Object.hasOwn(ESCAPES, letter) ? ESCAPES[letter] : undefined;
        if (plain !== undefined) {
            this.at += 2;
            return plain;
        }
        if (letter !== 'u' || !/^[0-9a-fA-F]{4}$/.test(digits)) throw this.flaw('this is no escape');
        this.at += 6;
        return String.fromCharCode(parseInt(digits, 16));
    }

    private number(): number {
        const literal = this.take(NUMBER);
        if (literal === '') throw this.flaw('a value is expected');
        const number = Number(literal);
        const vanished = number === 0 && /[1-9]/.test(literal.split(/[eE]/)[0] ?? '');
        if (vanished || !Number.isSafeInteger(number)) {
            throw this.flaw(`the number ${literal.slice(0, 40)} is not an integer that a double holds`);
        }
        return number === 0 ? 0 : number;
    }
}

/** The canonical JSON of a value that was read here. Strings compare by UTF-16 code units, which is RFC 8785's order. */
export function canonical(value: Json): string {
    if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
    if (value instanceof Map) {
        const names = [...value.keys()].sort((one, other) => (one < other ? -1 : 1));
        return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value.get(name) ?? null)}`).join(',')}}`;
    }
    // Of these the library writes exactly what RFC 8785 says.
    return JSON.stringify(value);
}

/** A text from the evidence as it may stand in a sentence: quoted, and cut to a readable length. */
export function quoted(text: string): string {
    return JSON.stringify(text.length <= 80 ? text : `${text.slice(0, 80)}...`);
}
