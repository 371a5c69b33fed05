/**
 * A small, safe part of Markdown: headings, paragraphs, lists, quotes, rules, code, bold,
 * italic, links. Built from nodes, so markup inside it stays text. The rest reads as written.
 */

import { h } from "./dom.js";
import { visible } from "./visible.js";

/** @param {string} source */
export function markdown(source) {
  return h("div", "markdown", ...blocks(visible(source).replace(/\r\n?/g, "\n").split("\n")));
}

const LIST = /^\s*(?:[-*+]|(\d+)[.)])\s+(.*)$/;
const HEADING = /^(#{1,6})\s+(.*?)\s*#*$/;
const FENCE = /^\s*(```+|~~~+)/;
const RULE = /^\s*([-*_])(?:\s*\1){2,}\s*$/;
const QUOTE = /^\s*>\s?/;

/** Quotes within quotes beyond this depth stay text. */
const MAX_DEPTH = 8;

/** @param {string[]} lines @param {number} [depth] @returns {HTMLElement[]} */
function blocks(lines, depth = 0) {
  const made = [];
  let at = 0;
  while (at < lines.length) {
    const [element, next] = block(lines, at, depth);
    if (element) made.push(element);
    at = next;
  }
  return made;
}

/**
 * The block that starts on that line, and the line after it.
 * @param {string[]} lines
 * @param {number} at
 * @param {number} depth
 * @returns {[HTMLElement | null, number]}
 */
function block(lines, at, depth) {
  const line = lines[at] ?? "";
  if (line.trim() === "") return [null, at + 1];
  const fence = FENCE.exec(line)?.[1];
  if (fence) return codeBlock(lines, at + 1, fence);
  const heading = HEADING.exec(line);
  // The page has its own first levels; an output starts below them.
  if (heading) return [h(/** @type {"h3"} */ (`h${Math.min(6, (heading[1] ?? "").length + 2)}`), {}, ...spans(heading[2] ?? "")), at + 1];
  if (RULE.test(line)) return [h("hr"), at + 1];
  if (QUOTE.test(line) && depth < MAX_DEPTH) {
    const end = endOf(lines, at, (text) => QUOTE.test(text));
    return [h("blockquote", {}, ...blocks(lines.slice(at, end).map((text) => text.replace(QUOTE, "")), depth + 1)), end];
  }
  if (LIST.test(line)) return list(lines, at);
  const end = endOf(lines, at, (text) => text.trim() !== "" && ![FENCE, HEADING, RULE, QUOTE, LIST].some((start) => start.test(text)));
  return [h("p", {}, ...spans(lines.slice(at, end).join("\n"))), end];
}

/** @param {string[]} lines @param {number} at @param {(line: string) => boolean} belongs */
function endOf(lines, at, belongs) {
  let end = at + 1;
  while (end < lines.length && belongs(lines[end] ?? "")) end++;
  return end;
}

/** @param {string[]} lines @param {number} at @param {string} fence @returns {[HTMLElement, number]} */
function codeBlock(lines, at, fence) {
  let end = at;
  while (end < lines.length && !(lines[end] ?? "").trimStart().startsWith(fence)) end++;
  return [h("pre", {}, h("code", {}, lines.slice(at, end).join("\n"))), end + 1];
}

/** @param {string[]} lines @param {number} at @returns {[HTMLElement, number]} */
function list(lines, at) {
  const start = LIST.exec(lines[at] ?? "")?.[1];
  const end = endOf(lines, at, (text) => LIST.test(text) || /^\s+\S/.test(text));
  /** @type {string[]} */
  const items = [];
  for (const line of lines.slice(at, end)) {
    const item = LIST.exec(line);
    if (item) items.push(item[2] ?? "");
    else items.push(`${items.pop()}\n${line.trim()}`);
  }
  const entries = items.map((item) => h("li", {}, ...spans(item)));
  return [start === undefined ? h("ul", {}, ...entries) : h("ol", { start: Number(start) }, ...entries), end];
}

const SPAN = /(`+)(.+?)\1|\*\*([^]+?)\*\*|__([^]+?)__|\*([^*\s][^*]*?)\*|\b_([^_\s][^_]*?)_\b|\[([^\]]*)\]\(\s*<?([^\s)>]+)>?[^)]*\)/g;

/** @param {string} text @returns {(Node | string)[]} */
function spans(text) {
  const made = [];
  let at = 0;
  for (const match of text.matchAll(SPAN)) {
    const [whole, , code, strong, strong2, em, em2, label, url] = match;
    if (match.index > at) made.push(text.slice(at, match.index));
    if (code !== undefined) made.push(h("code", {}, code.trim()));
    else if (url !== undefined) made.push(anchor(label ?? "", url));
    else if (strong ?? strong2) made.push(h("strong", {}, ...spans(strong ?? strong2 ?? "")));
    else made.push(h("em", {}, ...spans(em ?? em2 ?? "")));
    at = match.index + whole.length;
  }
  if (at < text.length) made.push(text.slice(at));
  return made;
}

/** @param {string} label @param {string} url */
function anchor(label, url) {
  if (!/^(?:https?:\/\/|mailto:)/i.test(url)) return h("span", {}, label);
  return h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, ...spans(label));
}
