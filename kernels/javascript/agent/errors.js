"use strict";
// Errors as the user's own code sees them: cells by their number, nothing of what runs them.

const { inspect, types } = require("util");
const { fileURLToPath } = require("url");
const users = require("./users.js");

const CELL = /^cell-(\d+)$/;
const OWN = /^(?:kernelgw:|node:(?:internal\/|inspector|diagnostics_channel|async_hooks))/;
const FRAME = /^ {4}at (?:async )?(?:(.*?) \()?((?:file:|node:|cell )?[^()]*?):(\d+):(\d+)\)?$/;
const MOST_FRAMES = 100;
const MOST_PLACES = 200;
const MOST_CAUSES = 8;
const NO_DECORATORS = "Decorators are not supported: Node.js has none, and does not transform them";
const UNREAD = /^((?:\/|file:)[^\n]*):(\d+)\n[^\n]*\n( *)\^/;
const NO_MODULE = /^Cannot find (?:module|package) '([^']*)'/;

// Of cells that were changed more than by lines staying where they were: what a place was before.
const places = new Map();
// Files that are ours and have names of the workspace.
const hidden = new Set();

function remember(file, map) {
  places.delete(file);
  places.set(file, map);
  if (places.size > MOST_PLACES) places.delete(places.keys().next().value);
}

function place(file, line, column) {
  const map = places.get(file);
  if (!map) return [line, column];
  const entry = map.findEntry(line - 1, column - 1);
  return entry?.originalLine === undefined ? [line, column] : [entry.originalLine + 1, entry.originalColumn + 1];
}

function fileOf(frame) {
  return frame.getFileName() || frame.getScriptNameOrSourceURL() || "";
}

function site(frame) {
  const file = fileOf(frame);
  if (OWN.test(file) || hidden.has(file)) return null;
  const cell = CELL.exec(file);
  if (!cell) return sited(frame, file);
  const [line, column] = place(file, frame.getLineNumber(), frame.getColumnNumber());
  return frame.toString().replace(/cell-\d+:\d+:\d+/, `cell ${cell[1]}:${line}:${column}`);
}

// In a file, which may have been transformed.
function sited(frame, file) {
  const shown = frame.toString().replace("file://", "");
  const path = file.replace("file://", "");
  if (!places.has(path)) return shown;
  const [line, column] = place(path, frame.getLineNumber(), frame.getColumnNumber());
  return shown.replace(/:\d+:\d+(\)?)$/, `:${line}:${column}$1`);
}

// In place of V8's own way to write a stack.
function prepare(error, frames) {
  let heading;
  try {
    heading = Error.prototype.toString.call(error);
    const { code } = error;
    // As node writes those of its own.
    const named = typeof code === "string" && /^ERR_/.test(code) && error.name && !heading.includes(`[${code}]`);
    if (named) heading = heading.replace(error.name, `${error.name} [${code}]`);
  } catch {
    heading = "Error";
  }
  // What is below evaluates cells.
  const own = Array.prototype.slice.call(frames);
  const end = own.findIndex((frame) => fileOf(frame) === "node:inspector");
  const sites = (end < 0 ? own : own.slice(0, end)).map(site).filter((each) => each !== null && each !== "<anonymous>");
  return [heading, ...sites.map((each) => `    at ${each}`)].join("\n");
}

function frames(stack, heading) {
  const found = [];
  // The message may have lines that look like frames.
  const rest = heading && stack.startsWith(heading) ? stack.slice(heading.length) : stack;
  for (const line of rest.split("\n").slice(-MOST_FRAMES)) {
    const match = FRAME.exec(line);
    if (!match) continue;
    const [, name, where, row, column] = match;
    const file = where.startsWith("file://") ? fileURLToPath(where) : where;
    found.unshift(frame(file, Number(row), Number(column), name));
  }
  return found;
}

function frame(file, line, column, name = "") {
  return { file, line, column, function: name, library: file.startsWith("node:") || file.includes("/node_modules/") };
}

// Of a file that V8 could not read: where, from the lines that node puts before the error.
function unread(shown) {
  const match = UNREAD.exec(shown);
  if (!match) return [];
  const [, where, row, indent] = match;
  return [frame(where.startsWith("file://") ? fileURLToPath(where) : where, Number(row), indent.length + 1)];
}

