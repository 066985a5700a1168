// Asks the page's own script, run without a page, about many bundles or signatures in one process.
//
//     verdicts.mjs PAGE bundles FILE KEY      the outcomes of each line of FILE, a bundle in base64
//     verdicts.mjs PAGE signatures FILE       whether each line of FILE holds: key, message and signature in hexadecimal digits
//     verdicts.mjs PAGE library FILE          the same by WebCrypto alone, which is less strict
//
// It prints one JSON array.

import { readFileSync } from 'node:fs';
import vm from 'node:vm';

const [file, mode, of, key] = process.argv.slice(2);
const html = readFileSync(file, 'utf8');
const script = html.slice(html.lastIndexOf('<script>') + '<script>'.length, html.lastIndexOf('</script>'));
const page = vm.runInThisContext(`${script};page`);


async function library(publicKey, message, signature) {
    try {
        const imported = await crypto.subtle.importKey('raw', publicKey, { name: 'Ed25519' }, false, ['verify']);
        return await crypto.subtle.verify({ name: 'Ed25519' }, imported, signature, message);
    } catch {
        return false;
    }
}

const signature = (judge) => (line) =>
    judge(...line.split(',').map((part) => new Uint8Array(Buffer.from(part, 'hex'))));

const trust = mode === 'bundles' ? await page.trustIn(new Uint8Array(readFileSync(key))) : null;
const judge = {
    bundles: async (line) => (await page.verify(new Uint8Array(Buffer.from(line, 'base64')), trust)).checks.map((check) => check.outcome),
    signatures: signature(page.verifies),
    library: signature(library),
}[mode];

const found = [];
for (const line of readFileSync(of, 'utf8').trimEnd().split('\n')) found.push(await judge(line));
console.log(JSON.stringify(found));
