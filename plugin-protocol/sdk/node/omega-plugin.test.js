'use strict';
// Tests of the Node SDK: node --test plugin-protocol/sdk/node/

const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const test = require('node:test');

const omega = require('./omega-plugin.js');

const INVOKE =
  '{"type":"invoke","request":{"request_id":"r \\u00e91","payload":{"kind":"text","content":"x"}}}\n';

/** Runs a plugin whose `handle` is the given function's text, as its own process. */
function runPlugin(handle, line = INVOKE) {
  const program = `const omega = require('./omega-plugin.js'); omega.run(${handle});`;
  return spawnSync(process.execPath, ['-e', program], { input: line, cwd: __dirname, env: {} });
}

function responseOf(done) {
  assert.strictEqual(done.status, 0, String(done.stderr));
  const lines = String(done.stdout).split('\n');
  assert.strictEqual(lines.length, 2, String(done.stdout));
  return JSON.parse(lines[0]).response;
}

test('ok carries the payload', () => {
  const payload = omega.jsonPayload('s/1', { a: 1 });
  assert.deepStrictEqual(payload, { kind: 'json', schema_ref: 's/1', data: { a: 1 } });
  assert.deepStrictEqual(omega.ok(payload), { status: 'ok', result: payload, notes: '' });
});

test('a text payload has every field of the contract', () => {
  const expected = { kind: 'text', content: 'é', encoding: 'utf-8', metadata: {} };
  assert.deepStrictEqual(omega.textPayload('é'), expected);
});

test('refusals carry their words and no result', () => {
  assert.deepStrictEqual(omega.rejected('why'), { status: 'rejected', result: null, notes: 'why' });
  assert.deepStrictEqual(omega.error('why'), { status: 'error', result: null, notes: 'why' });
});

test('a request is read', () => {
  assert.strictEqual(omega.readRequest(Buffer.from(INVOKE)).request_id, 'r é1');
});

test('what is no request throws', () => {
  const lines = ['', 'x', '[]', 'null', '{"type":"invoke"}', '{"type":"result","request":{}}'];
  for (const line of [...lines.map((text) => Buffer.from(text)), Buffer.from([0xff])]) {
    assert.throws(() => omega.readRequest(line), line.toString());
  }
});

test('an answer is one line', () => {
  const line = omega.answerLine({ request_id: 'a\nb' }, omega.rejected('two\nlines'));
  assert.strictEqual(String(line).indexOf('\n'), line.length - 1);
  assert.deepStrictEqual(JSON.parse(line).response, {
    request_id: 'a\nb',
    status: 'rejected',
    result: null,
    notes: 'two\nlines',
  });
});

test('an answer goes out, also from a promise', () => {
  for (const form of ['', 'async ']) {
    const handle = `${form}(r) => omega.ok(omega.textPayload(r.payload.content))`;
    const response = responseOf(runPlugin(handle));
    assert.strictEqual(response.request_id, 'r é1');
    assert.strictEqual(response.result.content, 'x');
  }
});

test('console.log goes to stderr', () => {
  const done = runPlugin("() => { console.log('aside'); return omega.rejected('no'); }");
  assert.strictEqual(responseOf(done).status, 'rejected');
  assert.match(String(done.stderr), /aside/);
});

test('what handle throws becomes the answer error', () => {
  for (const handle of ['(r) => r.absent.content', 'async () => { throw new TypeError(); }']) {
    const response = responseOf(runPlugin(handle));
    assert.deepStrictEqual([response.status, response.result], ['error', null]);
    assert.match(response.notes, /TypeError/);
  }
});

test('a reply that is none becomes the answer error', () => {
  for (const reply of ['undefined', '42', '({})', "omega.ok({ n: 1n })"]) {
    assert.strictEqual(responseOf(runPlugin(`() => ${reply}`)).status, 'error', reply);
  }
});

test('a long answer goes out whole', () => {
  const response = responseOf(runPlugin("() => omega.ok(omega.textPayload('é'.repeat(300000)))"));
  assert.strictEqual(response.result.content.length, 300000);
});

test('no request gives no answer', () => {
  const done = runPlugin("() => omega.rejected('no')", 'hello\n');
  assert.strictEqual(done.status, 1);
  assert.strictEqual(String(done.stdout), '');
  assert.match(String(done.stderr), /no request/);
});
