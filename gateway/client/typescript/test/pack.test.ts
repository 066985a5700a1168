/** The package from a fresh checkout: packed, installed offline in a new folder, and used by `import` and by `require`. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';

import { ROOT, binary, folder } from './support.js';

/** What no checkout has. */
const MADE = ['node_modules', 'dist'];

const USE = `(async () => {
  const gateway = await PluginGateway.start({ command: process.argv[2], state: process.argv[3], create: true });
  try { await gateway.enablePlugin('p.not.there'); } catch (error) { console.log(error instanceof RpcError, error.code); }
  console.log((await gateway.getEvents()).length, typeof testing.handler, OMEGA_PLUGIN_API_VERSION);
  await gateway.close();
})();`;

const NAMES = '{ PluginGateway, RpcError, testing, OMEGA_PLUGIN_API_VERSION }';

test('npm pack is complete, and both forms of the package are one', (t) => {
  const [here, user] = [folder(t), folder(t)];
  const checkout = join(here, 'gateway/client/typescript');
  mkdirSync(checkout, { recursive: true });
  cpSync(ROOT, checkout, { recursive: true, filter: (path) => !MADE.includes(basename(path)) });
  cpSync(join(ROOT, '../../../plugin-protocol/schemas'), join(here, 'plugin-protocol/schemas'), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(checkout, 'node_modules'));
  const npm = (cwd: string, ...args: string[]): string => execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: 'pipe' });
  npm(checkout, 'pack', '--pack-destination', user);
  writeFileSync(join(user, 'package.json'), '{}');
  npm(user, 'install', '--offline', '--no-audit', '--no-fund', './omega-plugin-gateway-0.1.0.tgz');
  const run = (file: string, ...args: string[]): string => execFileSync(process.execPath, [file, ...args], { cwd: user, encoding: 'utf8' });
  const [esm, cjs, both] = ['use.mjs', 'use.cjs', 'both.mjs'];
  writeFileSync(join(user, esm), `import ${NAMES} from '@omega/plugin-gateway';\n${USE}`);
  writeFileSync(join(user, cjs), `const ${NAMES} = require('@omega/plugin-gateway');\n${USE}`);
  for (const file of [esm, cjs]) {
    assert.equal(run(file, binary(), join(user, `state-${file}`)), 'true -32001\n0 function 1.0.0\n', file);
  }
  writeFileSync(join(user, both), `import { createRequire } from 'node:module';
    import { RpcError } from '@omega/plugin-gateway';
    console.log(RpcError === createRequire(import.meta.url)('@omega/plugin-gateway').RpcError);`);
  assert.equal(run(both), 'true\n');
  const installed = join(user, 'node_modules/@omega/plugin-gateway');
  for (const file of ['entry/index.d.ts', 'dist/cjs/index.d.ts', 'dist/schemas/manifest.schema.json']) assert.ok(existsSync(join(installed, file)), file);
  assert.ok(!existsSync(join(installed, 'dist/test')));
});
