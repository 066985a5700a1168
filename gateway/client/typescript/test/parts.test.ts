/** The parts that need no gateway: lines, pauses, settings. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { LineSplitter } from '../src/lines.js';
import { settle } from '../src/settings.js';
import { pauseMs } from '../src/supervisor.js';

class TooLong extends Error {}

function split(chunks: readonly Buffer[], maxBytes: number): string[] {
  const splitter = new LineSplitter(maxBytes, () => new TooLong());
  return chunks.flatMap((chunk) => [...splitter.take(chunk)].map(String));
}

test('lines are the same in chunks of every size', () => {
  const bytes = Buffer.from('one\n\nzwölf\nlast\nunfinished');
  for (let size = 1; size <= bytes.length; size += 1) {
    const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, nth) => bytes.subarray(nth * size, (nth + 1) * size));
    assert.deepEqual(split(chunks, 100), ['one', '', 'zwölf', 'last'], `chunks of ${size}`);
  }
});

test('a line of the bound is taken, one more byte is not, finished or unfinished', () => {
  assert.deepEqual(split([Buffer.from('12345\n12345\n')], 5), ['12345', '12345']);
  assert.throws(() => split([Buffer.from('123456\n')], 5), TooLong);
  assert.throws(() => split([Buffer.from('123'), Buffer.from('456')], 5), TooLong);
});

test('pauses double up to the longest', () => {
  const backoff = { attempts: 9, firstDelayMs: 100, longestDelayMs: 1000 };
  assert.deepEqual([0, 1, 2, 3, 4, 2000].map((failures) => pauseMs(backoff, failures)), [100, 200, 400, 800, 1000, 1000]);
});

test('settings out of bounds are named', () => {
  assert.throws(() => settle({ maxInFlight: 1.5 }), { name: 'RangeError', message: /^maxInFlight/ });
  assert.throws(() => settle({ drainMs: 2 ** 31 }), { name: 'RangeError', message: /^drainMs/ });
  assert.throws(() => settle({ backoff: { attempts: 0 } }), { name: 'RangeError', message: /^attempts/ });
  assert.deepEqual(settle({ command: ['sudo', 'gateway'], state: '/s' }).args, ['gateway', 'serve', '--state', '/s']);
});
