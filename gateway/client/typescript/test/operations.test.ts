/** Every operation against the real command with a real signed plugin. */

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';

import { RpcCode, RpcError } from '../src/index.js';
import { MANIFEST, PLUGIN, RUN, ask, open, ready, site } from './support.js';

function refused(code: number, words: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof RpcError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, words);
    return true;
  };
}

test('validateManifest tells what is wrong', async (t) => {
  const gateway = await open(t, site(t));
  const good = await gateway.validateManifest(MANIFEST);
  assert.equal(good.valid, true);
  assert.match(good.manifest_hash, /^[0-9a-f]{64}$/);
  const bad = await gateway.validateManifest({ ...MANIFEST, capabilities: ['network_access'] });
  assert.equal(bad.valid, false);
  assert.ok(bad.issues.some(({ severity, message }) => severity === 'error' && message.includes('Forbidden capability')));
});

test('a package goes from registered to enabled, disabled and enabled again', async (t) => {
  const { pkg, state } = site(t);
  const gateway = await open(t, { pkg, state, command: () => '' });
  assert.deepEqual(await gateway.listPlugins(), []);
  const registered = await gateway.registerPlugin(pkg);
  assert.equal(registered.plugin_id, PLUGIN);
  assert.equal(registered.status, 'registered');
  assert.equal(registered.signature_valid, true);
  const before = await gateway.invoke(PLUGIN, ask('hello'));
  assert.equal(before.status, 'rejected');
  assert.match(before.notes, /not enabled/);
  assert.equal((await gateway.enablePlugin(PLUGIN)).status, 'enabled');
  assert.equal((await gateway.enablePlugin(PLUGIN)).status, 'enabled');
  assert.equal((await gateway.disablePlugin(PLUGIN)).status, 'disabled');
  assert.deepEqual((await gateway.listPlugins()).map(({ plugin_id, status }) => [plugin_id, status]), [[PLUGIN, 'disabled']]);
});

test('a registry verb is refused in words, with a typed code', async (t) => {
  const { gateway, site: { pkg } } = await ready(t);
  await assert.rejects(gateway.enablePlugin('p.not.there'), refused(RpcCode.UnknownPlugin, /Plugin not found/));
  await assert.rejects(gateway.disablePlugin('No!'), refused(RpcCode.UnknownPlugin, /Plugin not found/));
  await assert.rejects(gateway.registerPlugin(pkg), refused(RpcCode.Refused, /Plugin already registered/));
  await assert.rejects(gateway.registerPlugin('/not/there'), RpcError);
});

test('a manifest alone is recorded as rejected', async (t) => {
  const gateway = await open(t, site(t));
  const info = await gateway.registerPlugin(MANIFEST);
  assert.equal(info.status, 'rejected');
  assert.equal(info.signature_valid, false);
  await assert.rejects(gateway.enablePlugin(PLUGIN), refused(RpcCode.Refused, /Cannot enable rejected plugin/));
});

test('a signature that is given counts, not the one in the package', async (t) => {
  const { pkg, state, command } = site(t);
  const gateway = await open(t, { pkg, state, command });
  const wrong = { algorithm: 'ed25519', key_id: '0123456789abcdef', signature: Buffer.alloc(64).toString('base64') } as const;
  assert.equal((await gateway.registerPlugin(pkg, wrong)).signature_valid, false);
  assert.equal((await gateway.registerPlugin(pkg)).signature_valid, true);
});

test('invoke gives each status as a response', async (t) => {
  const { gateway } = await ready(t);
  const request = ask('hello');
  const ok = await gateway.invoke(PLUGIN, request);
  assert.equal(ok.status, 'ok');
  assert.equal(ok.request_id, request.request_id);
  assert.ok(ok.result?.kind === 'text');
  assert.equal(ok.result.content, 'hello');
  assert.match(ok.evidence_hashes.output_hash, /^[0-9a-f]{64}$/);

  assert.equal((await gateway.invoke(PLUGIN, ask('crash'))).status, 'error');
  const failed = await gateway.invoke(PLUGIN, ask('fail'));
  assert.equal(failed.status, 'error');
  assert.match(failed.notes, /as asked/);
  assert.equal(failed.result, null);
  const late = await gateway.invoke(PLUGIN, ask('spin', { timeout_ms: 300 }));
  assert.equal(late.status, 'timeout');
  assert.match(late.notes, /timeout/);
  const unknown = await gateway.invoke('p.not.there', ask('hello'));
  assert.equal(unknown.status, 'rejected');
  assert.match(unknown.notes, /not found/);
  const invalid = await gateway.invoke(PLUGIN, { ...ask('hello'), run_id: '' });
  assert.equal(invalid.status, 'rejected');
  assert.match(invalid.notes, /Invalid request/);
});

