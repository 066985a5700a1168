/** Cancelling, dying and misbehaving: each call ends once, with the error that says why. */

import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { Aborted, GatewayDied, Gateway, Overloaded, ProtocolError, RpcError, SubscriptionEnded, Timeout } from '../src/index.js';
import type { GatewayOptions } from '../src/index.js';
import { PLUGIN, ask, fake, folder, isAlive, open, ready, until } from './support.js';

const QUICK = { attempts: 5, firstDelayMs: 1, longestDelayMs: 10 };

async function startFake(mode: string, options: GatewayOptions = {}): Promise<Gateway> {
  return await Gateway.start({ command: fake(mode), ...options });
}

test('an aborted call is cancelled at the gateway, and settled once', async (t) => {
  const { gateway } = await ready(t);
  const stop = new AbortController();
  const call = gateway.invoke(PLUGIN, ask('spin'), { signal: stop.signal });
  let settled = 0;
  const counted = call.then(() => (settled += 1), () => (settled += 1));
  const events = await gateway.subscribe(3);
  let ended;
  for await (const { event } of events) {
    // The plugin runs now.
    if (event.kind === 'INVOKE') stop.abort(new Error('enough'));
    else {
      ended = event;
      break;
    }
  }
  assert.equal(ended?.kind, 'ERROR');
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof Aborted);
    assert.equal(error.name, 'AbortError');
    assert.ok(error.cause instanceof Error && error.cause.message === 'enough');
    return true;
  });
  await until(() => gateway.inFlight === 0);
  await counted;
  assert.equal(settled, 1);
  assert.equal(getEventListeners(stop.signal, 'abort').length, 0);
  assert.equal((await gateway.invoke(PLUGIN, ask('hello'))).status, 'ok');
});

test('a signal that is aborted already sends nothing; one that is not leaves no listener', async (t) => {
  const { gateway } = await ready(t);
  await assert.rejects(gateway.ping({ signal: AbortSignal.abort() }), Aborted);
  assert.equal(gateway.inFlight, 0);
  const { signal } = new AbortController();
  await gateway.ping({ signal });
  assert.equal(getEventListeners(signal, 'abort').length, 0);
});

test('a call that is not answered in its time is cancelled', async () => {
  const log: string[] = [];
  const gateway = await startFake('answers-cancelled', { log: (line) => log.push(line) });
  await assert.rejects(gateway.listPlugins({ timeoutMs: 20 }), (error) => error instanceof Timeout && error.timeoutMs === 20);
  await until(() => gateway.inFlight === 0);
  await gateway.close();
  assert.deepEqual(log, ['cancel 2']);
  await assert.rejects(startFake('silent').then((other) => other.listPlugins({ timeoutMs: 0 }).finally(() => other.close())), RangeError);
});

test('kill -9: each call in flight ends with GatewayDied, and a restart works', async (t) => {
  const { gateway } = await ready(t, { backoff: QUICK });
  const { pid } = await gateway.ping();
  const calls = Array.from({ length: 6 }, () => gateway.invoke(PLUGIN, ask('spin')));
  const subscription = await gateway.subscribe();
  process.kill(pid, 'SIGKILL');
  for (const { status, ...rest } of await Promise.allSettled(calls)) {
    assert.equal(status, 'rejected');
    assert.ok('reason' in rest && rest.reason instanceof GatewayDied);
    assert.equal(rest.reason.exit?.signal, 'SIGKILL');
  }
  await assert.rejects(async () => {
    for await (const event of subscription) void event;
  }, GatewayDied);
  await assert.rejects(gateway.ping(), GatewayDied);
  await assert.rejects(gateway.ready(), GatewayDied);
  await gateway.restart();
  assert.notEqual(gateway.pid, pid);
  assert.equal((await gateway.invoke(PLUGIN, ask('hello'))).status, 'ok');
});

