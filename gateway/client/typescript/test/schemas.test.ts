/** The contract's schemas under a checker that OMEGA's developers have: `new Ajv()`, which knows draft-07, and Ajv for 2020-12. */

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { Ajv } from 'ajv';
import type { AnySchemaObject } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';

import { newRequest, text } from '../src/index.js';
import { MANIFEST, ROOT } from './support.js';

const SCHEMAS = join(ROOT, '../../../plugin-protocol/schemas');
const HASH = '0123456789abcdef'.repeat(4);

function schema(file: string): AnySchemaObject {
  return JSON.parse(readFileSync(join(SCHEMAS, file), 'utf8'));
}

function names(folder: string): string[] {
  return readdirSync(folder).filter((name) => name.endsWith('.schema.json')).sort();
}

/** As far as the times below go; which text is a time is tried in the crate of the schemas. */
function isTime(said: string): boolean {
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(said) && !Number.isNaN(Date.parse(said));
}

const JSON_RESULT = { kind: 'json', data: { deep: [1, null] }, schema_ref: 's' };
const EVENT = {
  event_id: '019c1f6a-9b7d-7d0e-8c3f-3f2a1b4c5d6e', run_id: 'system', ts: '2026-01-31T12:00:00.000Z', kind: 'REGISTER', plugin_id: 'p.text.hello',
  request_id: '', input_hash: '', output_hash: HASH, prev_hash: '', event_hash: HASH, meta: { a: 'b' },
};

/** Of each schema something that it accepts. */
const EXAMPLES: { readonly [name: string]: readonly unknown[] } = {
  'answer.schema.json': [
    { type: 'result', response: { request_id: 'r', status: 'ok', result: JSON_RESULT, notes: '' } },
    { type: 'result', response: { request_id: 'r', status: 'rejected', result: null } },
  ],
  'event.schema.json': [EVENT],
  'manifest.schema.json': [
    MANIFEST,
    { ...MANIFEST, entrypoint: { type: 'worker', file: 'dist/worker.js', export: 'handleRequest' }, schemas: { s: 's.json' } },
    { ...MANIFEST, evidence: { log_level: 'full', redactions: ['', '/payload/a~0b'] } },
  ],
  'request.schema.json': [
    newRequest(text('hello', { a: 'b' }), { runId: 'run' }),
    newRequest({ kind: 'json', data: {}, schema_ref: 's' }, { runId: 'run' }),
    newRequest({ kind: 'binary_ref', artifact_id: 'a', artifact_hash: HASH, mime_type: 'a/b' }, { runId: 'run' }),
    newRequest({ kind: 'dataset_slice', slice_ids: ['a'], source: 's', filters: {} }, { runId: 'run' }),
  ],
  'response.schema.json': [
    { request_id: '', plugin_id: '', status: 'ok', result: JSON_RESULT, evidence_hashes: { input_hash: HASH, output_hash: '' }, duration_ms: 0, notes: '' },
  ],
};

const SUBSTITUTES: readonly unknown[] = [
  null, true, 0, -1, 1, 0.5, 5, 6, 100, 2 ** 53, '', 'x', 'abc', 'a\0', '/a', '/~2', 'ok', 'text', 'process', 'worker', '1.0.0', HASH, HASH.toUpperCase(),
  '2026-01-31T12:00:00.000Z', '2026-01-31T12:00:00Z', 'yesterday', 'é'.repeat(256), 'é'.repeat(257), [], [''], ['a', 'a'], ['a', ''], {}, { a: 'b' }, { a: 1 },
];

/** The same with one place changed, left out or added to. */
function* changed(value: unknown): Generator<unknown> {
  yield* SUBSTITUTES;
  if (Array.isArray(value)) {
    for (let at = 0; at < value.length; at += 1) for (const other of changed(value[at])) yield value.map((member, nth) => (nth === at ? other : member));
    yield [...value, ...value];
  } else if (typeof value === 'object' && value !== null) {
    for (const [name, member] of Object.entries(value)) {
      for (const other of changed(member)) yield { ...value, [name]: other };
      yield Object.fromEntries(Object.entries(value).filter(([other]) => other !== name));
    }
    yield { ...value, unknown: 1 };
  }
}

test('new Ajv() compiles every draft-07 schema, with itself and with the others', () => {
  assert.deepEqual(names(join(SCHEMAS, 'draft-07')), names(SCHEMAS));
  assert.deepEqual(names(SCHEMAS), Object.keys(EXAMPLES));
  const together = new Ajv({ strictTuples: false });
  for (const name of names(SCHEMAS)) {
    const older = schema(`draft-07/${name}`);
    assert.equal(typeof new Ajv({ logger: false }).compile(older), 'function', name);
    assert.equal(typeof together.compile(older), 'function', name);
    // The other form is what it does not know.
    assert.throws(() => new Ajv().compile(schema(name)), /2020-12/);
  }
});

test('both drafts accept and refuse the same', () => {
  for (const [name, examples] of Object.entries(EXAMPLES)) {
    const older = new Ajv({ logger: false }).compile(schema(`draft-07/${name}`));
    const newer = new Ajv2020({ logger: false, formats: { 'date-time': isTime } }).compile(schema(name));
    let [accepted, refused] = [0, 0];
    for (const example of examples) {
      assert.ok(older(example), `${name}: ${JSON.stringify(older.errors)}`);
      for (const other of changed(example)) {
        const fits = newer(other);
        assert.equal(older(other), fits, `${name}: ${JSON.stringify(other)}: ${JSON.stringify(older.errors ?? newer.errors)}`);
        if (fits) accepted += 1;
        else refused += 1;
      }
    }
    assert.ok(accepted > 5 && refused > 100, `${name}: ${accepted} accepted, ${refused} refused`);
  }
});
