/** What OMEGA's own code relies on: its names, the ledger's events, proofs as files, plugins as functions. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import {
  CommandFailed,
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
import type { JSONPayload, PluginGatewayAPI, PluginHandler, PluginInfo, PluginManifest } from '../src/index.js';
import { MANIFEST, PLUGIN, ROOT, RUN, after, ask, binary, folder, open, ready, site } from './support.js';

const UPPER: PluginManifest = {
  plugin_id: 'p.test.upper',
  name: 'Upper',
  vendor: 'The tests',
  description: '',
  version: '1.0.0',
  api_version: OMEGA_PLUGIN_API_VERSION,
  supported_omega_api_versions: '>=1.0.0 <2.0.0',
  capabilities: [PluginCapability.READ_TEXT, PluginCapability.WRITE_REPORT],
  io: {
    inputs: [{ kind: 'text', schema_ref: 'text/1', limits: { max_bytes: 1024 } }],
    outputs: [{ kind: 'text', schema_ref: 'text/1', limits: { max_bytes: 1024 } }],
  },
  limits: { max_bytes: 4096, max_ms: 20_000, max_concurrency: 2 },
  determinism: { mode: 'deterministic', notes: '' },
  evidence: { log_level: 'full', redactions: [] },
  entrypoint: { type: 'worker', file: 'dist/worker.js', export: 'handleRequest' },
};

const upper: PluginHandler = async ({ request_id, payload }) => {
  if (payload.kind !== 'text' || payload.content === '') return { request_id, status: 'rejected', result: null, notes: 'send a text' };
  return { request_id, status: 'ok', result: { ...payload, content: payload.content.toUpperCase() } };
};

test('the constants are the contract words', async (t) => {
  assert.equal(PluginGateway, Gateway);
  assert.deepEqual(Object.keys(PluginCapability).map((name) => name.toLowerCase()), Object.values(PluginCapability));
  assert.deepEqual(Object.keys(GatewayEventKind), Object.values(GatewayEventKind));
  const gateway = await open(t, site(t));
  assert.equal((await gateway.ping()).api_version, OMEGA_PLUGIN_API_VERSION);
  assert.equal((await gateway.validateManifest({ ...MANIFEST, capabilities: Object.values(PluginCapability) })).valid, true);
  for (const capability of Object.values(ForbiddenCapability)) {
    const { issues } = await gateway.validateManifest({ ...MANIFEST, capabilities: [capability] });
    assert.ok(issues.some(({ message }) => message.includes(`Forbidden capability declared: ${capability}`)), capability);
  }
});

test('types: data is any record, capabilities are the union, and the interface can be faked', async () => {
  const record: Record<string, unknown> = { deep: [1] };
  const payload: JSONPayload = { kind: 'json', data: record, schema_ref: 's' };
  const info: PluginInfo = { plugin_id: PLUGIN, name: '', version: '1.0.0', status: 'enabled', capabilities: ['read_text'], registered_at: '', signature_valid: true };
  const never = (): never => assert.fail('not asked for');
  const fake: PluginGatewayAPI = {
    validateManifest: never,
    registerPlugin: never,
    enablePlugin: async () => info,
    disablePlugin: async () => info,
    listPlugins: async () => [info],
    invoke: async (plugin_id, { request_id }) => ({
      request_id, plugin_id, status: 'ok', result: payload, evidence_hashes: { input_hash: '', output_hash: '' }, duration_ms: 0, notes: '',
    }),
    invokePipeline: never,
    exportProof: never,
  };
  const host = async (gateway: PluginGatewayAPI): Promise<string> => (await gateway.invoke(PLUGIN, ask('x'))).status;
  assert.equal(await host(fake), 'ok');
  const capability: PluginCapability | undefined = (await fake.listPlugins())[0]?.capabilities[0];
  assert.equal(capability, PluginCapability.READ_TEXT);
});

test('getEvents, getByRun, getByPlugin and toNDJSON give the ledger up to now', async (t) => {
  const { gateway, site: { state } } = await ready(t, { maxQueuedEvents: 4 });
  for (let nth = 0; nth < 6; nth += 1) await gateway.invoke(PLUGIN, ask('hello'));
  const [all, run, plugin, none, lines] = await Promise.all([
    gateway.getEvents(), gateway.getByRun(RUN), gateway.getByPlugin(PLUGIN), gateway.getByRun('none'), gateway.toNDJSON(),
  ]);
  assert.equal(all.length, (await gateway.verifyLedger()).events);
  assert.deepEqual(run, all.filter(({ run_id }) => run_id === RUN));
  assert.equal(run.length, 12);
  assert.deepEqual(plugin, all.filter(({ plugin_id }) => plugin_id === PLUGIN));
  assert.deepEqual(none, []);
  const segments = join(state, 'ledger/seg');
  // A segment's room is reserved before it is written.
  const stored = readdirSync(segments).filter((name) => name.endsWith('.ndjson')).sort().map((name) => readFileSync(join(segments, name), 'utf8').replace(/\0+$/, ''));
  assert.equal(lines, stored.join(''));
  assert.deepEqual(await gateway.getByPlugin('NO ID'), []);
  // Beside a subscription, and from it: the past is over where the gateway says so.
  const subscription = await gateway.subscribe({ from: 0, runId: 'system', kind: 'ENABLE' });
  assert.equal((await gateway.getEvents()).length, all.length);
  const enabled = [];
  for await (const { event } of subscription.past()) enabled.push(event);
  assert.deepEqual(enabled, all.filter(({ kind }) => kind === 'ENABLE'));
  assert.equal(subscription.next, all.length);
});

test('JSON.stringify of a proof verifies with the command and with the second verifier', async (t) => {
  const { gateway, site: { state, command } } = await ready(t);
  await gateway.invoke(PLUGIN, ask('hello'));
  const [bundle, key] = [join(folder(t), 'proof.json'), join(state, 'log.pub')];
  const text = JSON.stringify(await gateway.exportProof(RUN));
  const second = (): string =>
    execFileSync('python3', [join(ROOT, '../../../scripts/verify_proof.py'), 'bundle', bundle, '--key', key], { encoding: 'utf8', stdio: 'pipe' });
  writeFileSync(bundle, text);
  assert.match(command('proof', 'verify', bundle, '--key', key), /^valid$/im);
  assert.match(second(), /^valid$/im);
  writeFileSync(bundle, text.replace('"RESULT"', '"REJECT"'));
  assert.throws(() => command('proof', 'verify', bundle, '--key', key));
  assert.throws(second);
});

test('testing.handler runs a function as a plugin, and leaves nothing', async () => {
  const left = (): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith('plugin-gateway-testing-'));
  const before = left();
  const gateway = await testing.handler(UPPER, upper, { command: binary() });
  const made = left().filter((name) => !before.includes(name));
  assert.ok(made.length >= 1);
  try {
    const { status, result, notes } = await gateway.invoke(UPPER.plugin_id, newRequest(text('hello'), { runId: RUN }));
    assert.equal(status, 'ok', notes);
    assert.ok(result?.kind === 'text' && result.content === 'HELLO');
    assert.equal((await gateway.invoke(UPPER.plugin_id, newRequest(text(''), { runId: RUN }))).status, 'rejected');
  } finally {
    await gateway.close();
  }
  assert.ok(made.some((name) => !existsSync(join(tmpdir(), name))));
  await assert.rejects(testing.handler(UPPER, upper.bind(null), { command: binary() }), TypeError);
});

test('a method and a function of several plugins are plugins too', async (t) => {
  const { entrypoint, ...open } = UPPER;
  assert.equal(entrypoint.type, 'worker');
  const methods = { handle: upper, async other({ request_id }: { request_id: string }) { return { request_id, status: 'error' as const, result: null, notes: 'other' }; } };
  const gateway = await testing.handlers([[UPPER, methods.handle], [{ ...open, plugin_id: 'p.test.other' }, methods.other]], { command: binary() });
  after(t, () => gateway.close());
  const { steps } = await gateway.invokePipeline({ strategy: 'fan_out', plugin_ids: [UPPER.plugin_id, 'p.test.other'], timeout_ms: 20_000, stop_on_failure: false }, ask('x'));
  assert.deepEqual(steps.map(({ response }) => response.status), ['ok', 'error']);
  assert.match(steps[1]?.response.notes ?? '', /other/);
});

test('create makes the state, and trust is given when asked', async (t) => {
  const { pkg } = site(t);
  const state = join(folder(t), 'new');
  await assert.rejects(Gateway.start({ command: binary(), state }), (error) => {
    assert.ok(error instanceof GatewayDied);
    assert.match(error.message, /there is no state in/);
    assert.ok(error.lastLines.some((line) => line.startsWith('error:')));
    assert.match(error.hint ?? '', /create: true/);
    return true;
  });
  const options = { command: binary(), state, create: true };
  const first = await Gateway.start(options);
  assert.equal((await first.registerPlugin(pkg)).status, 'rejected');
  await first.close();
  const second = await Gateway.start({ ...options, trust: join(pkg, '../key.pem.pub') });
  after(t, () => second.close());
  assert.equal((await second.registerPlugin(pkg)).status, 'registered');
  await assert.rejects(second.registerPlugin(pkg), (error) => error instanceof RpcError && /replace: true/.test(error.hint ?? ''));
  await assert.rejects(Gateway.start({ ...options, trust: '/not/there.pub' }), (error) => error instanceof CommandFailed && error.code === 2);
});

test('runComplianceGate gives the report of the ten checks', async (t) => {
  const { pkg } = site(t);
  const report = await runComplianceGate(pkg, { command: binary(), text: 'hello' });
  assert.equal(report.plugin_id, PLUGIN);
  assert.deepEqual(report.checks.map(({ id }) => id), Array.from({ length: 10 }, (_, nth) => `CG-${String(nth + 1).padStart(2, '0')}`));
  assert.equal(report.summary.passed_count + report.summary.failed_count, 10);
  assert.equal(report.passed, report.checks.every(({ passed }) => passed));
  await assert.rejects(runComplianceGate('/not/there', { command: binary() }), (error) => error instanceof CommandFailed && error.code === 2);
});

test('on Windows and macOS it says in a sentence what to do', async (t) => {
  const real = process.platform;
  after(t, () => Object.defineProperty(process, 'platform', { value: real }));
  for (const [platform, words] of [['win32', /WSL2/], ['darwin', /Linux container/], ['aix', /Linux host/]] as const) {
    Object.defineProperty(process, 'platform', { value: platform });
    await assert.rejects(Gateway.start({ command: binary() }), (error) => error instanceof GatewayDied && words.test(error.message));
    await assert.rejects(runComplianceGate('.'), words);
  }
});
