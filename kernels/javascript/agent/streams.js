"use strict";
// process.stdout, process.stderr, process.stdin and console, as part of the cells.

const fs = require("fs");
const { Console } = require("console");
const { Readable, Writable } = require("stream");
const { StringDecoder } = require("string_decoder");

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
    } else throw new TypeError('The "chunk" argument must be a string, a Buffer, a TypedArray or a DataView');
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

// What a cell may read: the text that came with it, or what whoever runs it answers.
function readable(input) {
  const stream = input.given || !input.may
    ? new fs.ReadStream(null, { fd: 0, autoClose: false })
    : new Readable({
        read() {
          input.answer("", false).then(
            (line) => this.push(`${line}\n`),
            (error) => (error.name === "StdinNotImplementedError" ? this.push(null) : this.destroy(error)),
          );
        },
      });
  return Object.assign(stream, { fd: 0, isTTY: false, setRawMode: () => stream });
}

function install(say, input) {
  const own = { stdout: writable(1, (text) => say("stdout", text)), stderr: writable(2, (text) => say("stderr", text)) };
  for (const name of ["stdout", "stderr"]) {
    Object.defineProperty(process, name, { configurable: true, enumerable: true, get: () => own[name] });
  }
  const get = () => (input.stream ??= readable(input));
  Object.defineProperty(process, "stdin", { configurable: true, enumerable: true, get });
  // V8's inspector would keep what node's own console is given.
  globalThis.console = new Console({ ...own, ignoreErrors: true });
  globalThis.console.Console = Console;
}

module.exports = { install };
