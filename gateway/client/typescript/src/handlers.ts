/** A plugin's package made of a function, in the worker form. The function's text is all that goes into it. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { Script } from 'node:vm';

import type { PluginHandler } from './names.js';
import type { Manifest } from './types.js';

/** A manifest whose entrypoint may be left out: the function is the entrypoint. */
export type HandlerManifest = Omit<Manifest, 'entrypoint'> & { readonly entrypoint?: Manifest['entrypoint'] };

type Worker = Extract<Manifest['entrypoint'], { readonly type: 'worker' }>;

const WORKER: Worker = { type: 'worker', file: 'dist/worker.js', export: 'handleRequest' };

/** Writes the package of `handler` into `folder`. */
export function writePackage(folder: string, manifest: HandlerManifest, handler: PluginHandler): void {
  const entrypoint = workerOf(manifest);
  const name = JSON.stringify(entrypoint.export);
  write(folder, 'plugin.json', JSON.stringify({ ...manifest, entrypoint }, null, 2));
  write(folder, entrypoint.file, `'use strict';\nmodule.exports = { [${name}]: ${expression(handler)} };\n`);
}

/** The manifest's own worker where a file of its name can hold the function. */
function workerOf({ entrypoint }: HandlerManifest): Worker {
  if (entrypoint?.type !== 'worker') return WORKER;
  const isScript = /\.c?js$/.test(entrypoint.file) && !normalize(entrypoint.file).startsWith('..');
  return isScript ? entrypoint : { ...entrypoint, file: WORKER.file };
}

/** The function as an expression. A method's text is none by itself. */
function expression(handler: PluginHandler): string {
  const text = handler.toString();
  const known = [`(${text})`, `Object.values({ ${text} })[0]`].find(isExpression);
  if (known === undefined) {
    throw new TypeError('the handler must be a function written in JavaScript: a bound or built-in one has no text to put into a package');
  }
  return known;
}

function isExpression(text: string): boolean {
  try {
    // Compiled and never run.
    return new Script(text) instanceof Script;
  } catch {
    return false;
  }
}

function write(folder: string, name: string, text: string): void {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
