// The page in a real browser, made by the real command.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { test } from 'node:test';

import { answered, browser, changed, command, example, exported, folder, gateway, skip } from './pages.js';

const CHECKS = [
    'schema', 'event_hashes', 'run_order', 'checkpoint_signature', 'inclusion', 'run_completeness', 'attachments', 'chain_links',
    'beyond_the_bundle',
];

/** What the page says once it is done: its verdict, and each check with its outcome. */
async function said(page) {
    await page.waitForSelector('html[data-verdict]');
    return page.evaluate(() => ({
        verdict: document.documentElement.dataset.verdict,
        checks: [...document.querySelectorAll('[data-check]')].map((row) => [row.dataset.check, row.dataset.outcome]),
    }));
}

/** What the command says of the same bundle. */
function verdict(bundle, key) {
    const report = JSON.parse(gateway('--json', 'proof', 'verify', bundle, '--key', key));
    return { verdict: report.valid ? 'valid' : 'invalid', checks: report.checks.map((check) => [check.name, check.outcome]) };
}

test('the page in a browser', async (t) => {
    if (command() === null) return skip(t, 'the command is not built');
    const to = folder(t);
    const log = join(to, 'net.json');
    const found = await browser([`--log-net-log=${log}`]);
    if (typeof found === 'string') return skip(t, found);
    t.after(() => found.close());
    const made = exported(to);
    const context = await found.newContext();
    const asked = [];
    context.on('request', (request) => asked.push(request.url()));
    const messages = [];
    context.on('console', (message) => messages.push(message.text()));
    context.on('weberror', (error) => messages.push(`${error.error()}`));
    const open = async (file) => {
        const page = await context.newPage();
        await page.goto(pathToFileURL(file).href);
        return page;
    };
    const opened = [];

    await t.test('says what the command says', async () => {
        for (const file of [made.page, made.run]) {
            const page = await open(file);
            opened.push(file);
            const { verdict: word, checks } = await said(page);
            assert.equal(word, 'valid');
            assert.deepEqual(checks.map(([name]) => name), CHECKS);
            assert.ok(checks.every(([, outcome]) => outcome !== 'fail'));
            if (file === made.page) assert.deepEqual(checks, verdict(made.bundle, made.key).checks);
            // Three calls that nobody answered, of which two are of this run.
            assert.equal(await page.locator('#calls > li[data-status="rejected"]').count(), 2);
            assert.match(await page.locator('#calls').innerText(), /p\.test\.nobody[^]*not found/);
            await page.close();
        }
    });

    await t.test('sets its verdict anew for every file', async () => {
        const page = await open(made.page);
        opened.push(made.page);
        await said(page);
        const bundle = page.getByLabel(/bundle/i);
        const key = page.getByLabel(/key/i).and(page.locator('input[type=file]'));
        assert.equal(await page.locator('input[type=file]').count(), 2);
        assert.equal(await bundle.count(), 1);
        assert.equal(await key.count(), 1);
        /** The verdict on a file that is given now; the one before is gone as soon as it is given. */
        const give = async (input, file) => {
            await page.evaluate(() => new MutationObserver((_, observer) => {
                if (!('verdict' in document.documentElement.dataset)) document.documentElement.dataset.unsaid = 'yes';
                else if ('unsaid' in document.documentElement.dataset) observer.disconnect();
            }).observe(document.documentElement, { attributeFilter: ['data-verdict'] }));
            await input.setInputFiles(file);
            await page.waitForSelector('html[data-unsaid][data-verdict]');
            await page.evaluate(() => delete document.documentElement.dataset.unsaid);
            return said(page);
        };
        const other = folder(t);
        gateway('--state', join(other, 'state'), 'init');
        const stranger = join(other, 'state', 'log.pub');
        const bad = (name, change) => changed(made.bundle, join(to, name), change);
        const files = [
            bad('event.json', (value) => (value.events[0].meta.cause = 'other')),
            bad('missing.json', (value) => [value.events, value.inclusion].forEach((list) => list.pop())),
            bad('time.json', (value) => (value.created_at = '2026-01-31T12:00:00.000Z')),
            bad('member.json', (value) => (value.more = 1)),
            bad('signature.json', (value) => (value.checkpoint = value.checkpoint.replace('\n\n', '\n\n\n'))),
        ];
        for (const file of files) {
            assert.deepEqual(await give(bundle, file), { ...verdict(file, made.key), verdict: 'invalid' });
            assert.equal((await give(bundle, made.bundle)).verdict, 'valid');
        }
        assert.deepEqual(await give(key, stranger), verdict(made.bundle, stranger));
        for (const file of [made.vkey, made.key]) {
            assert.equal((await give(key, made.bundle)).verdict, 'invalid', 'this is no key');
            assert.equal((await give(key, file)).verdict, 'valid');
        }
        // Dropped files are told apart by what they hold.
        const drop = (name, text) => page.evaluate(([name, text]) => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([text], name));
            document.body.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }));
        }, [name, text]);
        await drop('x', readFileSync(stranger, 'utf8'));
        await page.waitForSelector('html[data-verdict=invalid]');
        await drop('x', readFileSync(made.vkey, 'utf8'));
        await page.waitForSelector('html[data-verdict=valid]');
        await drop('x', readFileSync(files[0], 'utf8'));
        await page.waitForSelector('html[data-verdict=invalid]');
        await page.close();
    });

    await t.test('trusts no key but the one that is given', async () => {
        const page = await open(made.keyless);
        opened.push(made.keyless);
        await page.waitForSelector('[data-check=beyond_the_bundle]');
        await page.waitForFunction(() => document.title.includes('not judged'));
        assert.equal(await page.locator('html[data-verdict]').count(), 0);
        assert.equal(await page.locator('[data-check=checkpoint_signature]').getAttribute('data-outcome'), 'not_checked');
        await page.locator('#key-file').setInputFiles(made.vkey);
        assert.equal((await said(page)).verdict, 'valid');
        // A key of small order, under which WebCrypto takes a signature over anything.
        const weak = join(to, 'weak.pub');
        const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), Buffer.from([1]), Buffer.alloc(31)]);
        writeFileSync(weak, `-----BEGIN PUBLIC KEY-----\n${der.toString('base64')}\n-----END PUBLIC KEY-----\n`);
        await page.locator('#key-file').setInputFiles(weak);
        await page.waitForSelector('html[data-verdict=invalid]');
        assert.match(await page.locator('#key').innerText(), /so weak/);
        await page.close();
    });

    await t.test('shows who signed the plugin of a call, how long it took and what it was refused', async (t) => {
        const file = answered(to);
        if (file === null) return skip(t, 'the sample packages are not built (scripts/packages)');
        const page = await open(file.page);
        opened.push(file.page);
        assert.equal((await said(page)).verdict, 'valid');
        const call = page.locator('#calls > li[data-status="ok"]');
        assert.match(await call.locator('summary').innerText(), /ok[^]*p\.hello\.sh[^]*\d+ ms/);
        await call.locator('summary').click();
        assert.match(await call.innerText(), new RegExp(`Signed by key\\s+${file.signer}`));
        assert.match(await page.locator('#plugins').innerText(), new RegExp(`p\\.hello\\.sh[^]*Signed by key\\s+${file.signer}`));
        await page.close();
    });

    await t.test('shows texts of the evidence as texts', async () => {
        const evil = changed(made.bundle, join(to, 'evil.json'), (value) => {
            value.events[0].meta.reason = '<img src=x onerror=alert(1)>\u202e';
            value.run_id = '<script>alert(1)</script>';
        });
        const file = join(to, 'evil.html');
        gateway('proof', 'page', evil, '--key', made.key, '--out', file);
        const page = await open(file);
        opened.push(file);
        assert.equal((await said(page)).verdict, 'invalid');
        assert.equal(await page.locator('img').count(), 0);
        assert.match(await page.locator('#calls').innerText(), /<img src=x onerror=alert\(1\)>\\u\{202e\}/);
        await page.close();
    });

    await t.test('shows the way of an event by pointer and by keyboard', async () => {
        const page = await open(made.page);
        opened.push(made.page);
        await said(page);
        const events = page.locator('#chain button');
        assert.equal(await events.count(), 3);
        await events.nth(1).hover();
        assert.match(await page.locator('#path h3').innerText(), /^Event \d+: REJECT$/);
        const before = await page.locator('#path h3').innerText();
        await events.nth(1).focus();
        await page.keyboard.press('Tab');
        const after = await page.locator('#path h3').innerText();
        assert.match(after, /PROOF_EXPORT$/);
        assert.notEqual(after, before);
        const drawn = await page.locator('#path svg text.leaf').innerHTML();
        assert.match(drawn, /^[0-9a-f]{8}$/);
        // Every part that acts is reached by the Tab key and has a name.
        const nameless = await page.evaluate(() => [...document.querySelectorAll('button, a, input, summary')].filter(
            (one) => one.tabIndex < 0 || ((one.textContent ?? '').trim() === '' && (one.labels?.length ?? 0) === 0)).length);
        assert.equal(nameless, 0);
        await page.close();
    });

    await t.test('fits a small screen', async () => {
        const page = await open(made.page);
        opened.push(made.page);
        await said(page);
        for (const width of [1200, 360]) {
            await page.setViewportSize({ width, height: 800 });
            await page.evaluate(() => document.querySelectorAll('details').forEach((one) => (one.open = true)));
            const wide = await page.evaluate(() => document.documentElement.scrollWidth);
            assert.ok(wide <= width, `${wide} at ${width}`);
        }
        await page.close();
    });

    await t.test('is as readable as the rules for accessible pages say, in the light and in the dark', async () => {
        const page = await open(made.page);
        opened.push(made.page);
        await said(page);
        await page.evaluate(() => document.querySelectorAll('details').forEach((one) => (one.open = true)));
        await page.evaluate(readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8'));
        for (const colorScheme of ['light', 'dark']) {
            await page.emulateMedia({ colorScheme });
            const { violations, passes } = await page.evaluate(() => globalThis.axe.run());
            assert.deepEqual(violations.map((rule) => `${rule.id}: ${rule.nodes[0].html}`), []);
            assert.ok(passes.length > 20);
        }
        await page.close();
    });

    await t.test('the example of EVIDENCE.md', async () => {
        const own = join(to, 'example');
        mkdirSync(own);
        const [bundle, key, file] = ['bundle', 'log.vkey', 'page.html'].map((name) => join(own, name));
        writeFileSync(bundle, example('bundle'));
        writeFileSync(key, example('log.vkey'));
        gateway('proof', 'page', bundle, '--key', key, '--out', file);
        const page = await open(file);
        opened.push(file);
        assert.equal((await said(page)).verdict, 'valid');
        await page.close();
    });

    await t.test('makes no request', async () => {
        assert.deepEqual(asked, opened.map((file) => pathToFileURL(file).href));
        assert.deepEqual(messages, [], 'nothing was blocked either: there was nothing to block');
        await found.close();
        assert.deepEqual(askedByPages(log), []);
    });
});

