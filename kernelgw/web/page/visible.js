/** Characters that would change how others are read. */

/**
 * Marks that turn the direction of what follows, and the controls that terminals have beside those of ASCII.
 * Plain marks of right-to-left scripts are left alone: they turn nothing but themselves.
 */
const HIDDEN = /[\u0080-\u009f\u202a-\u202e\u2066-\u2069]/g;

/** With each of them written out as what it is. @param {string} text */
export function visible(text) {
  return text.replace(HIDDEN, (char) => `‹U+${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}›`);
}
