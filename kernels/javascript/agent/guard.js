"use strict";
// What cells put where all objects find it, and Node with them.

const users = require("./users.js");

// With these on all objects nothing that is awaited ends, or nothing that is asked of V8 is heard.
const DEADLY = ["then", "toJSON", "error"];
// Node's timers go through arrays by it.
const iterates = Object.getOwnPropertyDescriptor(users.ofArray, Symbol.iterator);
const before = new Set(Reflect.ownKeys(users.ofObject));

// Runs what is no cell's as if cells had put nothing there.
function sheltered(run) {
  const added = Reflect.ownKeys(users.ofObject).filter((key) => !before.has(key));
  if (!added.length) return run();
  const kept = added.map((key) => [key, Object.getOwnPropertyDescriptor(users.ofObject, key)]);
  for (const key of added) Reflect.deleteProperty(users.ofObject, key);
  try {
    return run();
  } finally {
    for (const [key, descriptor] of kept) Reflect.defineProperty(users.ofObject, key, descriptor);
  }
}

// Takes away again what nothing works with. {name, gone}, or null.
function takenBack() {
  if (typeof users.ofArray[Symbol.iterator] !== "function") {
    return { name: "Array.prototype[Symbol.iterator]", gone: Reflect.defineProperty(users.ofArray, Symbol.iterator, iterates) };
  }
  const name = DEADLY.find((each) => Object.hasOwn(users.ofObject, each));
  if (name === undefined) return null;
  return { name: `Object.prototype.${name}`, gone: DEADLY.every((each) => Reflect.deleteProperty(users.ofObject, each)) };
}

module.exports = { sheltered, takenBack };
