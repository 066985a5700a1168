'use strict';
// Tests of the Node SDK: node --test plugin-protocol/sdk/node/

const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const test = require('node:test');

const omega = require('./omega-plugin.js');

const INVOKE =
  '{"type":"invoke","request":{"request_id":"r \\u00e91","payload":{"kind":"text","content":"x"}}}\n';

/** The compiler that the TypeScript client has, once `npm ci` was run there. */
const TSC = path.join(__dirname, '../../../gateway/client/typescript/node_modules/typescript/bin/tsc');

/** A plugin as the compiler should take it. */
const TYPED = `import { jsonPayload, ok, rejected, run, type Reply, type Request } from '@omega/plugin';

interface Size { characters: number }

async function handle(request: Request): Promise<Reply> {
  if (request.payload.kind !== 'text') return rejected('send a text payload');
  const size: Size = { characters: request.payload.content.length };
  return ok(jsonPayload('size/1', size));
}

void run(handle, { takes: ['text'] });
`;

/** Four mistakes that it should find, by their lines. */
const MISTAKEN = `import { ok, run, textPayload } from '@omega/plugin';
void run((request) => ok(textPayload(request.payload.content)));
void run(() => 'text');
void run(() => ok('text'));
void run(() => ok(textPayload('x')), { takes: ['words'] });
`;

