/** Making elements, in one expression. Text always goes in as text. */

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {string | {[property: string]: any}} [properties]  a class name, or DOM properties
 * @param {...(Node | string | null)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  if (typeof properties === "string") element.className = properties;
  else Object.assign(element, properties);
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** @param {string} label @param {() => void} onclick @param {string} [className] */
export function button(label, onclick, className = "quiet") {
  return h("button", { type: "button", className, onclick }, label);
}

/**
 * The element of that id in the page, which must be of that class.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function byId(id, type) {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`The page has no ${type.name} #${id}`);
  return element;
}

/** A message with what to do about it. @param {{message: string, hint?: string | null}} problem */
export function problemNote({ message, hint }) {
  return h("div", "problem", h("p", {}, message), hint ? hintNote(hint) : null);
}

/** @param {string} hint */
export function hintNote(hint) {
  return h("p", "hint", h("strong", {}, "Hint "), hint);
}

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 0.9995) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** @param {number} bytes */
export function fileSize(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  const units = ["kB", "MB", "GB"];
  let size = bytes / 1000;
  while (size >= 999.5 && units.length > 1) {
    size /= 1000;
    units.shift();
  }
  return `${size.toPrecision(size < 9.95 ? 2 : 3)} ${units[0]}`;
}
