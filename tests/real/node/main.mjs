// Imports what the request names, uses a little of it, and says what became of each.
import { createInterface } from 'node:readline';

const USES = {
  'lodash-es': (m) => m.chunk([1, 2, 3], 2).length,
  'date-fns': (m) => m.formatISO(m.addDays(new Date(0), 1), { representation: 'date' }),
  zod: (m) => m.z.object({ a: m.z.number() }).parse({ a: 1 }).a,
  ajv: (m) => new m.default().compile({ type: 'number' })(1),
  acorn: (m) => m.parse('1+1', { ecmaVersion: 2020 }).type,
};

const line = await new Promise((resolve) => createInterface({ input: process.stdin }).once('line', resolve));
const { request } = JSON.parse(line);
const data = {};
for (const name of request.payload.content.split(' ')) {
  try {
    data[name] = USES[name](await import(name));
  } catch (error) {
    data[name] = { error: String(error) };
  }
}
const result = { kind: 'json', schema_ref: 'tried/1', data };
const response = { request_id: request.request_id, status: 'ok', result };
process.stdout.write(`${JSON.stringify({ type: 'result', response })}\n`);