/** Runs a plugin whose `handle` is the given function's text, as its own process. */
function runPlugin(handle, line = INVOKE, options = '{}') {
  const program = `const omega = require('./omega-plugin.js'); omega.run(${handle}, ${options});`;
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
  const line = omega.answerLine('a\nb', omega.rejected('two\nlines'));
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

test('whatever is printed goes to stderr', () => {
  const ways = ["console.log('aside')", "console.dir('aside')", "console.table(['aside'])", "console.group('aside')"];
  ways.push("process.stdout.write('aside')", "require('console').info('aside')");
  for (const way of ways) {
    const done = runPlugin(`() => { ${way}; return omega.rejected('no'); }`);
    assert.strictEqual(responseOf(done).status, 'rejected', way);
    assert.match(String(done.stderr), /aside/, way);
  }
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

test('what is thrown where nobody waits becomes the answer error', () => {
  const handles = [
    "() => new Promise(() => setTimeout(() => { throw new Error('late'); }))",
    "() => { Promise.reject(new Error('late')); return new Promise(() => {}); }",
    "() => { throw Object.assign(Object.create(null), { late: 1 }); }",
  ];
  for (const handle of handles) assert.strictEqual(responseOf(runPlugin(handle)).status, 'error', handle);
  assert.strictEqual(responseOf(runPlugin(handles[0])).notes, 'Error: late');
});

test('an end without an answer becomes the answer error', () => {
  for (const handle of ['() => new Promise(() => {})', '() => process.exit(0)']) {
    const response = responseOf(runPlugin(handle));
    assert.deepStrictEqual([response.status, response.notes], ['error', 'handle ended without an answer']);
  }
});

test('what is thrown after the answer gives no second one', () => {
  const handle = "() => { setTimeout(() => { throw new Error('late'); }); return omega.rejected('no'); }";
  assert.strictEqual(responseOf(runPlugin(handle)).status, 'rejected');
});

test('a lone surrogate in a message is written out', () => {
  const words = 'half of \\ud83d, and a whole \\ud83d\\udc4b';
  const response = responseOf(runPlugin(`() => { throw new Error('${words}'); }`));
  assert.deepStrictEqual([response.status, response.notes], ['error', 'Error: half of \\ud83d, and a whole 👋']);
  for (const status of ['rejected', 'error']) {
    assert.strictEqual(responseOf(runPlugin(`() => omega.${status}('\\udc00')`)).notes, '\\udc00');
  }
});

test('invalid input is rejected', () => {
  const request = (rest) => `{"type":"invoke","request":{"request_id":"r"${rest}}}\n`;
  const lines = [
    ['', ''],
    ['hello\n', ''],
    [Buffer.from([0xff, 10]), ''],
    ['['.repeat(100000), ''],
    ['{}\n', ''],
    [request(''), 'r'],
    [request(',"payload":{"kind":7}'), 'r'],
    [request(',"payload":{"kind":"json","data":{}}'), 'r'],
    ['{"type":"invoke","request":{"request_id":"\\ud800"}}\n', '\\ud800'],
  ];
  for (const [line, id] of lines) {
    const response = responseOf(runPlugin("() => { throw new Error('called'); }", line, "{ takes: ['text'] }"));
    assert.deepStrictEqual([response.status, response.request_id], ['rejected', id], String(line).slice(0, 100));
    assert.match(response.notes, /Invalid request/);
  }
});

test('a kind that is taken is handled', () => {
  const done = runPlugin("() => omega.rejected('mine')", INVOKE, "{ takes: ['json', 'text'] }");
  assert.strictEqual(responseOf(done).notes, 'mine');
});

/** Runs a program to its end, which must be good; gives its output. */
function succeed(program, args, cwd) {
  const done = spawnSync(program, args, { cwd, encoding: 'utf8' });
  assert.strictEqual(done.status, 0, `${done.stdout}${done.stderr}`);
  return done.stdout;
}

/** A folder with the npm package installed as its tarball has it. */
function installed(t) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'omega-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  const [packed] = JSON.parse(succeed('npm', ['pack', '--json', '--pack-destination', folder], __dirname));
  const target = path.join(folder, 'node_modules/@omega/plugin');
  fs.mkdirSync(target, { recursive: true });
  succeed('tar', ['-xzf', path.join(folder, packed.filename), '-C', target, '--strip-components=1'], folder);
  return folder;
}

/** Says why a test is not run, with the line that scripts/test shows. */
function skip(t, reason) {
  process.stderr.write(`skipped ${t.name}: ${reason}\n`);
  t.skip(reason);
}

const hasNpm = spawnSync('npm', ['--version']).status === 0;

test('the npm package works by require and by import', (t) => {
  if (!hasNpm) return skip(t, 'npm is not installed');
  const folder = installed(t);
  const handle = 'run((r) => ok(textPayload(r.payload.content)))';
  const programs = {
    'required.cjs': `const { ok, run, textPayload } = require('@omega/plugin'); ${handle}`,
    'named.mjs': `import { ok, run, textPayload } from '@omega/plugin'; ${handle}`,
    'whole.mjs': `import omega from '@omega/plugin'; const { ok, run, textPayload } = omega; ${handle}`,
  };
  for (const [name, text] of Object.entries(programs)) {
    fs.writeFileSync(path.join(folder, name), text);
    const done = spawnSync(process.execPath, [name], { input: INVOKE, cwd: folder, env: {} });
    assert.strictEqual(responseOf(done).result.content, 'x', name);
  }
  const files = fs.readdirSync(path.join(folder, 'node_modules/@omega/plugin')).sort();
  assert.deepStrictEqual(files, ['README.md', 'omega-plugin.d.ts', 'omega-plugin.js', 'package.json']);
});

test('the types hold and find mistakes', (t) => {
  if (!hasNpm || !fs.existsSync(TSC)) return skip(t, 'the TypeScript client has no compiler: npm ci was not run there');
  const folder = installed(t);
  fs.writeFileSync(path.join(folder, 'package.json'), '{"type":"module"}');
  fs.writeFileSync(path.join(folder, 'typed.ts'), TYPED);
  fs.writeFileSync(path.join(folder, 'mistaken.ts'), MISTAKEN);
  const options = [TSC, '--strict', '--module', 'nodenext', '--target', 'es2022'];
  succeed(process.execPath, [...options, 'typed.ts'], folder);
  const done = spawnSync(process.execPath, ['typed.js'], { input: INVOKE, cwd: folder, env: {} });
  assert.deepStrictEqual(responseOf(done).result.data, { characters: 1 });
  const found = spawnSync(process.execPath, [...options, '--noEmit', 'mistaken.ts'], { cwd: folder, encoding: 'utf8' });
  const lines = [...found.stdout.matchAll(/^mistaken\.ts\((\d+),/gm)].map(([, line]) => line);
  assert.deepStrictEqual([...new Set(lines)], ['2', '3', '4', '5'], found.stdout);
});
