// Greets, and counts the words of a text.
import { jsonPayload, ok, run } from './omega-plugin.js';
import type { Request } from './omega-plugin.js';

run((request: Request) => {
  if (request.payload.kind !== 'text') throw new Error('send a text payload');
  const words = request.payload.content.split(/\s+/).filter(Boolean);
  return ok(jsonPayload('hello/1', { greeting: 'Hello!', word_count: words.length }));
});
