/** After the end, by whomever, nothing is left. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';

import { Closed, Gateway, GatewayDied } from '../src/index.js';
import { PLUGIN, ask, binary, fake, isAlive, ready, site, until } from './support.js';

/** The loop closes handles that are done with in its next turns. */
async function handlesToClose(): Promise<void> {
  const TURNS = 100;
  for (let turn = 0; turn < TURNS; turn += 1) await setImmediate();
}

test('close() answers what is in flight, takes nothing more, and leaves no process', async (t) => {
  const { gateway } = await ready(t);
  const { pid } = await gateway.ping();
  const call = gateway.invoke(PLUGIN, ask('hello'));
  const [closing, again] = [gateway.close(), gateway.close()];
  await assert.rejects(gateway.ping(), Closed);
  await assert.rejects(gateway.restart(), Closed);
  assert.equal((await call).status, 'ok');
  await Promise.all([closing, again]);
  assert.equal(isAlive(pid), false);
});

test('close() leaves no handle and no timer', async (t) => {
  const { state } = site(t);
  const resources = (): string[] =>
    process.getActiveResourcesInfo().filter((name) => ['ProcessWrap', 'PipeWrap', 'Timeout'].includes(name)).sort();
  await handlesToClose();
  const before = resources();
  const gateway = await Gateway.start({ command: binary(), state });
  assert.notDeepEqual(resources(), before);
  await gateway.ping({ timeoutMs: 60_000, signal: new AbortController().signal });
  await gateway.close();
  await handlesToClose();
  assert.deepEqual(resources(), before);
});

test('a call that goes on too long is cut off by SIGTERM', async (t) => {
  const { gateway } = await ready(t, { drainMs: 50, killMs: 60_000 });
  const { pid } = await gateway.ping();
  const call = gateway.invoke(PLUGIN, ask('spin'));
  await gateway.close();
  const { status, notes } = await call;
  assert.equal(status, 'error');
  assert.match(notes, /cancelled/);
  assert.equal(isAlive(pid), false);
});

test('a gateway that heeds nothing is killed', async () => {
  const log: string[] = [];
  const gateway = await Gateway.start({ command: fake('stubborn'), drainMs: 20, killMs: 200, log: (line) => log.push(line) });
  const pid = gateway.pid ?? 0;
  const call = gateway.listPlugins();
  await Promise.all([gateway.close(), assert.rejects(call, (error) => error instanceof GatewayDied && error.exit?.signal === 'SIGKILL')]);
  assert.deepEqual(log, ['SIGTERM']);
  assert.equal(isAlive(pid), false);
});

test('close() ends a restart that is under way', async () => {
  const gateway = await Gateway.start({ command: fake('silent'), backoff: { firstDelayMs: 60_000, longestDelayMs: 60_000 } });
  process.kill(gateway.pid ?? 0, 'SIGKILL');
  await until(() => gateway.ready().then(() => false, () => true));
  const restart = gateway.restart();
  await assert.rejects(gateway.ping(), /being started again/);
  await Promise.all([gateway.close(), assert.rejects(restart, Closed)]);
});

test('the log comes in lines', async () => {
  const log: string[] = [];
  const gateway = await Gateway.start({ command: fake('log'), log: (line) => log.push(line) });
  await gateway.close();
  assert.deepEqual(log, ['first', 'second ä', 'unfinished']);
});

test('a host that is killed takes the gateway with it', async (t) => {
  const { state } = site(t);
  const index = new URL('../src/index.js', import.meta.url).href;
  const program = `
    const { Gateway } = await import(${JSON.stringify(index)});
    const gateway = await Gateway.start(${JSON.stringify({ command: binary(), state })});
    console.log(gateway.pid);`;
  const host = spawn(process.execPath, ['--input-type=module', '--eval', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(host.stdout, 'data');
  const pid = Number(line);
  assert.ok(isAlive(pid));
  host.kill('SIGKILL');
  await until(() => !isAlive(pid));
});
