/**
 * Text styles as terminals select them ("SGR" sequences).
 *
 * A colour is null (the default), 0–15 (a palette entry, which the style sheet themes),
 * or a CSS colour.
 * @typedef {number | string | null} Colour
 * @typedef {object} Style  immutable; equal styles have equal keys
 * @property {string} key
 * @property {Colour} fg
 * @property {Colour} bg
 * @property {Set<string>} flags
 */

/** @type {Style} */
export const PLAIN = { key: "", fg: null, bg: null, flags: new Set() };

const SET = new Map([[1, "bold"], [2, "dim"], [3, "italic"], [4, "underline"], [7, "inverse"], [8, "hidden"], [9, "strike"], [21, "underline"]]);
const UNSET = new Map([[22, ["bold", "dim"]], [23, ["italic"]], [24, ["underline"]], [27, ["inverse"]], [28, ["hidden"]], [29, ["strike"]]]);

/**
 * The style after a sequence such as "1;38;5;208".
 * @param {Style} style
 * @param {string} parameters
 * @returns {Style}
 */
export function applySgr(style, parameters) {
  let { fg, bg } = style;
  let flags = new Set(style.flags);
  // A colon binds the parts of one parameter together (38:2::r:g:b); a semicolon does not.
  const queue = parameters.split(";").map((part) => part.split(":").map(Number));
  while (queue.length) {
    const parts = queue.shift() ?? [];
    const code = parts[0] ?? 0;
    const unset = UNSET.get(code);
    if (code === 0) [fg, bg, flags] = [null, null, new Set()];
    else if (code === 4 && parts[1] === 0) flags.delete("underline");
    else if (SET.has(code)) flags.add(/** @type {string} */ (SET.get(code)));
    else if (unset) unset.forEach((flag) => flags.delete(flag));
    else if (code === 38) fg = extendedColour(parts, queue) ?? fg;
    else if (code === 48) bg = extendedColour(parts, queue) ?? bg;
    else if (code === 39) fg = null;
    else if (code === 49) bg = null;
    else if (code >= 30 && code <= 37) fg = code - 30;
    else if (code >= 40 && code <= 47) bg = code - 40;
    else if (code >= 90 && code <= 97) fg = code - 82;
    else if (code >= 100 && code <= 107) bg = code - 92;
  }
  return makeStyle(fg, bg, flags);
}

/** @param {Colour} fg @param {Colour} bg @param {Set<string>} flags @returns {Style} */
function makeStyle(fg, bg, flags) {
  if (fg === null && bg === null && flags.size === 0) return PLAIN;
  return { key: `${fg}/${bg}/${[...flags].sort().join()}`, fg, bg, flags };
}

/** @param {number[]} parts @param {number[][]} queue @returns {Colour} null when it makes no sense */
function extendedColour(parts, queue) {
  const next = () => queue.shift()?.[0] ?? 0;
  if (parts.length > 1) {
    if (parts[1] === 5) return indexed(parts[2]);
    return parts[1] === 2 && parts.length >= 5 ? rgb(parts.slice(-3)) : null;
  }
  const kind = next();
  if (kind === 5) return indexed(next());
  return kind === 2 ? rgb([next(), next(), next()]) : null;
}

/** The 256-colour palette: 16 named, a 6×6×6 cube, 24 greys. @param {number | undefined} n @returns {Colour} */
function indexed(n) {
  if (n === undefined || !(n >= 0 && n <= 255)) return null;
  if (n < 16) return n;
  if (n >= 232) return rgb(Array(3).fill(8 + (n - 232) * 10));
  const level = (/** @type {number} */ step) => (step === 0 ? 0 : 55 + step * 40);
  const cube = n - 16;
  return rgb([level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6)]);
}

/** @param {number[]} channels */
function rgb(channels) {
  return `rgb(${channels.map((channel) => Math.min(255, Math.max(0, channel | 0))).join(" ")})`;
}
