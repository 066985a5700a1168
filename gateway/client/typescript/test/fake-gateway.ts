/** Stands in for the command where a test needs a gateway that does wrong. It is run as `MODE … serve`. */

import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

type Message = { readonly id?: number; readonly method: string; readonly params: { readonly id?: number } };

const [mode = '', argument = ''] = process.argv.slice(2);

const PONG = { version: '0.1.0', api_version: '1.0.0', state: '/', pid: process.pid };

const FLOOD_FROM = 5;
const FLOOD_EVENTS = 100;

function say(line: string | Buffer): void {
  process.stdout.write(line);
}

function result(id: number | undefined, value: unknown): void {
  say(`${JSON.stringify({ jsonrpc: '2.0', id, result: value })}\n`);
}

function event(index: number): string {
  const names = ['event_id', 'run_id', 'ts', 'plugin_id', 'request_id', 'input_hash', 'output_hash', 'prev_hash', 'event_hash'];
  const words = Object.fromEntries(names.map((name) => [name, '']));
  const params = { subscription: 1, index, event: { ...words, kind: 'INVOKE', meta: {} } };
  return `${JSON.stringify({ jsonrpc: '2.0', method: 'event', params })}\n`;
}

/** What it does with a call that is no ping. */
function misbehave({ id, method }: Message): void {
  switch (mode) {
    case 'garbage':
      return say('this is not JSON\n');
    case 'not-utf8':
      return say(Buffer.from([0x22, 0xff, 0x22, 0x0a]));
    case 'old-rpc':
      return say(`${JSON.stringify({ jsonrpc: '1.0', id, result: [] })}\n`);
    case 'neither':
      return say(`${JSON.stringify({ jsonrpc: '2.0', id })}\n`);
    case 'twice':
      result(id, []);
      return result(id, []);
    case 'unknown-id':
      return result(4711, []);
    case 'no-newline':
      return say('x'.repeat(2 * 1024 * 1024));
    case 'shape':
      return result(id, method === 'listPlugins' ? [{ plugin_id: 'p.x.y' }] : { valid: 'yes' });
    case 'notifies':
      return say(event(0));
    case 'flood':
      if (method !== 'subscribe') return;
      result(id, { subscribed: true, from: FLOOD_FROM, subscription: 1 });
      // In one piece, so that it cannot be read as it comes.
      return say(Array.from({ length: FLOOD_EVENTS }, (_, nth) => event(FLOOD_FROM + nth)).join(''));
    case 'refuse-long':
      // A message without an id in its answer: this one was too long for it.
      return say('{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"the message is longer than 64 bytes"}}\n');
    case 'exit-zero':
      return process.exit(0);
    default:
  }
}

function take(message: Message): void {
  if (message.method === 'cancel') {
    process.stderr.write(`cancel ${message.params.id}\n`);
    if (mode === 'answers-cancelled') result(message.params.id, []);
  } else if (message.method === 'unsubscribe') {
    say('{"jsonrpc":"2.0","method":"eventsEnd","params":{"subscription":1,"reason":"unsubscribed"}}\n');
  } else if (message.method === 'ping') {
    if (mode !== 'mute') result(message.id, mode === 'old-api' ? { ...PONG, api_version: '2.0.0' } : PONG);
    if (mode === 'short-lived') process.kill(process.pid, 'SIGKILL');
  } else {
    misbehave(message);
  }
}

function begin(): void {
  if (mode === 'no-state') {
    process.stderr.write('looking\ncannot open ledger\n');
    process.exit(4);
  }
  if (mode === 'recovers') {
    // The file holds how many starts are still to fail.
    const left = Number(readFileSync(argument, 'utf8'));
    writeFileSync(argument, String(left - 1));
    if (left > 0 && left < 3) process.exit(4);
  }
  if (mode === 'stubborn') {
    process.on('SIGTERM', () => process.stderr.write('SIGTERM\n'));
    setInterval(() => undefined, 1_000_000);
  }
  if (mode === 'log') process.stderr.write('first\nsecond ä\nunfinished');
  const input = createInterface({ input: process.stdin });
  input.on('line', (line) => take(JSON.parse(line)));
}

begin();
