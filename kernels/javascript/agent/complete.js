"use strict";
// What may stand at a place of a text, and what is known of what stands there. Runs no code that would change anything.

const { inspect: shown } = require("util");
const { text } = require("./display.js");
const modules = require("./modules.js");
const vm = require("vm");

const CHAIN = /((?:[\p{ID_Start}$_][\p{ID_Continue}$]*)(?:\??\.[\p{ID_Start}$_#][\p{ID_Continue}$]*|\[(?:\d+|"[^"\\]*"|'[^'\\]*')\])*)$/u;
const REQUIRED = /\b(?:require|import)\s*\(?\s*["']([^"']*)$|\bfrom\s+["']([^"']*)$/;
const WORDS = (
  "async await break case catch class const continue debugger default delete do else export extends false finally for " +
  "function if import in instanceof let new null of return static super switch this throw true try typeof undefined " +
  "var void while with yield"
).split(" ");
const MOST = 500;
const LOOKED_AT = 10_000;

function valueOf(cells, expression) {
  let found;
  const options = { throwOnSideEffect: true, objectGroup: "completion", silent: true, timeout: 200 };
  cells.session.post("Runtime.evaluate", { expression, ...options }, (error, answer) => {
    if (!error && !answer.exceptionDetails) found = { value: cells.value(answer.result) };
  });
  cells.session.post("Runtime.releaseObjectGroup", { objectGroup: "completion" }, () => {});
  return found;
}

function properties(value) {
  const found = new Set();
  for (let each = Object(value); each !== null && found.size < MOST * 4; each = Object.getPrototypeOf(each)) {
    for (const name of Object.getOwnPropertyNames(each)) if (/^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name)) found.add(name);
  }
  return found;
}

function names(cells) {
  let found = [];
  cells.session.post("Runtime.globalLexicalScopeNames", {}, (error, answer) => {
    if (!error) found = answer.names;
  });
  return [...found, ...properties(world), "require", "module", "exports", ...WORDS];
}

function complete(cells, code, at) {
  const before = code.slice(Math.max(0, at - LOOKED_AT), at);
  const required = REQUIRED.exec(before);
  if (required) {
    const begun = required[1] ?? required[2];
    const known = require("module").builtinModules.filter((name) => !name.startsWith("_"));
    return found(known.map((name) => (begun.startsWith("node:") ? `node:${name}` : name)), begun, at);
  }
  const chain = /(?:^|[^\p{ID_Continue}$.])((?:[\p{ID_Start}$_][\p{ID_Continue}$]*(?:\[(?:\d+|"[^"\\]*"|'[^'\\]*')\])*\??\.)*)([\p{ID_Start}$_]?[\p{ID_Continue}$]*)$/u.exec(before);
  if (!chain) return found([], "", at);
  const [, owner, begun] = chain;
  if (!owner) return found(begun ? names(cells) : [], begun, at);
  const value = valueOf(cells, owner.replace(/\??\.$/, ""));
  if (!value || value.value === null || value.value === undefined) return found([], begun, at);
  return found(properties(value.value), begun, at);
}

function found(names, begun, at) {
  const matches = [...new Set(names)].filter((name) => name.startsWith(begun) && !name.startsWith("__kernelgw")).sort();
  return { matches: matches.slice(0, MOST), start: at - begun.length, end: at };
}

function inspect(cells, code, at) {
  const rest = /^[\p{ID_Continue}$]*/u.exec(code.slice(at))[0];
  const chain = CHAIN.exec(code.slice(Math.max(0, at - LOOKED_AT), at) + rest)?.[1] ?? CHAIN.exec(code.slice(0, at).replace(/\([^()]*$/, ""))?.[1];
  const value = chain && valueOf(cells, chain);
  if (!value) return null;
  const kind = value.value === null ? "null" : typeof value.value;
  if (kind !== "function") return `${chain}: ${kind === "object" ? (value.value.constructor?.name ?? "object") : kind}\n\n${text(value.value)}`;
  const source = Function.prototype.toString.call(value.value);
  return `${shown(value.value)}\n\n${source.length > 4000 ? `${source.slice(0, 4000)}…` : source}`;
}

function isComplete(code) {
  const text = modules.rewrite(code);
  const wrong = refused(text);
  if (wrong === null) return "complete";
  try {
    for (const token of modules.tokens(text)) void token;
  } catch (error) {
    if (error instanceof modules.Unfinished) return "incomplete";
  }
  // It broke only at what was put behind it.
  return /^Unexpected (?:end of input|token '\}')$|^missing \) after argument list$/.test(wrong.message) && wrong.last ? "incomplete" : "invalid";
}

function refused(text) {
  const lines = text.split("\n").length;
  try {
    new vm.Script(`(async () => {\n${text}\n})`, { filename: "text" });
    return null;
  } catch (error) {
    const line = Number(/^text:(\d+)/.exec(error.stack)?.[1] ?? 0);
    return { message: error.message, last: line >= lines + 1 };
  }
}

module.exports = { complete, inspect, isComplete };
