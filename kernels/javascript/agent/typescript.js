"use strict";
// Types taken away, by node itself.

const Module = require("module");
const { sheltered } = require("./guard.js");

const UNSUPPORTED = "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX";

function quietly(run) {
  return sheltered(() => withoutWarnings(run));
}

function withoutWarnings(run) {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return run();
  } finally {
    process.emitWarning = emitWarning;
  }
}

// {code, map}; `map` where lines did not stay in their places. Raises SyntaxError.
function strip(code) {
  if (!Module.stripTypeScriptTypes) throw new SyntaxError(`TypeScript needs Node.js 22.13 or later; this is ${process.version}`);
  return quietly(() => {
    try {
      return { code: Module.stripTypeScriptTypes(code) };
    } catch (error) {
      if (error?.code !== UNSUPPORTED) throw error;
      return transform(code, error);
    }
  });
}

function transform(code, before) {
  let made;
  try {
    made = Module.stripTypeScriptTypes(code, { mode: "transform", sourceMap: true });
  } catch (error) {
    throw error?.code === "ERR_INVALID_ARG_VALUE" ? before : error;
  }
  const [text, map] = made.split("\n//# sourceMappingURL=data:application/json;base64,");
  return { code: text, map: map && new Module.SourceMap(JSON.parse(Buffer.from(map, "base64").toString())) };
}

// Line and column (from 1) that an error of `strip` names.
function where(error) {
  const match = /^[^\n]*?:(\d+)\n[^\n]*\n( *)\^/.exec(String(error?.stack ?? ""));
  return match ? [Number(match[1]), match[2].length + 1] : [1, 1];
}

// The same length, or an error: what node does with files.
function stripAlone(code) {
  return quietly(() => Module.stripTypeScriptTypes(code));
}

module.exports = { strip, stripAlone, where, UNSUPPORTED };
