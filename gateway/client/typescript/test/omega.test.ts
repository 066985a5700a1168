/** What OMEGA's own code asks for: its names, the ledger's records, the compliance gate, functions for plugins in tests. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import * as client from '../src/index.js';
import {
  ForbiddenCapability,
  Gateway,
  GatewayDied,
  GatewayEventKind,
  OMEGA_PLUGIN_API_VERSION,
  PluginCapability,
  PluginGateway,
  RpcError,
  newRequest,
  runComplianceGate,
  testing,
  text,
} from '../src/index.js';
import type { PluginGatewayAPI, PluginHandler, PluginInfo } from '../src/index.js';
import { MANIFEST, PLUGIN, ROOT, RUN, after, ask, binary, fake, folder, open, ready, site } from './support.js';

const COUNT: testing.HandlerManifest = {
  plugin_id: 'p.test.count',
  name: 'Count',
  vendor: 'The tests',
  version: '1.0.0',
  api_version: OMEGA_PLUGIN_API_VERSION,
  capabilities: [PluginCapability.READ_TEXT, PluginCapability.WRITE_REPORT],
  io: { inputs: [{ kind: 'text', schema_ref: 'text/1' }], outputs: [{ kind: 'json', schema_ref: 'count/1' }] },
};

const count: PluginHandler = (request) => {
  if (request.payload.kind !== 'text') throw new Error('send a text');
  const words = request.payload.content.split(' ').length;
  return { request_id: request.request_id, status: 'ok', result: { kind: 'json', data: { words }, schema_ref: 'count/1' } };
};

test('the original names are there, as values and as one class', () => {
  assert.equal(OMEGA_PLUGIN_API_VERSION, '1.0.0');
  assert.equal(PluginGateway, Gateway);
  assert.equal(GatewayEventKind.PROOF_EXPORT, 'PROOF_EXPORT');
  const schema = JSON.parse(readFileSync(join(ROOT, '../../../plugin-protocol/schemas/manifest.schema.json'), 'utf8'));
  const text = JSON.stringify(schema);
  for (const capability of Object.values(PluginCapability)) assert.ok(text.includes(`"${capability}"`), capability);
  for (const forbidden of Object.values(ForbiddenCapability)) assert.ok(!(Object.values(PluginCapability) as string[]).includes(forbidden));
});

test('every forbidden capability is refused by the gateway', async (t) => {
  const gateway = await open(t, site(t));
  for (const forbidden of Object.values(ForbiddenCapability)) {
    const report = await gateway.validateManifest({ ...MANIFEST, capabilities: [forbidden] });
    assert.ok(report.issues.some(({ message }) => message.includes('Forbidden capability')), forbidden);
  }
});

test('a function is a plugin, in the sandbox, and nothing is left of it', async (t) => {
  const home = folder(t);
  const before = process.env['TMPDIR'];
  process.env['TMPDIR'] = home;
  after(t, () => (before === undefined ? delete process.env['TMPDIR'] : (process.env['TMPDIR'] = before)));
  const gateway = await testing.handler(COUNT, count, { command: binary() });
  const counted = await gateway.invoke('p.test.count', newRequest(text('one two three'), { runId: RUN }));
  assert.equal(counted.status, 'ok', counted.notes);
  assert.deepEqual(counted.result, { kind: 'json', data: { words: 3 }, schema_ref: 'count/1' });
  await gateway.close();
  assert.deepEqual(readdirSync(home), []);
});

test('what a function throws is its answer, and it has nothing from around it', async (t) => {
  const outside = 'outside';
  const gateway = await testing.handler(COUNT, () => { throw new Error(outside); }, { command: binary() });
  after(t, () => gateway.close());
  const thrown = await gateway.invoke('p.test.count', ask('x'));
  assert.equal(thrown.status, 'error');
  assert.match(thrown.notes, /outside is not defined/);
  assert.throws(() => JSON.parse('{'), SyntaxError);
  await assert.rejects(testing.handler(COUNT, count.bind(undefined), { command: binary() }), /no text to put into a package/);
});

test('the ledger is read over the channel as its files have it', async (t) => {
  const { gateway, site: { state } } = await ready(t);
  await gateway.invoke(PLUGIN, ask('one'));
  await gateway.invoke(PLUGIN, newRequest(text('two'), { runId: 'another' }));
  const all = await gateway.getEvents();
  const file = readFileSync(join(state, 'ledger/seg/00000000000000000000.ndjson'), 'utf8').replace(/\0+$/, '');
  assert.equal(await gateway.toNDJSON(), file);
  assert.deepEqual(await gateway.getByRun('another'), all.filter(({ run_id }) => run_id === 'another'));
  assert.deepEqual((await gateway.getByRun('another')).map(({ kind }) => kind), ['INVOKE', 'RESULT']);
  assert.equal((await gateway.getByPlugin(PLUGIN)).length, all.length - 1, 'all but the key that is trusted');
  assert.deepEqual(await gateway.getByRun('nobody'), []);
  // At once, they wait for each other.
  const [a, b] = await Promise.all([gateway.getEvents(), gateway.getEvents()]);
  assert.deepEqual(a, b);
});

test('a proof that JSON.stringify wrote verifies by both verifiers', async (t) => {
  const { gateway, site: { state, command } } = await ready(t);
  await gateway.invoke(PLUGIN, ask('proven'));
  const file = join(folder(t), 'proof.json');
  for (const written of [JSON.stringify(await gateway.exportProof(RUN)), JSON.stringify(await gateway.exportProof(RUN), null, 2)]) {
    writeFileSync(file, written);
    assert.match(command('proof', 'verify', file, '--key', join(state, 'log.pub')), /valid/);
    const verifier = join(ROOT, '../../../scripts/verify_proof.py');
    execFileSync('python3', ['-I', '-B', verifier, 'bundle', file, '--key', join(state, 'log.pub')]);
  }
});

test('the compliance gate reports ten checks', async (t) => {
  const report = await runComplianceGate(site(t).pkg, { command: binary(), text: 'hello' });
  assert.equal(report.plugin_id, PLUGIN);
  assert.deepEqual(report.checks.map(({ id }) => id), Array.from({ length: 10 }, (_, n) => `CG-${String(n + 1).padStart(2, '0')}`));
  assert.equal(report.summary.total, 10);
  assert.equal(report.passed, report.checks.every(({ passed }) => passed));
  await assert.rejects(runComplianceGate('/not/there', { command: binary() }), client.CommandFailed);
});

test('a state is made and a key trusted when asked, and not else', async (t) => {
  const { pkg } = site(t);
  const state = join(mkdtempSync(join(folder(t), 'new-')), 'state');
  await assert.rejects(Gateway.start({ command: binary(), state }), (error: unknown) => {
    assert.ok(error instanceof GatewayDied);
    assert.match(error.hint ?? '', /create: true/);
    assert.ok(error.lastLines.some((line) => line.includes('there is no state')), error.lastLines.join('\n'));
    return true;
  });
  assert.ok(!existsSync(state));
  const gateway = await open(t, { state, pkg, command: () => '' }, { create: true, trust: join(pkg, '../key.pem.pub') });
  assert.equal((await gateway.registerPlugin(pkg)).signature_valid, true);
});

test('a hint is in the words of this package', async (t) => {
  const { gateway, site: { pkg } } = await ready(t);
  await assert.rejects(gateway.registerPlugin(pkg), (error: unknown) => {
    assert.ok(error instanceof RpcError);
    assert.match(error.hint ?? '', /replace: true/);
    return true;
  });
});

test('elsewhere than on Linux it says what to do', async (t) => {
  const known = Object.getOwnPropertyDescriptor(process, 'platform');
  after(t, () => known && Object.defineProperty(process, 'platform', known));
  for (const [platform, words] of [['win32', /WSL2/], ['darwin', /Linux container/], ['sunos', /Linux host/]] as const) {
    Object.defineProperty(process, 'platform', { value: platform });
    await assert.rejects(Gateway.start(), words);
    // Whoever names a program of its own to start it by, as `wsl` or `docker`, is not stopped.
    await assert.rejects(Gateway.start({ command: fake('exit-zero') }), (error: unknown) => !words.test(String(error)));
  }
});

test('a test can fake the operations', async () => {
  const row: PluginInfo = {
    plugin_id: 'p.x.y', name: '', version: '1.0.0', status: 'enabled', capabilities: ['read_text'],
    registered_at: '2026-01-31T12:00:00.000Z', signature_valid: true,
  };
  const faked: Pick<PluginGatewayAPI, 'listPlugins'> = { listPlugins: () => Promise.resolve([row]) };
  assert.deepEqual(await faked.listPlugins(), [row]);
});
