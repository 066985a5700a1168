'use strict';
// The Node plugin SDK: reads one request, lets `handle` answer it, writes one answer.
//
//     const omega = require('./omega-plugin.js');
//
//     omega.run((request) => {
//       if (request.payload.kind !== 'text') return omega.rejected('send a text payload');
//       return omega.ok(omega.jsonPayload('shout/1', { loud: request.payload.content.toUpperCase() }));
//     });
//
// It opens no file, reads no environment variable and requires only `fs`, for stdin and stdout.

const fs = require('fs');

const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;
const NEWLINE = 10;
const CHUNK_BYTES = 65536;

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

/**
 * Reads the request, calls `handle(request)`, waits when it returns a promise, writes the answer.
 *
 * What `handle` throws becomes the answer `error`. Without a readable request there is nobody to
 * answer, so the words go to stderr and the exit code is 1.
 */
async function run(handle) {
  // A stray console.log() must not become a second line on stdout, which the gateway would refuse.
  console.log = console.info = console.debug = console.error;
  let request;
  try {
    request = readRequest(readLine(STDIN));
  } catch (reason) {
    write(STDERR, Buffer.from(`no request that can be answered: ${reason.message}\n`));
    process.exitCode = 1;
    return;
  }
  let line;
  try {
    line = answerLine(request, await handle(request));
  } catch (failure) {
    line = answerLine(request, error(String(failure)));
  }
  write(STDOUT, line);
}

/** The request inside one invoke line (bytes). Throws when there is none. */
function readRequest(line) {
  const message = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(line));
  if (message === null || typeof message !== 'object' || message.type !== 'invoke') {
    throw new Error('the line is not an invoke message');
  }
  const request = message.request;
  if (request === null || typeof request !== 'object' || typeof request.request_id !== 'string') {
    throw new Error('the invoke message has no request with a request_id');
  }
  return request;
}

/** The result line (bytes) for one reply made by `ok`, `rejected` or `error`. */
function answerLine(request, reply) {
  if (reply === null || typeof reply !== 'object' || typeof reply.status !== 'string') {
    throw new TypeError('handle must return ok(...), rejected(...) or error(...)');
  }
  const response = { request_id: request.request_id, ...reply };
  return Buffer.from(`${JSON.stringify({ type: 'result', response })}\n`);
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

/** Writes all of `bytes`; a pipe may take them in parts. */
function write(fd, bytes) {
  for (let written = 0; written < bytes.length; ) {
    written += fs.writeSync(fd, bytes, written);
  }
}

module.exports = { ok, rejected, error, jsonPayload, textPayload, run, readRequest, answerLine };
