"use strict";
// Values as a chat shows them: bundles by MIME type.

const { inspect, types } = require("util");
const { EventEmitter } = require("events");
const users = require("./users.js");

const DISPLAY = Symbol.for("Jupyter.display");
const DEPTH = 4;
const MOST_OWN = 8;
const MOST_VALUES = 2000;
const MOST_TEXT = 64 << 10;

class Handle {
  constructor(send, id, show) {
    Object.defineProperties(this, { send: { value: send }, show: { value: show } });
    this.id = id;
  }

  update(value, options = {}) {
    this.send("display", this.show(value, options), options.metadata, this.id, true);
    return this;
  }
}

// Whether JSON says all of it: plain objects and arrays, and not much.
function isPlain(value) {
  const seen = new Set();
  let left = MOST_VALUES;
  let room = MOST_TEXT;
  const within = (each, depth) => {
    if (--left < 0 || depth > 32) return false;
    if (typeof each === "string") return (room -= each.length) >= 0 && each.isWellFormed();
    if (typeof each === "number") return Number.isFinite(each) && !Object.is(each, -0);
    if (each === null || typeof each === "boolean") return true;
    if (typeof each !== "object" || types.isProxy(each) || seen.has(each)) return false;
    seen.add(each);
    const prototype = Object.getPrototypeOf(each);
    if (Array.isArray(each)) {
      if (prototype !== users.ofArray || Object.keys(each).length !== each.length) return false;
    } else if (prototype !== users.ofObject && prototype !== null) return false;
    for (const [name, { value: inner, get, enumerable }] of Object.entries(Object.getOwnPropertyDescriptors(each))) {
      if (Array.isArray(each) && name === "length") continue;
      if (get || !enumerable || name === "toJSON" || !within(name, depth) || !within(inner, depth + 1)) return false;
    }
    seen.delete(each);
    return Object.getOwnPropertySymbols(each).length === 0;
  };
  return within(value, 0);
}

function text(value) {
  try {
    // Of servers, streams and processes more than the name is noise.
    const depth = value instanceof EventEmitter && Object.keys(value).length > MOST_OWN ? -1 : DEPTH;
    return inspect(value, { depth, maxStringLength: 1 << 20 });
  } catch (error) {
    return `[a value that cannot be shown: ${inspectError(error)}]`;
  }
}

function inspectError(error) {
  try {
    return String(error);
  } catch {
    return "it raises";
  }
}

// The bundle of a value, or a promise of it when the value says by itself how it is shown.
function bundle(value) {
  if (value !== null && (typeof value === "object" || typeof value === "function") && !types.isProxy(value)) {
    const own = value[DISPLAY];
    if (typeof own === "function") return own.call(value);
    if (isPlain(value)) return { "text/plain": text(value), "application/json": value };
  }
  return { "text/plain": text(value) };
}

function base64(content, what) {
  if (typeof content === "string") return content.replace(/^data:[^,]*,/, "").replace(/\s+/g, "");
  if (types.isAnyArrayBuffer(content)) return Buffer.from(content).toString("base64");
  if (ArrayBuffer.isView(content)) {
    return Buffer.from(content.buffer, content.byteOffset, content.byteLength).toString("base64");
  }
  throw new users.TypeError(`display.${what} takes a Buffer, a typed array, an ArrayBuffer or text in base64`);
}

function written(content, ...values) {
  return Array.isArray(content?.raw) ? String.raw({ raw: content }, ...values) : String(content);
}

const KINDS = {
  html: ["text/html", written],
  markdown: ["text/markdown", written],
  latex: ["text/latex", written],
  svg: ["image/svg+xml", written],
  text: ["text/plain", written],
  javascript: ["application/javascript", written],
  png: ["image/png", (content) => base64(content, "png")],
  jpeg: ["image/jpeg", (content) => base64(content, "jpeg")],
  gif: ["image/gif", (content) => base64(content, "gif")],
  json: ["application/json", (content) => JSON.parse(JSON.stringify(content))],
};

// `send(kind, data, metadata, id, update)`.
function make(send) {
  let count = 0;
  const prefix = `js-${process.pid}-${Date.now().toString(36)}`;
  const shown = (show, value, options) => {
    const id = options.id ?? options.display_id ?? `${prefix}-${++count}`;
    const data = show(value, options);
    const put = (each) => send("display", each, options.metadata, id, Boolean(options.update));
    const handle = new Handle(send, id, show);
    if (!types.isPromise(data)) put(data);
    else return users.promise(data.then(put).then(() => handle));
    return handle;
  };
  const own = (value, options) => (options.raw ? value : bundle(value));
  const display = (value, options = {}) => shown(own, value, options);
  for (const [name, [type, convert]] of Object.entries(KINDS)) {
    const show = (content) => {
      const data = { [type]: convert(content) };
      if (name === "json") data["text/plain"] = text(content);
      return data;
    };
    display[name] = (content, options, ...values) => {
      if (Array.isArray(content?.raw)) return shown(show, written(content, options, ...values), {});
      return shown(show, content, options ?? {});
    };
  }
  display.update = (id, value, options = {}) => display(value, { ...options, id, update: true });
  display.clear = (wait = false) => send("clear", null, null, null, Boolean(wait));
  return display;
}

module.exports = { make, bundle, text, Handle };