test('with autoRestart it is started again by itself', async (t) => {
  const { gateway } = await ready(t, { autoRestart: true, backoff: QUICK });
  const { pid } = await gateway.ping();
  const call = gateway.invoke(PLUGIN, ask('spin'));
  process.kill(pid, 'SIGKILL');
  await assert.rejects(call, GatewayDied);
  await gateway.ready();
  assert.notEqual(gateway.pid, pid);
  assert.equal((await gateway.verifyLedger()).valid, true);
});

test('a restart goes on through starts that fail', async (t) => {
  const left = join(folder(t), 'left');
  // The first start works; the two after it fail.
  writeFileSync(left, '3');
  const gateway = await Gateway.start({ command: fake('recovers', left), backoff: QUICK });
  const { pid } = await gateway.ping();
  process.kill(pid, 'SIGKILL');
  await until(() => !isAlive(pid));
  await until(() => gateway.ready().then(() => false, () => true));
  await Promise.all([gateway.restart(), gateway.restart()]);
  assert.notEqual((await gateway.ping()).pid, pid);
  await gateway.close();
});

test('a gateway that dies again and again is given up', async () => {
  const gateway = await startFake('short-lived', { autoRestart: true, backoff: { ...QUICK, attempts: 3, longestDelayMs: 60_000 } });
  let starts = 0;
  await until(async () => {
    try {
      await gateway.ready();
      starts += 1;
      return false;
    } catch (error) {
      return error instanceof GatewayDied && error.message.includes('restart()');
    }
  });
  assert.ok(starts >= 1);
  await gateway.close();
});

test('a gateway that cannot be started says why', async () => {
  await assert.rejects(Gateway.start({ command: '/not/there' }), (error) => {
    assert.ok(error instanceof GatewayDied);
    assert.match(error.message, /cannot be started.*ENOENT/);
    return true;
  });
  await assert.rejects(startFake('no-state'), (error) => {
    assert.ok(error instanceof GatewayDied);
    assert.equal(error.exit?.code, 4);
    assert.match(error.message, /cannot open ledger$/);
    return true;
  });
  await assert.rejects(startFake('mute', { startTimeoutMs: 50 }), Timeout);
  await assert.rejects(startFake('old-api'), ProtocolError);
  await assert.rejects(startFake('silent', { maxInFlight: 0 }), RangeError);
});

test('a gateway that breaks the protocol is ended, and every call in flight is told', async (t) => {
  const modes = {
    garbage: /not JSON: "this is not JSON"/,
    'not-utf8': /not JSON/,
    'old-rpc': /jsonrpc/,
    neither: /neither an answer nor/,
    twice: /not in flight/,
    'unknown-id': /4711, which is not in flight/,
    'no-newline': /line of more than 1048576 bytes/,
    notifies: /nobody is subscribed/,
  };
  for (const [mode, words] of Object.entries(modes)) {
    await t.test(mode, async () => {
      const gateway = await startFake(mode, { maxAnswerBytes: 1024 * 1024 });
      const pid = gateway.pid ?? 0;
      const calls = await Promise.allSettled([gateway.listPlugins(), gateway.listPlugins()]);
      const refused = calls.flatMap((call) => (call.status === 'rejected' ? [call.reason] : []));
      assert.ok(refused.length >= 1);
      for (const reason of refused) {
        assert.ok(reason instanceof ProtocolError, String(reason));
        assert.match(reason.message, words);
      }
      await until(() => !isAlive(pid));
      await gateway.close();
    });
  }
});

test('a result of the wrong shape fails its call alone', async () => {
  const gateway = await startFake('shape');
  await assert.rejects(gateway.listPlugins(), (error) => {
    assert.ok(error instanceof ProtocolError);
    assert.equal(error.message, 'listPlugins/0/name: expected a string');
    return true;
  });
  await assert.rejects(gateway.validateManifest({}), /validateManifest\/valid: expected true or false/);
  await gateway.ping();
  await gateway.close();
});

