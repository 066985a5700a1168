'use strict';
// The JavaScript plugin SDK: reads one request, lets `handle` answer it, writes one answer.
//
//     const omega = require('./omega-plugin.js');
//
//     omega.run((request) => {
//       return omega.ok(omega.jsonPayload('shout/1', { loud: request.payload.content.toUpperCase() }));
//     }, { takes: ['text'] });
//
// It is one file, for `require` and `import` alike: copy it into the package, or install the npm package there. It opens no
// file, reads no environment variable and requires only `fs`, for stdin and stdout.

const fs = require('fs');

const STDIN = 0;
const STDOUT = 1;
const NEWLINE = 10;
const CHUNK_BYTES = 65536;
// How long to wait for a pipe that is full and does not block.
const FULL_PIPE_MS = 1;

/** The answer `ok` with its result; make the payload with `jsonPayload` or `textPayload`. */
function ok(payload, notes = '') {
  return { status: 'ok', result: payload, notes };
}

/** The answer for a request that this plugin will not take, with the reason in words. */
function rejected(notes) {
  return { status: 'rejected', result: null, notes };
}

/** The answer for a request that this plugin failed on, with the reason in words. */
function error(notes) {
  return { status: 'error', result: null, notes };
}

/** A payload of kind `json`: `data` is an object that follows the schema named `schemaRef`. */
function jsonPayload(schemaRef, data) {
  return { kind: 'json', schema_ref: schemaRef, data };
}

/** A payload of kind `text`: `metadata` is an object of strings. */
function textPayload(content, metadata = {}) {
  return { kind: 'text', content, encoding: 'utf-8', metadata };
}

/** What came in is no request that can be answered; `requestId` is "" where even that could not be read. */
class NoRequest extends Error {
  constructor(reason, requestId = '') {
    super(reason);
    this.requestId = requestId;
  }
}

/**
 * Reads the request, calls `handle(request)`, waits when it returns a promise, writes the answer.
 *
 * `takes` names the kinds of payload that `handle` is for; a request with another, and what is no request at all, is answered
 * `rejected`. What `handle` throws, also later from a timer, is answered `error` with its message, and its trace goes to stderr;
 * so is an end without an answer. From now on what is written to the console and to `process.stdout` goes to stderr.
 */
async function run(handle, { takes = [] } = {}) {
  printToStderr();
  let request;
  try {
    request = readRequest(readLine(STDIN));
    if (takes.length > 0 && !takes.includes(request.payload.kind)) {
      throw new NoRequest(`this plugin takes ${takes.join(' or ')}, and not ${request.payload.kind}`, request.request_id);
    }
  } catch (reason) {
    write(STDOUT, answerLine(reason.requestId ?? '', rejected(`Invalid request: ${reason.message}`)));
    return;
  }
  let answered = false;
  const answer = (line) => {
    // The gateway refuses a second line.
    if (!answered) write(STDOUT, line);
    answered = true;
  };
  const fail = (failure) => {
    console.error(failure);
    answer(answerLine(request.request_id, error(wordsOf(failure))));
  };
  process.on('uncaughtException', fail);
  process.on('exit', () => answer(answerLine(request.request_id, error('handle ended without an answer'))));
  try {
    answer(answerLine(request.request_id, await handle(request)));
  } catch (failure) {
    fail(failure);
  }
}

/** Turns whatever is printed away from stdout, where it would be a second line, which the gateway would refuse. */
function printToStderr() {
  Object.defineProperty(process, 'stdout', { configurable: true, enumerable: true, get: () => process.stderr });
  // A console that was used before has the old stdout in mind.
  console.log = console.info = console.debug = console.error;
}

/** The request inside one invoke line (bytes). Throws when there is none. */
function readRequest(line) {
  const message = parse(line);
  if (!isObject(message) || message.type !== 'invoke') {
    throw new NoRequest('the line is not an invoke message');
  }
  const request = message.request;
  if (!isObject(request) || typeof request.request_id !== 'string') {
    throw new NoRequest('the invoke message has no request with a request_id');
  }
  if (!isObject(request.payload) || typeof request.payload.kind !== 'string') {
    throw new NoRequest('the request has no payload with a kind', request.request_id);
  }
  return request;
}

function parse(line) {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(line));
  } catch (reason) {
    throw new NoRequest(`the line is not JSON: ${reason.message}`);
  }
}

function isObject(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

/** The result line (bytes) for one reply made by `ok`, `rejected` or `error`. */
function answerLine(requestId, reply) {
  if (!isObject(reply) || typeof reply.status !== 'string') {
    throw new TypeError('handle must return ok(...), rejected(...) or error(...)');
  }
  const words = { request_id: writtenOut(requestId), notes: writtenOut(reply.notes ?? '') };
  return Buffer.from(`${JSON.stringify({ type: 'result', response: { ...reply, ...words } })}\n`);
}

/** What was thrown, in words: anything can be. */
function wordsOf(failure) {
  try {
    return String(failure);
  } catch {
    return 'something was thrown that has no words';
  }
}

/** The text with lone surrogates as `\ud800`: no UTF-8 can hold them, and the gateway takes no escape that stands for one. */
function writtenOut(text) {
  return String(text).replace(/[\ud800-\udfff]/gu, (half) => `\\u${half.charCodeAt(0).toString(16)}`);
}

/** The bytes up to the first newline or the end. */
function readLine(fd) {
  const chunks = [];
  for (;;) {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    const length = fs.readSync(fd, chunk, 0, CHUNK_BYTES, null);
    const newline = chunk.subarray(0, length).indexOf(NEWLINE);
    chunks.push(chunk.subarray(0, newline === -1 ? length : newline));
    if (length === 0 || newline !== -1) return Buffer.concat(chunks);
  }
}

/** Writes all of `bytes`; a pipe may take them in parts, and may be full for now. */
function write(fd, bytes) {
  for (let written = 0; written < bytes.length; ) {
    try {
      written += fs.writeSync(fd, bytes, written);
    } catch (failure) {
      if (failure.code !== 'EAGAIN') throw failure;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FULL_PIPE_MS);
    }
  }
}

module.exports = { ok, rejected, error, jsonPayload, textPayload, run, readRequest, answerLine, NoRequest };