test('what JSON cannot say is refused before it is sent', async (t) => {
  const { gateway } = await ready(t);
  const odd = (number: number): Promise<unknown> =>
    gateway.invoke(PLUGIN, { ...ask('x'), payload: { kind: 'json', data: { number }, schema_ref: 'x/1' } });
  await assert.rejects(odd(Number.NaN), TypeError);
  // This one is JSON, but breaks the contract's rule about numbers.
  await assert.rejects(odd(2 ** 60), refused(RpcCode.ParseError, /string/));
});

test('invokePipeline runs its steps', async (t) => {
  const { gateway } = await ready(t);
  const policy = { plugin_ids: [PLUGIN, PLUGIN], timeout_ms: 20_000, stop_on_failure: true } as const;
  for (const strategy of ['sequential', 'fan_out'] as const) {
    const answer = await gateway.invokePipeline({ ...policy, strategy }, ask('hello'));
    assert.equal(answer.overall_status, 'ok');
    assert.equal(answer.strategy, strategy);
    assert.deepEqual(answer.steps.map(({ step_index, response }) => [step_index, response.status]), [[0, 'ok'], [1, 'ok']]);
  }
  const stopped = await gateway.invokePipeline({ ...policy, strategy: 'sequential' }, ask('crash'));
  assert.equal(stopped.overall_status, 'error');
  assert.equal(stopped.steps.length, 1);
});

test('exportProof gives a bundle of the run', async (t) => {
  const { gateway } = await ready(t);
  const response = await gateway.invoke(PLUGIN, ask('hello'));
  const bundle = await gateway.exportProof(RUN);
  assert.equal(bundle.run_id, RUN);
  assert.deepEqual(bundle.events.map(({ kind }) => kind), ['INVOKE', 'RESULT']);
  assert.equal(bundle.events[1]?.output_hash, response.evidence_hashes.output_hash);
  assert.equal(bundle.inclusion.length, 2);
});

test('ping, verifyLedger and metrics tell of the gateway', async (t) => {
  const { gateway, site: { state } } = await ready(t);
  const pong = await gateway.ping();
  assert.equal(pong.pid, gateway.pid);
  assert.equal(pong.state, state);
  assert.ok(existsSync(pong.state));
  await gateway.invoke(PLUGIN, ask('hello'));
  const ledger = await gateway.verifyLedger();
  assert.equal(ledger.valid, true);
  assert.equal(ledger.broken_at, null);
  assert.ok(ledger.events >= 5);
  const { text } = await gateway.metrics();
  assert.match(text, /plugin_gateway_invocations_total\{status="ok",cause="answer"\} 1/);
});

test('200 calls at the same time each get their own answer', async (t) => {
  const { gateway } = await ready(t);
  const words = Array.from({ length: 200 }, (_, index) => `word-${index}`);
  const answers = await Promise.all(words.map((word) => gateway.invoke(PLUGIN, ask(word))));
  assert.deepEqual(answers.map(({ result }) => (result?.kind === 'text' ? result.content : result)), words);
  assert.equal(gateway.inFlight, 0);
});

test('subscribe gives the events in their order, from where it is asked', async (t) => {
  const { gateway } = await ready(t);
  await gateway.invoke(PLUGIN, ask('hello'));
  const kinds: string[] = [];
  const subscription = await gateway.subscribe(0);
  const others = await Promise.all(Array.from({ length: 7 }, () => gateway.subscribe()));
  await assert.rejects(gateway.subscribe(), refused(RpcCode.Internal, /overloaded/));
  await Promise.all(others.map((other) => other.stop()));
  for await (const { index, event } of subscription) {
    assert.equal(index, kinds.length);
    kinds.push(event.kind);
    if (event.kind === 'RESULT') break;
  }
  assert.deepEqual(kinds, ['ENABLE', 'REGISTER', 'ENABLE', 'INVOKE', 'RESULT']);
  assert.equal(subscription.next, 5);

  const later = await gateway.subscribe(subscription.next);
  await gateway.disablePlugin(PLUGIN);
  for await (const { index, event } of later) {
    assert.deepEqual([index, event.kind], [5, 'DISABLE']);
    break;
  }
});

test('a subscription ends in good order when the gateway is closed', async (t) => {
  const { gateway } = await ready(t);
  const subscription = await gateway.subscribe(0);
  const seen: number[] = [];
  const reading = (async () => {
    for await (const { index } of subscription) seen.push(index);
  })();
  await gateway.close();
  await reading;
  assert.deepEqual(seen, [0, 1, 2]);
});
