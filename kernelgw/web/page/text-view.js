/** Shows an AnsiText, and follows it by touching only the rows that changed. */

import { AnsiText } from "./ansi.js";
import { h } from "./dom.js";

/** @typedef {import("./ansi.js").Row} Row */
/** @typedef {import("./sgr.js").Style} Style */

/** From about here on the text has its own scroll bar, so the keyboard must be able to reach it. */
const TALL_ROWS = 20;
const LONG_ROW = 400;

export class TextView {
  #text;
  #top = 0;
  /** Whether new text scrolls into sight: until the reader scrolls up, and again from the end on. */
  #following;
  #note = h("p", { className: "note", hidden: true });
  #pre;
  element;

  /**
   * Empty until `update` is called, as scrolling needs an element that is on the page.
   * @param {AnsiText} text
   * @param {string} label  for assistive technology
   * @param {string} className
   * @param {boolean} following
   */
  constructor(text, label, className, following) {
    this.#text = text;
    this.#following = following;
    this.#pre = h("pre", { className: "text", ariaLabel: label });
    this.#pre.setAttribute("role", "group");
    this.element = h("div", className, this.#note, this.#pre);
    if (following) this.#pre.addEventListener("scroll", () => (this.#following = this.#isAtEnd()), { passive: true });
  }

  update() {
    const pre = this.#pre;
    const dirty = this.#text.takeDirty();
    const { rows, dropped } = this.#text;
    this.#dropRows(dropped);
    while (this.#top + pre.childElementCount > dirty) pre.lastElementChild?.remove();
    const first = this.#top + pre.childElementCount - dropped;
    // After a final newline there is an empty row that nobody needs to see.
    const end = rows.length - (rows.length > 1 && rows.at(-1)?.length === 0 ? 1 : 0);
    pre.append(...rows.slice(first, end).map(paintRow));
    this.#note.hidden = dropped === 0;
    this.#note.textContent = `${dropped.toLocaleString("en")} earlier lines are kept on the server`;
    // Measuring costs a layout, and of short texts there can be a thousand in one frame.
    if (!isTall(rows)) return;
    pre.tabIndex = 0;
    if (this.#following) pre.scrollTop = pre.scrollHeight;
  }

  #isAtEnd() {
    return this.#pre.scrollTop + this.#pre.clientHeight >= this.#pre.scrollHeight - 4;
  }

  /** @param {number} dropped */
  #dropRows(dropped) {
    const pre = this.#pre;
    if (dropped - this.#top >= pre.childElementCount) pre.replaceChildren();
    else for (let row = this.#top; row < dropped; row++) pre.firstElementChild?.remove();
    this.#top = dropped;
  }
}

/** @param {Row[]} rows */
const isTall = (rows) => rows.length > TALL_ROWS || rows.some((row) => row.length > LONG_ROW);

/** A whole text at once. @param {string} text @param {string} label @param {string} className */
export function textBlock(text, label, className) {
  const view = new TextView(new AnsiText(text.replace(/\n$/, "")), label, className, false);
  view.update();
  return view.element;
}

/** @param {Row} row */
function paintRow(row) {
  const line = h("div", "row", ...row.runs.map((run) => (run.style.key ? paintRun(run.text, run.style) : run.text)));
  if (row.cut > 0) line.append(h("span", "note", ` … ${row.cut.toLocaleString("en")} more characters`));
  // Keeps the row open, and there when the text is copied.
  if (row.length === 0) line.append(h("br"));
  return line;
}

/** @param {string} text @param {Style} style */
function paintRun(text, style) {
  const span = h("span", [...style.flags].map((flag) => `ansi-${flag}`).join(" "), text);
  if (style.flags.has("inverse")) {
    // Solid here, where the style sheet makes backgrounds tints: the text may have no colour of its own.
    if (style.fg !== null) span.style.backgroundColor = cssColour(style.fg);
    if (style.bg !== null) span.style.color = cssColour(style.bg);
    return span;
  }
  if (typeof style.fg === "number") span.classList.add(`ansi-fg-${style.fg}`);
  else if (style.fg !== null && style.bg !== null) span.style.color = style.fg;
  else if (style.fg !== null) {
    // Chosen for somebody's terminal, black or white: the style sheet sees to it that it can be read here.
    span.style.setProperty("--colour", style.fg);
    span.classList.add("ansi-free");
  }
  if (typeof style.bg === "number") span.classList.add(`ansi-bg-${style.bg}`);
  else if (style.bg !== null) span.style.backgroundColor = style.bg;
  return span;
}

/** @param {number | string} colour */
const cssColour = (colour) => (typeof colour === "number" ? `var(--ansi-${colour})` : colour);
