/** A manifest without its package, as a package of one file, for as long as it takes to register it. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { JsonObject, Manifest } from './types.js';

/** Runs `use` with a folder that holds `plugin.json` and nothing else; only this user can read it. */
export async function asPackage<T>(manifest: Manifest | JsonObject, use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'plugin-gateway-manifest-'));
  try {
    await writeFile(join(folder, 'plugin.json'), JSON.stringify(manifest));
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