// What is behind an error, nearest first: its cause, or the members of a group, and what is behind those.
function behind(error) {
  const found = [];
  const waiting = [error];
  const seen = new Set(waiting);
  while (waiting.length && found.length < MOST_CAUSES) {
    for (const [relation, each] of next(waiting.shift())) {
      if (seen.has(each) || found.length >= MOST_CAUSES) continue;
      seen.add(each);
      if (isError(each)) waiting.push(each);
      const { name, value, frames } = describeAlone(each);
      found.push({ relation, name, value, frames });
    }
  }
  return found;
}

function next(error) {
  const own = (name) => (types.isProxy(error) ? undefined : Object.getOwnPropertyDescriptor(error, name)?.value);
  const [cause, members] = [own("cause"), own("errors")];
  const group = Array.isArray(members) && !types.isProxy(members) ? Array.prototype.slice.call(members, 0, MOST_CAUSES) : [];
  return [...(cause === undefined ? [] : [["cause", cause]]), ...group.map((each) => ["member", each])];
}

function text(value, get) {
  try {
    return String(get(value) ?? "");
  } catch {
    return "";
  }
}

function isError(value) {
  try {
    return types.isNativeError(value) || value instanceof users.Error;
  } catch {
    return false;
  }
}

// {name, value, traceback, frames} of what was thrown, whatever it is; `causes` where there are any.
function describe(thrown) {
  const told = describeAlone(thrown);
  const causes = isError(thrown) ? behind(thrown) : [];
  return causes.length ? { ...told, causes } : told;
}

function describeAlone(thrown) {
  if (!isError(thrown)) {
    const shown = safely(thrown);
    const name = text(thrown, (each) => (typeof each === "object" && each ? each.name : "")) || "Uncaught";
    const value = text(thrown, (each) => (typeof each === "object" && each ? each.message : "")) || shown;
    return { name, value, traceback: `Uncaught ${shown}`.split("\n"), frames: [] };
  }
  const name = text(thrown, (each) => each.name) || "Error";
  const value = text(thrown, (each) => each.message);
  const stack = text(thrown, (each) => each.stack);
  const heading = stack.includes(value) ? stack.slice(0, stack.indexOf(value) + value.length) : "";
  const shown = withoutNode(safely(thrown));
  const told = { name, value, traceback: shown.split("\n"), frames: [...frames(stack, heading), ...unread(shown)] };
  const code = text(thrown, (each) => each.code);
  const missing = NO_MODULE.exec(value)?.[1];
  if (code) told.code = code;
  if (missing && /NOT_FOUND$/.test(code)) told.module = missing;
  return told;
}

function withoutNode(text) {
  const frame = /\n *at (?:async )?(?:[^\n(]* \()?node:[^\n]*?\)?( \{)?(?=\n|$)/g;
  return text.replace(frame, (_, brace) => brace ?? "");
}

function safely(value) {
  try {
    return inspect(value, { depth: 4 });
  } catch {
    return "a value that cannot be shown";
  }
}

// Of code that V8 could not read: where, and the line with a mark below.
function syntax(error, code, line, column, cell) {
  const said = text(error, (each) => each.message);
  const lines = code.trimEnd().split("\n");
  // What is missing is missed after the end.
  if (line > lines.length) [line, column] = [lines.length, lines.at(-1).length + 1];
  const source = lines[line - 1] ?? "";
  const value = /unexpected token/.test(said) && source[column - 1] === "@" ? NO_DECORATORS : said;
  const told = source.length > 400 ? "" : source;
  const mark = " ".repeat(Math.max(0, column - 1)) + "^";
  const traceback = [`  cell ${cell}:${line}`, ...(told ? [told, mark] : []), `SyntaxError: ${value}`];
  const frame = { file: `cell ${cell}`, line, column, function: "", library: false };
  return { name: "SyntaxError", value: `${value} (cell ${cell}, line ${line})`, traceback, frames: [frame] };
}

module.exports = { prepare, describe, syntax, remember, hidden, isError };
