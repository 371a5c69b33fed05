"use strict";
// What cells know by these names, as it was before any of them ran: this program has its own.

const { Error, TypeError, SyntaxError, Promise, Object, Array, Function } = world;

// One of theirs in place of one of ours.
function promise(made) {
  return new Promise((resolve, reject) => made.then(resolve, reject));
}

module.exports = { Error, TypeError, SyntaxError, Object, ofObject: Object.prototype, ofArray: Array.prototype, ofFunction: Function.prototype, promise };
