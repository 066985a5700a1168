'use strict';
// Greets and counts the words and characters of a text.

const omega = require('./omega-plugin.js');

// The words of a text lie between these, in every hello plugin alike.
const BLANKS = /[ \t\n\r\f]+/;

omega.run((request) => {
  const payload = request.payload;
  if (payload === null || typeof payload !== 'object' || payload.kind !== 'text') {
    return omega.rejected('send a text payload');
  }
  const content = payload.content;
  if (typeof content !== 'string' || content === '') {
    return omega.rejected('the text is empty');
  }
  return omega.ok(
    omega.jsonPayload('hello/1', {
      greeting: 'Hello from Node!',
      word_count: content.split(BLANKS).filter((word) => word !== '').length,
      // A string's length counts UTF-16 units; walking it gives characters.
      original_length: Array.from(content).length,
    }),
  );
});
