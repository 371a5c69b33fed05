"use strict";
// Reads JavaScript as far as is needed to find `import`, `export` and declarations that stand outside of everything
// else, and to leave alone what only looks like them: text, templates, comments, regular expressions.

const KEYWORDS_BEFORE_VALUE = new Set(
  ("return typeof case do else in instanceof new void delete throw yield await of extends default " +
    "import export const let var if while for with").split(" "),
);
const HEADS = new Set(["if", "while", "for", "with"]);
const SPACE = /[\s\u200c\u200d\ufeff]/;
const WORD = /[\p{ID_Start}$_\\#@][\p{ID_Continue}$\u200c\u200d\\{}]*/uy;
const PLAIN_WORD = /[A-Za-z_$#@][A-Za-z0-9_$]*/y;
const NUMBER = /0[xXbBoO][\da-fA-F_]+n?|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?n?/y;
const PUNCTUATOR = /=>|\?\.(?!\d)|\.\.\.|\+\+|--|[^]/y;

class Unfinished extends SyntaxError {}

class Lexer {
  constructor(code) {
    this.code = code;
    this.at = 0;
    // Of each open bracket: what it is, and what stood before it.
    this.open = [];
    this.last = null;
    this.beforeLast = null;
    this.closed = null;
  }

  // The next token: {kind, text, start, end, line}; `line`: whether a new line began before it. null at the end.
  next() {
    const newline = this.skip();
    if (this.at >= this.code.length) return null;
    const start = this.at;
    const kind = this.read();
    const token = { kind, text: kind === "template" ? "`" : this.code.slice(start, this.at), start, end: this.at };
    token.line = newline;
    token.depth = this.open.length;
    if (kind === "punctuator") this.bracket(token);
    this.beforeLast = this.last;
    this.last = token;
    return token;
  }

  skip() {
    const { code } = this;
    let newline = false;
    for (; this.at < code.length; this.at++) {
      const char = code.charCodeAt(this.at);
      if (char === 10 || char === 13 || char === 0x2028 || char === 0x2029) newline = true;
      else if (char === 47 && code[this.at + 1] === "/") this.line();
      else if (char === 47 && code[this.at + 1] === "*") newline = this.comment() || newline;
      else if (char === 35 && this.at === 0 && code[1] === "!") this.line();
      else if (char !== 32 && char !== 9 && !(char > 127 ? SPACE.test(code[this.at]) : char < 33)) break;
    }
    return newline;
  }

  line() {
    while (this.at + 1 < this.code.length && !/[\n\r\u2028\u2029]/.test(this.code[this.at + 1])) this.at++;
  }

  comment() {
    const end = this.code.indexOf("*/", this.at + 2);
    if (end < 0) throw new Unfinished("a comment has no end");
    const newline = this.code.slice(this.at, end).includes("\n");
    this.at = end + 1;
    return newline;
  }

  read() {
    const { code } = this;
    const char = code[this.at];
    if (char === '"' || char === "'") return this.string(char);
    if (char === "`") return this.template();
    if (char === "}" && this.open.at(-1)?.kind === "${") {
      this.open.pop();
      return this.template();
    }
    if (char === "/" && this.valueMayFollow()) return this.regex();
    for (const [pattern, kind] of [[PLAIN_WORD, "word"], [NUMBER, "number"], [WORD, "word"]]) {
      if (kind === "number" && !/[\d.]/.test(char)) continue;
      pattern.lastIndex = this.at;
      const found = pattern.exec(code);
      if (!found) continue;
      // What begins plainly may go on in another script.
      if (pattern === PLAIN_WORD && code.charCodeAt(this.at + found[0].length) > 127) continue;
      this.at += found[0].length;
      return kind;
    }
    PUNCTUATOR.lastIndex = this.at;
    this.at += PUNCTUATOR.exec(code)[0].length;
    return "punctuator";
  }

  string(quote) {
    const { code } = this;
    for (let at = this.at + 1; at < code.length; at++) {
      const char = code[at];
      if (char === "\\") at += code[at + 1] === "\r" && code[at + 2] === "\n" ? 2 : 1;
      else if (char === "\n") break;
      else if (char === quote) {
        this.at = at + 1;
        return "string";
      }
    }
    throw new SyntaxError("a text has no end");
  }

  // From its beginning, or from the end of a value in it, to the next value or its end.
  template() {
    const { code } = this;
    for (let at = this.at + 1; at < code.length; at++) {
      const char = code[at];
      if (char === "\\") at++;
      else if (char === "`" || (char === "$" && code[at + 1] === "{")) {
        this.at = at + (char === "`" ? 1 : 2);
        if (char === "`") return "template";
        this.open.push({ kind: "${", before: null });
        return "hole";
      }
    }
    throw new Unfinished("a template has no end");
  }

  regex() {
    const { code } = this;
    let inClass = false;
    for (let at = this.at + 1; at < code.length && code[at] !== "\n"; at++) {
      const char = code[at];
      if (char === "\\") at++;
      else if (char === "[") inClass = true;
      else if (char === "]") inClass = false;
      else if (char === "/" && !inClass) {
        for (at++; at < code.length && /[A-Za-z]/.test(code[at]); at++);
        this.at = at;
        return "regex";
      }
    }
    throw new SyntaxError("a regular expression has no end");
  }

  // Whether a slash begins a regular expression here, rather than dividing.
  valueMayFollow() {
    const { last } = this;
    if (last === null || last.kind === "hole") return true;
    if (last.kind === "word") return KEYWORDS_BEFORE_VALUE.has(last.text) && !this.isProperty(this.beforeLast);
    if (last.kind !== "punctuator") return false;
    if (last.text === ")") return this.closed.head;
    if (last.text === "}") return this.closed.block;
    return last.text !== "]" && last.text !== "++" && last.text !== "--";
  }

  isProperty(before) {
    return before?.kind === "punctuator" && (before.text === "." || before.text === "?.");
  }

  bracket(token) {
    const { text } = token;
    const { last } = this;
    if (text === "(" || text === "[" || text === "{") {
      const head = text === "(" && last?.kind === "word" && HEADS.has(last.text) && !this.isProperty(this.beforeLast);
      this.open.push({ kind: text, head, block: text === "{" && this.isBlock(), start: token.start });
    } else if (text === ")" || text === "]" || text === "}") {
      this.closed = this.open.pop() ?? { head: false, block: true };
      token.depth = this.open.length;
      token.opened = this.closed.start;
    }
  }

  // Of a brace: statements, or what belongs to a value?
  isBlock() {
    const { last } = this;
    if (last === null) return true;
    if (last.kind === "hole") return false;
    if (last.kind === "word") return !KEYWORDS_BEFORE_VALUE.has(last.text) || ["do", "else"].includes(last.text);
    if (last.kind !== "punctuator") return true;
    if (last.text === ":") return this.open.at(-1)?.kind !== "(" && (this.open.at(-1)?.block ?? true);
    return [")", "}", ";", "=>", "{"].includes(last.text);
  }
}

// All tokens; raises SyntaxError where the text cannot be read.
function* tokens(code) {
  const lexer = new Lexer(code);
  for (let token = lexer.next(); token !== null; token = lexer.next()) yield token;
  if (lexer.open.length) throw new Unfinished("a bracket is not closed");
}

module.exports = { Lexer, Unfinished, tokens };
