/** A throw-away gateway for a host's tests, with functions for plugins. They run in the same sandbox as any plugin. */

import { chmodSync, lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Gateway } from './client.js';
import { runCommand } from './command.js';
import { writePackage } from './handlers.js';
import type { HandlerManifest } from './handlers.js';
import type { PluginHandler } from './names.js';
import type { GatewayOptions } from './settings.js';

export type { HandlerManifest } from './handlers.js';

/** The state and the key are its own. */
export type TestingOptions = Omit<GatewayOptions, 'state' | 'create' | 'trust'>;

/**
 * A started gateway with one plugin, which is enabled. `close()` removes all that was made.
 *
 * The plugin is a package of the function's text, so the function can use nothing from around it, and nothing of its answer
 * but `request_id`, `status`, `result` and `notes` counts.
 */
export function handler(manifest: HandlerManifest, fn: PluginHandler, options: TestingOptions = {}): Promise<Gateway> {
  return handlers([[manifest, fn]], options);
}

/** The same with several plugins, or with none. */
export async function handlers(
  plugins: readonly (readonly [HandlerManifest, PluginHandler])[],
  options: TestingOptions = {},
): Promise<Gateway> {
  const folder = mkdtempSync(join(tmpdir(), 'plugin-gateway-testing-'));
  const clean = (): void => remove(folder);
  // For a program that ends without close().
  process.once('exit', clean);
  const cleanOnce = (): void => {
    process.off('exit', clean);
    clean();
  };
  try {
    return await fill(folder, plugins, options, cleanOnce);
  } catch (error) {
    cleanOnce();
    throw error;
  }
}

async function fill(
  folder: string,
  plugins: readonly (readonly [HandlerManifest, PluginHandler])[],
  options: TestingOptions,
  afterwards: () => void,
): Promise<Gateway> {
  const [state, key] = [join(folder, 'state'), join(folder, 'key')];
  const packages = plugins.map((_, nth) => join(folder, `package-${nth}`));
  plugins.forEach(([manifest, fn], nth) => writePackage(packages[nth] ?? folder, manifest, fn));
  const command = { ...options, state };
  await runCommand(command, ['keygen', '--out', key]);
  for (const each of packages) await runCommand(command, ['sign', '--json', '--key', key, each]);
  const gateway = await Gateway.startThen({ ...command, create: true, trust: `${key}.pub` }, afterwards);
  try {
    for (const each of packages) await gateway.enablePlugin((await gateway.registerPlugin(each)).plugin_id);
  } catch (error) {
    await gateway.close();
    throw error;
  }
  return gateway;
}

/** The gateway's store has folders that even their owner may not write to. */
function remove(folder: string): void {
  const open = (here: string): void => {
    if (!lstatSync(here, { throwIfNoEntry: false })?.isDirectory()) return;
    chmodSync(here, 0o700);
    for (const name of readdirSync(here)) open(join(here, name));
  };
  open(folder);
  rmSync(folder, { recursive: true, force: true });
}
