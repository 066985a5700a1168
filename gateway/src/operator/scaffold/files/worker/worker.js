'use strict';
// Greets, and counts the words of a text.

exports.handleRequest = (request) => {
  const words = request.payload.content.split(/\s+/).filter(Boolean);
  const data = { greeting: 'Hello!', word_count: words.length };
  const result = { kind: 'json', schema_ref: 'hello/1', data };
  return { request_id: request.request_id, status: 'ok', result };
};
