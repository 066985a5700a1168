/** Runs one verb of the command to its end, for what has no method on the channel. */

import { execFile } from 'node:child_process';

import { Aborted, CommandFailed, GatewayDied } from './errors.js';
import { hintFor } from './hints.js';
import { checkPlatform } from './platform.js';
import type { GatewayOptions } from './settings.js';
import { isObject } from './shape.js';

/** The longest answer that is read, in bytes: far more than any verb that is run here writes. */
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

/** Exit codes from this one on are no answer: wrong usage, refused, failed. */
const FIRST_FAILURE = 2;

export type CommandOptions = Pick<GatewayOptions, 'command' | 'state' | 'env'> & { readonly signal?: AbortSignal | undefined };

/** The program, and what stands before the verb. */
export function programOf(command: GatewayOptions['command'] = 'plugin-gateway'): readonly [string, ...string[]] {
  return typeof command === 'string' ? [command] : command;
}

/** What the verb printed; that the answer is no (exit code 1) is no failure. */
export function runCommand(options: CommandOptions, verb: readonly string[]): Promise<string> {
  checkPlatform(options.command);
  const [program, ...before] = programOf(options.command);
  const state = options.state === undefined ? [] : ['--state', options.state];
  const { env = process.env, signal } = options;
  const name = verb[0] ?? '';
  return new Promise((resolve, reject) => {
    const settings = { env, maxBuffer: MAX_OUTPUT_BYTES, ...(signal === undefined ? {} : { signal }) };
    execFile(program, [...before, ...state, ...verb], settings, (error, stdout, stderr) => {
      if (error === null || (error.code !== undefined && Number(error.code) < FIRST_FAILURE)) return resolve(stdout);
      if (signal?.aborted) return reject(new Aborted(name, signal.reason));
      if (typeof error.code !== 'number') {
        return reject(GatewayDied.of({ code: null, signal: error.signal ?? null, stderr, ...(error.signal ? {} : { cause: error }) }));
      }
      const { message, hint } = failure(stdout, stderr);
      return reject(new CommandFailed(name, error.code, message, hintFor(message, hint)));
    });
  });
}

/** With `--json` the failure is an object on stdout. */
function failure(stdout: string, stderr: string): { readonly message: string; readonly hint?: string } {
  try {
    const told: unknown = JSON.parse(stdout);
    const error = isObject(told) ? told['error'] : undefined;
    if (isObject(error) && typeof error['message'] === 'string') {
      return { message: error['message'], ...(typeof error['hint'] === 'string' ? { hint: error['hint'] } : {}) };
    }
  } catch {
    // It was not that far yet.
  }
  return { message: stderr.trim() };
}
