'use strict';
// Greets and counts the words and characters of a text, in the worker form: the gateway's own
// loader reads the request, calls the exported function and writes what it returns.

const BLANKS = /[ \t\n\r\f]+/;

function handleRequest(request) {
  const payload = request.payload;
  if (payload === null || typeof payload !== 'object' || payload.kind !== 'text') {
    return answer(request, 'rejected', null, 'send a text payload');
  }
  const content = payload.content;
  if (typeof content !== 'string' || content === '') {
    return answer(request, 'rejected', null, 'the text is empty');
  }
  const data = {
    greeting: 'Hello from a worker!',
    word_count: content.split(BLANKS).filter((word) => word !== '').length,
    original_length: Array.from(content).length,
  };
  return answer(request, 'ok', { kind: 'json', schema_ref: 'hello/1', data }, '');
}

function answer(request, status, result, notes) {
  return { request_id: request.request_id, status, result, notes };
}

module.exports = { handleRequest };
