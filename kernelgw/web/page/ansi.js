/**
 * What a terminal would show of a stream of text: colours, carriage returns and backspaces
 * that overwrite, and the few cursor moves progress bars make. Grows downwards without end,
 * keeps the last lines. Knows nothing of the DOM.
 */

import { PLAIN, applySgr } from "./sgr.js";
import { visible } from "./visible.js";

/** @typedef {import("./sgr.js").Style} Style */
/** @typedef {{text: string, style: Style}} Run */
/** @typedef {{runs: Run[], length: number, cut: number}} Row  `length` in characters; `cut` of them more were not kept */

export const MAX_ROWS = 5000;
/** Dropping rows one by one would move the whole array each time. */
const SLACK_ROWS = 500;
const MAX_COLUMNS = 10_000;
const MAX_UNFINISHED = 4096;

const CONTROL = /[\x00-\x08\n-\x1f\x7f\x9b]/g;
const CSI = /(?:\x1b\[|\x9b)([0-?]*)[ -/]*([@-~])/y;
const STRING = /\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)/y;
const OTHER_ESCAPE = /\x1b[ -/]*[0-OQ-WYZ\\`-~]/y;
const UNFINISHED = /(?:\x9b|\x1b\[)[ -?]*$|\x1b[\]PX^_][^\x07\x1b]*\x1b?$|\x1b[ -/]*$/y;

/** @returns {Row} */
const emptyRow = () => ({ runs: [], length: 0, cut: 0 });

export class AnsiText {
  /** @type {Row[]} */
  rows = [emptyRow()];
  /** How many rows above the first kept one there were. */
  dropped = 0;
  #row = 0;
  #column = 0;
  #style = PLAIN;
  #unfinished = "";
  #dirty = 0;

  /** @param {string} [text] */
  constructor(text = "") {
    this.write(text);
  }

  /** @param {string} text  may end in the middle of an escape sequence */
  write(text) {
    const input = this.#unfinished + text;
    this.#unfinished = "";
    let at = 0;
    while (at < input.length) {
      CONTROL.lastIndex = at;
      const end = CONTROL.exec(input)?.index ?? input.length;
      if (end > at) this.#put(visible(input.slice(at, end)));
      if (end === input.length) break;
      at = this.#control(input, end);
    }
    this.#trim(SLACK_ROWS);
  }

  /** The rows below this absolute index (`dropped` included) are as they were at the last call. */
  takeDirty() {
    this.#trim(0);
    const dirty = Math.max(this.#dirty, this.dropped);
    this.#dirty = this.dropped + this.rows.length;
    return dirty;
  }

  /** @param {string} input @param {number} at @returns {number} where to read on */
  #control(input, at) {
    const char = input[at];
    if (char === "\x1b" || char === "\x9b") return this.#escape(input, at);
    if (char === "\n") this.#lineFeed();
    else if (char === "\r") this.#column = 0;
    else if (char === "\b") this.#column = Math.max(0, this.#column - 1);
    return at + 1;
  }

  /** @param {string} input @param {number} at */
  #escape(input, at) {
    const csi = matchAt(CSI, input, at);
    if (csi) {
      this.#command(csi[2] ?? "", csi[1] ?? "");
      return at + csi[0].length;
    }
    const ignored = matchAt(STRING, input, at) ?? matchAt(OTHER_ESCAPE, input, at);
    if (ignored) return at + ignored[0].length;
    if (input.length - at > MAX_UNFINISHED || !matchAt(UNFINISHED, input, at)) return at + 1;
    this.#unfinished = input.slice(at);
    return input.length;
  }

  /** @param {string} name @param {string} parameters */
  #command(name, parameters) {
    const count = Math.max(1, parseInt(parameters, 10) || 0);
    if (name === "m") this.#style = applySgr(this.#style, parameters);
    else if (name === "A") this.#row = Math.max(0, this.#row - count);
    else if (name === "C") this.#column = Math.min(MAX_COLUMNS, this.#column + count);
    else if (name === "D") this.#column = Math.max(0, this.#column - count);
    else if (name === "G") this.#column = Math.min(MAX_COLUMNS, count - 1);
    else if (name === "K") this.#eraseInLine(parseInt(parameters, 10) || 0);
  }

  #lineFeed() {
    this.#touch();
    this.#row += 1;
    this.#column = 0;
    if (this.#row === this.rows.length) this.rows.push(emptyRow());
    this.#touch();
  }

  /** @param {string} text  without control characters */
  #put(text) {
    const row = this.#current();
    const length = lengthOf(text);
    const room = MAX_COLUMNS - this.#column;
    if (length > room) {
      row.cut += length - room;
      if (room > 0) this.#put(take([{ text, style: this.#style }], room).map((run) => run.text).join(""));
      return;
    }
    if (this.#column > row.length) append(row, " ".repeat(this.#column - row.length), PLAIN);
    if (this.#column === row.length) append(row, text, this.#style);
    else overwrite(row, this.#column, text, length, this.#style);
    this.#column += length;
  }

  /** @param {number} part  0: from the cursor on, 1: up to it, 2: all */
  #eraseInLine(part) {
    const row = this.#current();
    if (part === 1) overwrite(row, 0, " ".repeat(this.#column), this.#column, PLAIN);
    else setRuns(row, part === 0 ? take(row.runs, this.#column) : []);
  }

  #current() {
    this.#touch();
    return /** @type {Row} */ (this.rows[this.#row]);
  }

  #touch() {
    this.#dirty = Math.min(this.#dirty, this.dropped + this.#row);
  }

  /** @param {number} slack */
  #trim(slack) {
    const excess = this.rows.length - MAX_ROWS;
    if (excess <= slack) return;
    this.rows.splice(0, excess);
    this.dropped += excess;
    this.#row = Math.max(0, this.#row - excess);
  }
}

/** @param {RegExp} sticky @param {string} input @param {number} at */
function matchAt(sticky, input, at) {
  sticky.lastIndex = at;
  return sticky.exec(input);
}

/** In characters, not UTF-16 units. @param {string} text */
function lengthOf(text) {
  return /[\ud800-\udbff]/.test(text) ? Array.from(text).length : text.length;
}

/** @param {Row} row @param {string} text @param {Style} style */
function append(row, text, style) {
  const last = row.runs.at(-1);
  if (last && last.style.key === style.key) last.text += text;
  else row.runs.push({ text, style });
  row.length += lengthOf(text);
}

/** @param {Row} row @param {number} column @param {string} text @param {number} length @param {Style} style */
function overwrite(row, column, text, length, style) {
  setRuns(row, [...take(row.runs, column), { text, style }, ...skip(row.runs, column + length)]);
}

/** @param {Row} row @param {Run[]} runs */
function setRuns(row, runs) {
  row.runs = [];
  row.length = 0;
  for (const run of runs) append(row, run.text, run.style);
}

/** @param {Run[]} runs @param {number} count @returns {Run[]} the first characters */
function take(runs, count) {
  const kept = [];
  for (const run of runs) {
    if (count <= 0) break;
    const chars = Array.from(run.text);
    kept.push({ text: chars.slice(0, count).join(""), style: run.style });
    count -= chars.length;
  }
  return kept;
}

/** @param {Run[]} runs @param {number} count @returns {Run[]} all but the first characters */
function skip(runs, count) {
  const kept = [];
  for (const run of runs) {
    const chars = Array.from(run.text);
    if (chars.length > count) kept.push({ text: chars.slice(Math.max(0, count)).join(""), style: run.style });
    count -= chars.length;
  }
  return kept;
}
