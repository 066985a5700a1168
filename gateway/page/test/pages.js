// What the tests of the page share: the command, runs of it, a browser, and how a test that cannot be run says so.

import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import vm from 'node:vm';

export const project = (path) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));

/** The page's own script, run without a page: the very bytes that judge in a browser. */
export function verifier() {
    const html = readFileSync(project('gateway/page/built/page.html'), 'utf8');
    const script = html.slice(html.lastIndexOf('<script>') + '<script>'.length, html.lastIndexOf('</script>'));
    return vm.runInThisContext(`${script};page`);
}

/** A code block of EVIDENCE.md by its name. */
export function example(name) {
    const blocks = readFileSync(project('EVIDENCE.md'), 'utf8').split('```');
    const block = blocks.find((text) => text.split('\n', 1)[0].split(' ')[1] === name);
    return `${block.split('\n').slice(1, -1).join('\n')}\n`;
}

/** A folder that is gone after the test. */
export function folder(t) {
    const path = mkdtempSync(join(tmpdir(), 'page-'));
    t.after(() => rmSync(path, { recursive: true, force: true }));
    return path;
}

/** Ends a test that cannot be run here. With REQUIRE_ALL=1 that is a failure. */
export function skip(t, reason) {
    if (process.env.REQUIRE_ALL === '1') throw new Error(`skipped, and REQUIRE_ALL=1 says that nothing may be: ${reason}`);
    process.stderr.write(`skipped ${t.name}: ${reason}\n`);
    t.skip(reason);
}

/** The built command, or null. */
export function command() {
    const path = process.env.PLUGIN_GATEWAY ?? project('target/debug/plugin-gateway');
    return existsSync(path) ? path : null;
}

/** Runs the command; a verb that ends with another code than 0 or 1 fails the test. */
export function gateway(...words) {
    try {
        return execFileSync(command(), words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    } catch (error) {
        if (error.status === 1) return error.stdout;
        throw new Error(`plugin-gateway ${words.join(' ')}: ${error.stderr}`);
    }
}

const BROWSERS = ['/usr/bin/chromium', '/usr/bin/chromium-browser'];
/** None of them lets the browser ask anything of a network by itself. */
const QUIET = [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--disable-default-apps', '--disable-extensions', '--metrics-recording-only',
    // What it asks for itself all the same finds nobody.
    '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
];

/** A browser with an empty profile, or why there is none. */
export async function browser(more = []) {
    const executablePath = BROWSERS.find((path) => existsSync(path));
    if (executablePath === undefined) return 'chromium is not installed';
    let core;
    try {
        core = await import('playwright-core');
    } catch {
        return 'playwright-core is not there: the registry of npm gives it (npm ci in gateway/page)';
    }
    return core.chromium.launch({ executablePath, args: [...QUIET, ...more] });
}

/** A state with one run of calls that a plugin answers, calls that are refused, and one that fails; the run's bundle, key and pages. */
export function exported(to) {
    const state = join(to, 'state');
    const at = (name) => join(to, name);
    const own = (...words) => gateway('--state', state, ...words);
    own('init');
    own('invoke', 'p.test.nobody', '--text', 'first', '--run', 'audit \u{1f600}');
    own('invoke', 'p.test.other', '--text', 'x', '--run', 'another run');
    own('invoke', 'p.test.nobody', '--text', 'second', '--run', 'audit \u{1f600}');
    own('ledger', 'page', '--run', 'audit \u{1f600}', '--out', at('run.html'));
    own('proof', 'export', 'audit \u{1f600}', '--out', at('bundle.json'));
    const [bundle, key] = [at('bundle.json'), join(state, 'log.pub')];
    own('proof', 'page', bundle, '--key', key, '--out', at('with-key.html'));
    own('proof', 'page', bundle, '--out', at('without-key.html'));
    return { state, bundle, key, vkey: join(state, 'log.vkey'), page: at('with-key.html'), keyless: at('without-key.html'), run: at('run.html') };
}

/** A page of a run that a plugin answered, and the key that signed it; null where there is no plugin. */
export function answered(to) {
    const sample = project('target/packages/hello-sh');
    if (!existsSync(sample)) return null;
    const at = (name) => join(to, name);
    const own = (...words) => gateway('--state', at('answering'), ...words);
    cpSync(sample, at('package'), { recursive: true });
    own('init');
    own('keygen', '--out', at('author'));
    own('sign', at('package'), '--key', at('author'));
    const signer = JSON.parse(own('--json', 'trust', 'add', at('author.pub'))).key_id;
    const plugin = JSON.parse(own('--json', 'register', at('package'))).plugin_id;
    own('enable', plugin);
    own('invoke', plugin, '--text', 'Ada', '--run', 'answered');
    own('ledger', 'page', '--run', 'answered', '--out', at('answered.html'));
    return { page: at('answered.html'), signer };
}

/** Writes a bundle with one thing changed beside the good one. */
export function changed(bundle, to, change) {
    const value = JSON.parse(readFileSync(bundle, 'utf8'));
    change(value);
    writeFileSync(to, JSON.stringify(value));
    return to;
}
