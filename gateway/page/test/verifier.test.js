// The page's script without a page, on what is cheap to try without a browser. That it agrees with the command and with Python on
// thousands of bundles is tried in tests/tests/proofs/three.rs.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { example, verifier } from './pages.js';

const page = verifier();
const bytes = (text) => new TextEncoder().encode(text);
const key = await page.trustIn(bytes(example('log.vkey')));
const pem = await page.trustIn(bytes(example('log.pub')));
const bundle = JSON.parse(example('bundle'));

const outcome = ({ checks }, name) => checks.find((check) => check.name === name).outcome;
const judged = async (change, trust = key) => {
    const value = structuredClone(bundle);
    change(value);
    return page.verify(bytes(JSON.stringify(value)), trust);
};

test('reads JSON as strictly as EVIDENCE.md, section 1, says', () => {
    const refused = [
        '', '\ufeff{}', '{"a":1,"a":1}', '{"a":1,"\\u0061":1}', '{"a":{"b":"","b":""}}', '{"a":1.5}', '{"a":1e-1}', '{"a":1e-400}',
        '{"a":1e400}', '{"a":01}', '{"a":+1}', '{"a":.1}', '{"a":9007199254740992}', '{"a":NaN}', '{"a":"\\ud800"}', '{"\\udc00":1}',
        '{"a":"\\ude00\\ud83d"}', '{"a":"\n"}', '{"a":"\\x41"}', "{'a':1}", '{"a":1,}', '{"a":1}{}', '{"a":1} x', '{"a":tru}', '[1,]', '[,1]',
        '// a word\n{}', '\u000b{}', '{"a":"x"}\u00a0', `${'['.repeat(200_000)}${']'.repeat(200_000)}`, '{"a"1}', '{"a":"', '{"a":"\\u00"}',
    ];
    for (const text of refused) assert.throws(() => page.readJson(bytes(text)), page.Flaw, text.slice(0, 40));
    assert.throws(() => page.readJson(Uint8Array.of(0x22, 0xff, 0x22)), page.Flaw);
    assert.throws(() => page.readJson(Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22)), page.Flaw);
    const read = {
        '{"b":1,"a":1.0}': '{"a":1,"b":1}', ' [ 1e2 , -0, "\\u0041\\/" ]\r\n\t': '[100,0,"A/"]', '{"\ue000":1,"\u{1f600}":2}': '{"\u{1f600}":2,"\ue000":1}',
        '{"__proto__":{"constructor":1}}': '{"__proto__":{"constructor":1}}', '"\\ud83d\\ude00\\u000A\\u001f"': '"\u{1f600}\\n\\u001f"',
    };
    for (const [text, canonical] of Object.entries(read)) assert.equal(page.canonical(page.readJson(bytes(text))), canonical);
});

test('takes a key in both forms, and none that is weak or cut', async () => {
    assert.equal((await page.verify(bytes(example('bundle')), pem)).valid, true);
    const vkey = example('log.vkey').trim();
    for (const text of ['', 'x', vkey.slice(0, -1), vkey.replace('cbe6e53d', 'cbe6e53e'), `\ufeff${vkey}`, example('bundle'), vkey.replace('+A', '+B')]) {
        assert.ok((await page.trustIn(bytes(text))) instanceof page.Flaw, text.slice(0, 40));
    }
    const { valid, checks } = await page.verify(bytes(example('bundle')), await page.trustIn(bytes('x')));
    assert.equal(valid, false);
    assert.equal(outcome({ checks }, 'checkpoint_signature'), 'fail');
    assert.equal(outcome({ checks }, 'inclusion'), 'not_checked');
});

test('passes over unknown signatures in format 2, and refuses them in format 1', async () => {
    const line = (name, length) => `\u2014 ${name} ${Buffer.alloc(length, 7).toString('base64')}\n`;
    const own = bundle.checkpoint.slice(bundle.checkpoint.lastIndexOf('\n\n') + 2);
    const cosigned = (format, ...lines) => judged((value) => {
        value.format = `plugin-gateway-proof/${format}`;
        value.checkpoint += lines.join('');
    });
    for (const trust of [key, pem]) {
        const found = await judged((value) => {
            value.format = 'plugin-gateway-proof/2';
            value.checkpoint = value.checkpoint.replace(own, line('witness.example/w', 76) + own + line('another', 68));
        }, trust);
        assert.equal(found.valid, true);
    }
    assert.equal((await cosigned(2)).valid, true, 'witnesses may be missing');
    const refused = [
        await cosigned(1, line('w', 76)), await cosigned(1, line('w', 68)), await cosigned(2, own), await cosigned(2, 'x\n'), await cosigned(2, line('w', 4)),
        await cosigned(2, line('w+w', 76)), await cosigned(2, '\n'), await cosigned(2, ...Array(100).fill(line('w', 76))), await cosigned(3),
        await judged((value) => {
            value.format = 'plugin-gateway-proof/2';
            value.checkpoint = value.checkpoint.replace(own, line('witness.example/w', 76));
        }),
    ];
    for (const [at, found] of refused.entries()) assert.equal(found.valid, false, `${at}`);
});

test('judges nothing as valid that no key vouches for', async () => {
    const found = await page.verify(bytes(example('bundle')), null);
    assert.equal(outcome(found, 'checkpoint_signature'), 'not_checked');
    assert.equal((await judged((value) => (value.events[0].meta.cause = ''), null)).valid, false, 'what fails without a key fails');
});
