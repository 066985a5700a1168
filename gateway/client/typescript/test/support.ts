/** What the tests share: the real command with a state and a signed plugin of its own, and a stand-in for the command. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { Gateway, newRequest, text } from '../src/index.js';
import type { GatewayOptions, Manifest, PluginRequest, RequestPolicy } from '../src/index.js';

/** This package's folder, seen from `dist/test`. */
export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export const PLUGIN = 'p.test.echo';

export const RUN = 'run-1';

/** The signed plugin's manifest. */
export const MANIFEST: Manifest = JSON.parse(readFileSync(join(ROOT, 'test/echo/plugin.json'), 'utf8'));

/** The command under test. */
export function binary(): string {
  const named = process.env['PLUGIN_GATEWAY'];
  const built = ['debug', 'release'].map((profile) => join(ROOT, '../../../target', profile, 'plugin-gateway'));
  const found = (named ? [named] : built).find((path) => existsSync(path));
  if (found === undefined) {
    const looked = (named ? [named] : built).map((path) => resolve(path)).join(', ');
    throw new Error(
      `there is no plugin-gateway command at ${looked}: build it with \`cargo build --package plugin-gateway\`, or name it in PLUGIN_GATEWAY`,
    );
  }
  return resolve(found);
}

const cleanups = new WeakMap<TestContext, (() => unknown)[]>();

/** Does something after the test; what was asked for last comes first, as `t.after` would not have it. */
export function after(t: TestContext, clean: () => unknown): void {
  const known = cleanups.get(t);
  if (known !== undefined) {
    known.push(clean);
    return;
  }
  const all = [clean];
  cleanups.set(t, all);
  t.after(async () => {
    for (const each of all.reverse()) await each();
  });
}

/** A folder that is gone after the test. */
export function folder(t: TestContext): string {
  const made = mkdtempSync(join(tmpdir(), 'plugin-gateway-client-'));
  after(t, () => remove(made));
  return made;
}

/** The gateway's store has folders that even their owner may not write to. */
function remove(folder: string): void {
  chmodSync(folder, 0o700);
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) remove(join(folder, entry.name));
  }
  rmSync(folder, { recursive: true, force: true });
}

export type Site = {
  readonly state: string;
  readonly pkg: string;
  /** Runs the command on the state, and gives its stdout. */
  readonly command: (...args: string[]) => string;
};

/** A state that trusts the key by which its package is signed. Nothing is registered in it. */
export function site(t: TestContext): Site {
  const here = folder(t);
  const [state, pkg, key] = [join(here, 'state'), join(here, 'echo'), join(here, 'key.pem')];
  const command = (...args: string[]): string =>
    execFileSync(binary(), [...args, '--state', state], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  mkdirSync(pkg);
  cpSync(join(ROOT, 'test/echo'), pkg, { recursive: true });
  command('init');
  command('keygen', '--out', key);
  command('sign', pkg, '--key', key);
  command('trust', 'add', `${key}.pub`);
  return { state, pkg, command };
}

/** The gateway on a site, closed after the test. */
export async function open(t: TestContext, { state }: Site, options: GatewayOptions = {}): Promise<Gateway> {
  const gateway = await Gateway.start({ command: binary(), state, ...options });
  after(t, () => gateway.close());
  return gateway;
}

/** The gateway on a site of its own, with the plugin enabled. */
export async function ready(t: TestContext, options: GatewayOptions = {}): Promise<{ gateway: Gateway; site: Site }> {
  const made = site(t);
  const gateway = await open(t, made, options);
  await gateway.registerPlugin(made.pkg);
  await gateway.enablePlugin(PLUGIN);
  return { gateway, site: made };
}

/** A request with a text. */
export function ask(content: string, policy: Partial<RequestPolicy> = {}): PluginRequest {
  return newRequest(text(content), { runId: RUN, policy });
}

/** The stand-in for the command, which behaves as its mode says. */
export function fake(mode: string, ...more: string[]): readonly [string, ...string[]] {
  return [process.execPath, fileURLToPath(new URL('./fake-gateway.js', import.meta.url)), mode, ...more];
}

/** Whether the process is there. One that ended and was not waited for is not. */
export function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) !== 'Z';
  } catch {
    return false;
  }
}

/** Waits until something holds, and fails where it never does. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const LOOK_EVERY_MS = 10;
  // Far more than the slowest host needs.
  const PATIENCE_MS = 120_000;
  const end = Date.now() + PATIENCE_MS;
  while (!(await holds())) {
    assert.ok(Date.now() < end, `it never held: ${holds}`);
    await sleep(LOOK_EVERY_MS);
  }
}
