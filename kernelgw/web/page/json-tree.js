/** A value as a tree that opens. Branches are built when they are opened, big ones in parts. */

import { h, button } from "./dom.js";
import { visible } from "./visible.js";

const PART = 100;
const MAX_STRING = 5000;

/** @param {any} value @param {{open?: boolean}} [options] */
export function jsonTree(value, { open = true } = {}) {
  return h("div", "json", node(null, value, open));
}

/** @param {string | null} name @param {any} value @param {boolean} open @returns {HTMLElement} */
function node(name, value, open) {
  const key = name === null ? [] : [h("span", "json-key", visible(name)), ": "];
  if (value === null || typeof value !== "object") return h("div", "json-leaf", ...key, leaf(value));
  const entries = Object.entries(value);
  const [left, right] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  if (entries.length === 0) return h("div", "json-leaf", ...key, left + right);
  const noun = Array.isArray(value) ? "item" : "key";
  const count = `${left} ${entries.length.toLocaleString("en")} ${noun}${entries.length === 1 ? "" : "s"} ${right}`;
  const children = h("div", "json-children");
  const details = h("details", { open }, h("summary", {}, ...key, h("span", "note", count)), children);
  const fill = () => {
    if (details.open && children.childElementCount === 0) addPart(children, entries, 0);
  };
  details.addEventListener("toggle", fill);
  fill();
  return details;
}

/** @param {HTMLElement} parent @param {[string, any][]} entries @param {number} from */
function addPart(parent, entries, from) {
  const part = entries.slice(from, from + PART);
  parent.append(...part.map(([name, value]) => node(name, value, false)));
  const left = entries.length - from - part.length;
  if (left === 0) return;
  const more = button(`${Math.min(left, PART)} more of ${left.toLocaleString("en")}`, () => {
    more.remove();
    addPart(parent, entries, from + PART);
  });
  parent.append(more);
}

/** @param {string | number | boolean | null} value */
function leaf(value) {
  if (typeof value !== "string") return h("span", "json-atom", String(value));
  const text = value.length > MAX_STRING ? `${value.slice(0, MAX_STRING)}…` : value;
  return h("span", "json-string", visible(JSON.stringify(text)));
}
