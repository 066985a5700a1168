// Making elements. Text of the evidence only ever becomes text, and what could hide or turn it around is written out.

type Attributes = Readonly<Record<string, string>>;
type Child = Node | string;

const HIDDEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu;

/** A text of the evidence for people: characters that nobody sees are written as their numbers. */
export function shown(text: string): string {
    return text.replace(HIDDEN, (one) => `\\u{${(one.codePointAt(0) ?? 0).toString(16)}}`);
}

export function el<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
}

export function svg(tag: string, attributes: Readonly<Record<string, string | number>> = {}, ...children: Child[]): SVGElement {
    const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, `${value}`);
    made.append(...children);
    return made;
}

/** The element of the page that has this id; the page and this script are built together. */
export function byId(id: string): HTMLElement {
    const found = document.getElementById(id);
    if (found === null) throw new Error(`the page has no element '${id}'`);
    return found;
}

/** Hexadecimal digits in groups, which can be compared by eye and by ear. */
export function grouped(digits: string): string {
    return (digits.match(/.{1,4}/g) ?? []).join(' ');
}

/** A hash, whole for machines and for print, short for the eye. */
export function hashOf(digits: string): HTMLElement {
    return digits === '' ? el('span', { class: 'none' }, 'none') : el('code', { class: 'hash' }, digits);
}

/** Names with their values. */
export function pairs(rows: readonly (readonly [string, Child])[]): HTMLElement {
    return el('dl', {}, ...rows.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value))));
}