test('an exit that nobody asked for is a death, whatever its code', async () => {
  const gateway = await startFake('exit-zero');
  await assert.rejects(gateway.listPlugins(), (error) => error instanceof GatewayDied && error.exit?.code === 0);
  await gateway.close();
});

test('bounds are kept before anything is sent', async () => {
  const gateway = await startFake('silent', { maxInFlight: 2, maxRequestBytes: 1000, drainMs: 1 });
  const waiting = [gateway.listPlugins(), gateway.listPlugins()];
  await assert.rejects(gateway.listPlugins(), (error) => error instanceof Overloaded && /2 calls are in flight/.test(error.message));
  await assert.rejects(gateway.validateManifest({ long: 'x'.repeat(1000) }), /more than maxRequestBytes/);
  await gateway.close();
  for (const call of waiting) await assert.rejects(call, GatewayDied);
});

test('what a gateway does not read is bounded', async () => {
  const gateway = await startFake('silent', { maxUnsentBytes: 4 * 1024 * 1024 });
  process.kill(gateway.pid ?? 0, 'SIGSTOP');
  const manifest = { long: 'x'.repeat(1024 * 1024) };
  const refusals: unknown[] = [];
  const calls = Array.from({ length: 6 }, () => gateway.validateManifest(manifest).catch((error: unknown) => refusals.push(error)));
  await until(() => refusals.length > 0);
  assert.ok(refusals.every((error) => error instanceof Overloaded && error.message.includes('maxUnsentBytes')));
  process.kill(gateway.pid ?? 0, 'SIGKILL');
  await Promise.all(calls);
  await gateway.close();
});

test('an error without an id is about the longest message', async () => {
  const gateway = await startFake('refuse-long');
  const [short, long] = [gateway.listPlugins(), gateway.validateManifest({ a: 'x'.repeat(100) })];
  const outcomes = await Promise.allSettled([long, short]);
  for (const outcome of outcomes) {
    assert.ok(outcome.status === 'rejected' && outcome.reason instanceof RpcError);
    assert.equal(outcome.reason.code, -32600);
  }
  await gateway.close();
});

test('the real gateway refuses a message that is too long for it, and only that call', async (t) => {
  const { gateway, site } = await ready(t);
  await gateway.close();
  writeFileSync(join(site.state, 'config.toml'), '[channel]\nmax_line_bytes = 65536\n');
  const again = await open(t, site);
  const manifest = { long: 'x'.repeat(100_000) };
  const calls = await Promise.allSettled([again.invoke(PLUGIN, ask('hello')), again.validateManifest(manifest), again.ping()]);
  assert.deepEqual(calls.map(({ status }) => status), ['fulfilled', 'rejected', 'fulfilled']);
  assert.ok(calls[1].status === 'rejected' && calls[1].reason instanceof RpcError);
  assert.match(calls[1].reason.message, /longer than 65536 bytes/);
});

test('a subscriber that does not read is told where to go on', async () => {
  const gateway = await startFake('flood', { maxQueuedEvents: 10 });
  const subscription = await gateway.subscribe();
  const seen: number[] = [];
  await assert.rejects(async () => {
    for await (const { index } of subscription) seen.push(index);
  }, Overloaded);
  assert.ok(seen.length >= 10 && seen.length < 100);
  assert.deepEqual(seen, seen.map((_, nth) => 5 + nth));
  assert.equal(subscription.next, 5 + seen.length);
  // The place is free again.
  await (await gateway.subscribe(subscription.next)).stop();
  await gateway.close();
});

test('a subscription that the gateway ends says so', async (t) => {
  const { gateway, site } = await ready(t);
  const subscription = await gateway.subscribe();
  // An operator stops the gateway.
  process.kill(gateway.pid ?? 0, 'SIGTERM');
  await assert.rejects(async () => {
    for await (const event of subscription) void event;
  }, SubscriptionEnded);
  assert.match(site.command('list'), /p\.test\.echo/);
});
