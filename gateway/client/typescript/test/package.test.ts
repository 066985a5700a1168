/** The package as it is handed out: its README's example, its types, and what it does not hold. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

import type { Gateway, Payload, PluginResponse } from '../src/index.js';
import { ROOT, binary, folder, site } from './support.js';

const run = promisify(execFile);

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

test("the README's example runs, and ends by itself", async (t) => {
  const example = /```js\n(.*?)```/s.exec(read('README.md'))?.[1] ?? '';
  assert.ok(example.trimEnd().split('\n').length <= 10);
  const { state, pkg } = site(t);
  const bin = folder(t);
  symlinkSync(binary(), join(bin, 'plugin-gateway'));
  symlinkSync(pkg, join(dirname(pkg), 'hello'));
  // Inside the package its own name can be imported.
  const program = join(ROOT, 'dist/readme-example.mjs');
  writeFileSync(program, example);
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env['PATH'] ?? ''}`, PLUGIN_GATEWAY_STATE: state };
  const { stdout, stderr } = await run(process.execPath, [program], { env, cwd: dirname(pkg) });
  assert.match(stdout, /^ok \{\s*kind: 'text',\s*content: 'Hello, plugin!'/);
  assert.match(stderr, /plugin-gateway serves/);
});

test('wrong use does not compile', () => {
  // Compiled and never called: each line below must be an error, or the build fails.
  const wrong = async (gateway: Gateway, response: PluginResponse): Promise<void> => {
    // @ts-expect-error: a text has no data
    const odd: Payload = { kind: 'text', data: {}, schema_ref: 'x' };
    // @ts-expect-error: there is no such status
    if (response.status === 'fine') return;
    // @ts-expect-error: which kind it is must be asked first
    void response.result.content;
    // @ts-expect-error: a request has more than this
    await gateway.invoke('p.x.y', { payload: odd });
    // @ts-expect-error: there is no such operation
    await gateway.uninstall('p.x.y');
  };
  assert.equal(typeof wrong, 'function');
});

test('there is no `any`, and no dependency at run time', () => {
  const sources = readdirSync(join(ROOT, 'src')).map((name) => `src/${name}`);
  const declarations = sources.map((path) => `dist/${path.replace(/\.ts$/, '.d.ts')}`);
  for (const path of [...sources, ...declarations]) {
    const code = read(path).replace(/\/\*.*?\*\/|\/\/[^\n]*|`[^`]*`|'[^'\n]*'/gs, '');
    assert.doesNotMatch(code, /\bany\b/, path);
    assert.doesNotMatch(code, /@ts-/, path);
  }
  const manifest: { readonly dependencies?: object; readonly devDependencies: object } = JSON.parse(read('package.json'));
  assert.equal(manifest.dependencies, undefined);
  assert.deepEqual(Object.keys(manifest.devDependencies), ['@types/node', 'ajv', 'typescript']);
});

test('the lock file names no host', () => {
  // Where a library's author takes gifts is no place that anything comes from.
  const lock = read('package-lock.json').replaceAll(/"funding": (\{[^}]*\}|\[[^\]]*\])/g, '');
  assert.doesNotMatch(lock, /resolved|:\/\//);
});
