'use strict';
// Greets, and counts the words of a text.

const omega = require('./omega-plugin.js');

omega.run((request) => {
  const words = request.payload.content.split(/\s+/).filter(Boolean);
  return omega.ok(omega.jsonPayload('hello/1', { greeting: 'Hello!', word_count: words.length }));
});