/** What pages asked for, by the browser's own log of its network. What the browser asks for itself has no page as its origin there. */
function askedByPages(log) {
    const { events, constants } = JSON.parse(readFileSync(log, 'utf8'));
    const request = constants.logEventTypes.URL_REQUEST_START_JOB;
    const asked = events.filter((event) => event.type === request && event.params?.url !== undefined);
    return asked.filter(({ params }) => params.initiator !== 'not an origin').map(({ params }) => params.url);
}

/** The check above can fail: the same page with its policy taken out and a picture put in asks, and with the policy it does not. */
const OTHER = 'http://127.0.0.1:9/asked';
test('the policy is what keeps a page from asking', async (t) => {
    if (command() === null) return skip(t, 'the command is not built');
    const to = folder(t);
    const log = join(to, 'net.json');
    const found = await browser([`--log-net-log=${log}`]);
    if (typeof found === 'string') return skip(t, found);
    t.after(() => found.close());
    const [bundle, file] = [join(to, 'bundle'), join(to, 'page.html')];
    writeFileSync(bundle, example('bundle'));
    gateway('proof', 'page', bundle, '--out', file);
    const html = readFileSync(file, 'utf8').replace('<footer>', `<img src="${OTHER}"><script>window.ran = true</script><footer>`);
    const free = html.replace(/<meta http-equiv="Content-Security-Policy"[^>]*>/, '');
    assert.notEqual(free, html);
    const tried = async (text) => {
        writeFileSync(file, text);
        const page = await found.newPage();
        const failed = [];
        page.on('requestfailed', (request) => failed.push(request.failure().errorText));
        await page.goto(pathToFileURL(file).href);
        const ran = await page.evaluate(() => window.ran === true);
        await page.close();
        return { ran, failed };
    };
    const { ran, failed } = await tried(free);
    assert.equal(ran, true);
    assert.equal(failed.length, 1);
    assert.doesNotMatch(failed[0], /csp/i, 'it went out, and nobody was there');
    const kept = await tried(html);
    assert.equal(kept.ran, false);
    assert.ok(kept.failed.every((why) => /csp/i.test(why)), `${kept.failed}`);
    await found.close();
    assert.deepEqual(askedByPages(log), [OTHER], 'the one without the policy shows in the log, and the other does not');
});
