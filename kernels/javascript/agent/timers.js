"use strict";
// Which timers a cell has begun, so that they can be ended with it, and when all is over that ends by itself.

const timers = require("timers");
const users = require("./users.js");

// So long, in milliseconds, a cell waits for what it has begun: timers and requests; what goes on until it is told
// to stop, or may.
const ENDING_MS = 10_000;
const ENDLESS_MS = 3_000;
// Connections with servers of its own last as long as those like.
const SERVED_MS = 250;
const LOOK_MS = 10;
const MOST_KNOWN = 256;
const NOT_WAITED_FOR = /^(?:Timeout|Immediate|TCPServerWrap|PipeServerWrap|UDPWrap|FSEventWrap|StatWatcher|SignalWrap|MessagePort)$/;
const SOCKETS = /^(?:TCPSocketWrap|TLSWrap)$/;
const ENDLESS = /^(?:ProcessWrap|TCPSocketWrap|TLSWrap|PipeWrap|Worker|WORKER)$/;

class Timers {
  // `here()`: the cell whose code runs.
  constructor(here) {
    const { setTimeout, setInterval, setImmediate, clearTimeout, clearImmediate } = timers;
    this.real = { setTimeout, setInterval, setImmediate, clearTimeout, clearImmediate };
    this.classes = [setTimeout(() => {}, 0), setImmediate(() => {})].map((each) => each.constructor);
    const follow = (name, kind) => {
      const start = this.real[name];
      const followed = (...given) => this.add(here().timers, kind, start(...given), Number(given[1]) || 1);
      Object.setPrototypeOf(followed, users.ofFunction);
      Object.defineProperties(followed, Object.getOwnPropertyDescriptors(start));
      world[name] = timers[name] = followed;
    };
    follow("setTimeout", "timeout");
    follow("setInterval", "interval");
    follow("setImmediate", "immediate");
    // Whether somebody waits for a line of standard input.
    this.reads = () => false;
    require("module").syncBuiltinESMExports();
  }

  of() {
    return { list: new Map(), most: MOST_KNOWN, before: {} };
  }

  is(value) {
    return this.classes.some((each) => value instanceof each);
  }

  add(known, kind, timer, delay) {
    if (known.list.size >= known.most) {
      this.forget(known);
      known.most = Math.max(MOST_KNOWN, 2 * known.list.size);
    }
    known.list.set(timer, { kind, due: performance.now() + delay });
    return timer;
  }

  forget(known) {
    for (const timer of known.list.keys()) if (timer._destroyed) known.list.delete(timer);
  }

  clear(known) {
    for (const timer of known.list.keys()) {
      this.real.clearTimeout(timer);
      this.real.clearImmediate(timer);
    }
    known.list.clear();
  }

  begin(known) {
    known.before = this.resources();
  }

  resources() {
    const found = {};
    const active = process.getActiveResourcesInfo();
    // Not by what arrays of cells are.
    for (let n = 0; n < active.length; n++) {
      const name = active[n];
      if (!NOT_WAITED_FOR.test(name)) found[name] = (found[name] ?? 0) + 1;
    }
    return found;
  }

  // Whether something goes on, `since` when (milliseconds) the code itself had ended.
  goesOn(known, since) {
    if (this.reads()) return true;
    this.forget(known);
    const now = performance.now();
    for (const [timer, { kind, due }] of known.list) {
      if (!timer.hasRef()) continue;
      if (kind === "interval" ? now - since < ENDLESS_MS : due - since < ENDING_MS && now - since < ENDING_MS) return true;
    }
    return Object.entries(this.resources()).some(
      ([name, count]) => count > (known.before[name] ?? 0) && now - since < this.patience(name),
    );
  }

  patience(name) {
    if (SOCKETS.test(name) && process.getActiveResourcesInfo().includes("TCPServerWrap")) return SERVED_MS;
    return ENDLESS.test(name) ? ENDLESS_MS : ENDING_MS;
  }

  async rest(known, over) {
    const since = performance.now();
    while (!over() && this.goesOn(known, since)) await new Promise((resolve) => this.real.setTimeout(resolve, LOOK_MS));
  }
}

module.exports = { Timers };
