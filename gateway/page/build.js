// Makes built/page.html: the template with the style and the script in it, and their hashes in its Content-Security-Policy.
// With --check it writes nothing, and fails where the committed file is another.

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';

const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const read = (name) => readFileSync(path(name), 'utf8');

// It stays readable: an auditor may look at what judges.
const built = buildSync({
    entryPoints: [path('src/main.ts')],
    bundle: true,
    write: false,
    format: 'iife',
    globalName: 'page',
    target: 'es2022',
    charset: 'ascii',
    absWorkingDir: path('.'),
});
const script = `\n${built.outputFiles[0].text}`;
const style = `\n${read('style.css')}`;
const hash = (text) => `sha256-${createHash('sha256').update(text).digest('base64')}`;

// Functions, because a text in the place of a match would have its dollar signs read.
const page = read('template.html')
    .replace('SCRIPT-HASH', () => hash(script))
    .replace('STYLE-HASH', () => hash(style))
    .replace('<style>STYLE', () => `<style>${style}`)
    .replace('<script>SCRIPT', () => `<script>${script}`);
if (/<\/script/i.test(script)) throw new Error('the script would end itself');

const target = 'built/page.html';
if (!process.argv.includes('--check')) {
    writeFileSync(path(target), page);
} else if (read(target) !== page) {
    console.error(`${target} is not what the sources make: run \`npm run build\` in gateway/page`);
    process.exit(1);
}
