"use strict";
// process.stdout, process.stderr, process.stdin and console, as part of the cells.

const { Console } = require("console");
const { Readable, Writable } = require("stream");
const { StringDecoder } = require("string_decoder");
const users = require("./users.js");

const QUESTION = "_questionCallback";
const LOOK_MS = 10;

function writable(fd, write) {
  const decoder = new StringDecoder("utf8");
  const stream = new Writable({
    decodeStrings: false,
    write(chunk, encoding, done) {
      write(typeof chunk === "string" ? chunk : decoder.write(Buffer.from(chunk)));
      done();
    },
  });
  // What is written is on its way at once, whatever a stream would do first.
  stream.write = (chunk, encoding, done) => {
    const callback = typeof encoding === "function" ? encoding : done;
    if (typeof chunk === "string") {
      const coded = typeof encoding === "string" && !/^utf-?8$/i.test(encoding);
      write(coded ? Buffer.from(chunk, encoding).toString() : chunk);
    } else if (ArrayBuffer.isView(chunk)) {
      write(decoder.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)));
    } else throw new users.TypeError('The "chunk" argument must be a string, a Buffer, a TypedArray or a DataView');
    if (typeof callback === "function") process.nextTick(callback);
    return true;
  };
  stream.end = (chunk, encoding, done) => {
    if (chunk !== undefined && chunk !== null && typeof chunk !== "function") stream.write(chunk, encoding);
    const callback = [chunk, encoding, done].find((each) => typeof each === "function");
    if (callback) process.nextTick(callback);
    return stream;
  };
  stream.destroy = () => stream;
  return Object.assign(stream, { fd, _type: "pipe", isTTY: false });
}

// What a cell may read: the text that came with it, or what whoever runs it answers. For who reads lines each by itself,
// and only while somebody waits for it: of two questions the second is to have its own.
class Input extends Readable {
  // Not by a name: readline takes what has an `input` for its options.
  #input;

  constructor(input) {
    super({ highWaterMark: 0 });
    Object.assign(this, { fd: 0, isTTY: false });
    this.#input = input;
    Object.defineProperties(this, { lines: { value: new Set() }, reads: { value: false, writable: true } });
  }

  setRawMode() {
    return this;
  }

  _read() {
    this.reads = true;
    this.#input.timers.setImmediate(() => this.look());
  }

  look() {
    if (this.destroyed || this.#input.stream !== this) this.reads = false;
    else if (!this.#input.given && !this.#input.may) this.give(null);
    else if (!this.waited) this.#input.timers.setTimeout(() => this.look(), LOOK_MS).unref();
    else if (this.#input.given) this.give(this.#input.ahead(this.open.length > 0));
    else this.#input.answer("", false).then((line) => this.give(`${line}\n`), (error) => this.fail(error));
  }

  give(content) {
    this.reads = false;
    this.push(content);
  }

  fail(error) {
    this.reads = false;
    if (error.name === "StdinNotImplementedError") this.push(null);
    else this.destroy(error);
  }

  get open() {
    return [...this.lines].filter((each) => !each.closed);
  }

  // Whether a line would be heard by anybody.
  get waited() {
    const { open } = this;
    if (this.listenerCount("readable") > 0) return true;
    if (this.isPaused()) return false;
    return this.listenerCount("data") > open.length || open.some((each) => each.listenerCount("line") > 0 || asks(each));
  }
}

function asks(lines) {
  return Object.getOwnPropertySymbols(lines).some((each) => each.description === QUESTION && lines[each]);
}

// Those that read lines from where cells do.
function followLines(lost) {
  const readline = require("readline");
  for (const module of [readline, require("readline/promises")]) {
    const { createInterface } = module;
    module.createInterface = function (...given) {
      const made = Reflect.apply(createInterface, this, given);
      if (made.input instanceof Input) made.input.lines.add(made);
      // Node would end here, with a line about it: what is awaited will never be.
      if (made.input instanceof Input && module !== readline) made.once("close", () => made.input.readableEnded && asks(made) && lost());
      return made;
    };
  }
  readline.promises.createInterface = require("readline/promises").createInterface;
  require("module").syncBuiltinESMExports();
}

function install(say, input) {
  const own = { stdout: writable(1, (text) => say("stdout", text)), stderr: writable(2, (text) => say("stderr", text)) };
  for (const name of ["stdout", "stderr"]) {
    Object.defineProperty(process, name, { configurable: true, enumerable: true, get: () => own[name] });
  }
  const get = () => (input.stream ??= new Input(input));
  Object.defineProperty(process, "stdin", { configurable: true, enumerable: true, get });
  followLines(() => input.lost());
  // V8's inspector would keep what node's own console is given.
  world.console = new Console({ ...own, ignoreErrors: true });
  world.console.Console = Console;
}

module.exports = { install };
