/** The place where code is typed: keys, indentation, and going back to earlier code. */

const INDENT = "    ";

export class Composer {
  #area;
  #onRun;
  /** @type {string[]} */
  #past = [];
  #recalled = -1;
  /** Tab indents; after Escape it leaves the field, so that nobody is caught in it. */
  #tabLeaves = false;

  /** @param {HTMLTextAreaElement} area @param {(code: string) => void} onRun */
  constructor(area, onRun) {
    this.#area = area;
    this.#onRun = onRun;
    area.addEventListener("keydown", (event) => this.#key(event));
    area.addEventListener("blur", () => (this.#tabLeaves = false));
    area.addEventListener("input", () => {
      this.#recalled = -1;
      this.#fit();
    });
  }

  /** @param {string} code */
  set(code) {
    this.#area.value = code;
    this.#area.setSelectionRange(code.length, code.length);
    this.#fit();
    this.#area.focus();
  }

  /** What arrow-up brings back, oldest first. @param {string[]} codes */
  setPast(codes) {
    this.#past = codes;
    this.#recalled = -1;
  }

  focus() {
    this.#area.focus();
  }

  submit() {
    const code = this.#area.value;
    if (code.trim() === "") return this.#area.focus();
    this.#past.push(code);
    this.#recalled = -1;
    this.set("");
    this.#onRun(code);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.isComposing) return;
    const { key, shiftKey } = event;
    const tabLeaves = this.#tabLeaves;
    this.#tabLeaves = key === "Escape" || (tabLeaves && key === "Shift");
    let handled = true;
    if (key === "Enter" && (event.ctrlKey || event.metaKey || shiftKey)) this.submit();
    else if (event.ctrlKey || event.metaKey || event.altKey) handled = false;
    else if (key === "Tab" && !tabLeaves) shiftKey ? this.#outdent() : this.#insert(INDENT);
    else if (key === "Enter") this.#insert(`\n${this.#indentAfter()}`);
    else if (key === "ArrowUp") handled = this.#recall(1);
    else if (key === "ArrowDown") handled = this.#recall(-1);
    else handled = false;
    if (handled) event.preventDefault();
  }

  /** Through the editing command where there is one, as it keeps undo working. @param {string} text */
  #insert(text) {
    if (document.execCommand?.("insertText", false, text)) return;
    this.#area.setRangeText(text, this.#area.selectionStart, this.#area.selectionEnd, "end");
    this.#fit();
  }

  #outdent() {
    const { value, selectionStart } = this.#area;
    const start = value.lastIndexOf("\n", selectionStart - 1) + 1;
    const spaces = /^ {0,4}/.exec(value.slice(start))?.[0].length ?? 0;
    if (spaces === 0) return;
    this.#area.setRangeText("", start, start + spaces, "preserve");
  }

  #indentAfter() {
    const before = this.#area.value.slice(0, this.#area.selectionStart);
    const line = before.slice(before.lastIndexOf("\n") + 1);
    const indent = /^\s*/.exec(line)?.[0] ?? "";
    return /[:{([]\s*$/.test(line) ? indent + INDENT : indent;
  }

  /** Only from an empty field or one that shows earlier code unchanged. @param {1 | -1} step */
  #recall(step) {
    if (this.#area.value !== "" && this.#recalled === -1) return false;
    const to = this.#recalled + step;
    if (to < -1 || to >= this.#past.length) return false;
    this.set(to === -1 ? "" : (this.#past.at(-1 - to) ?? ""));
    this.#recalled = to;
    return true;
  }

  /** Style sheets can do this in some browsers only. */
  #fit() {
    if (CSS.supports("field-sizing", "content")) return;
    this.#area.style.height = "auto";
    this.#area.style.height = `${this.#area.scrollHeight + 2}px`;
  }
}
