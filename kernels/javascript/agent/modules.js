"use strict";
// A cell is no module: what only modules may say is said in other words, line by line where it stood.

const { Lexer, Unfinished, tokens } = require("./lexer.js");

const IMPORT = "__kernelgw_import__";
const PICK = "__kernelgw_pick__";
const META = "__kernelgw_meta__";
const DECLARING = new Set(["const", "let", "var", "function", "class", "async", "abstract", "enum", "namespace"]);
const BEGINS = new Set([";", "}", ")"]);
const KINDS = new Set(["const", "let", "var", "function", "class"]);
const JOINS = /^(?:=>|[=,?:(+*/%&|^<>.-]|typeof|await|new)$/;

// Edits of a text: [start, end, by what]; new lines stay, so that all lines keep their numbers.
class Edits {
  constructor(code) {
    this.code = code;
    this.list = [];
  }

  put(start, end, text) {
    const lines = this.code.slice(start, end).replace(/[^\n]/g, "");
    this.list.push([start, end, text + (lines.length ? lines : "")]);
  }

  blank(start, end) {
    this.list.push([start, end, this.code.slice(start, end).replace(/[^\n\r]/g, " ")]);
  }

  get text() {
    const pieces = [];
    let at = 0;
    for (const [start, end, text] of this.list.sort((a, b) => a[0] - b[0])) {
      pieces.push(this.code.slice(at, start), text);
      at = end;
    }
    return pieces.join("") + this.code.slice(at);
  }
}

function mayHaveModules(code) {
  return /\b(?:import|export)\b/.test(code);
}

// The code of a cell without `import` and `export`. What cannot be read is left for V8 to complain about.
function rewrite(code) {
  if (!mayHaveModules(code)) return code;
  const edits = new Edits(code);
  const lexer = new Lexer(code);
  try {
    // Calls of `import` that are open: where their brackets began.
    const calls = new Map();
    for (let token = lexer.next(); token !== null; token = lexer.next()) {
      if (token.text === ")" && token.kind === "punctuator" && calls.has(token.opened)) {
        if (!/^[ \t]*\{/.test(code.slice(token.end, token.end + 200))) {
          edits.list.push([...calls.get(token.opened), IMPORT]);
        }
        calls.delete(token.opened);
      }
      if (token.kind !== "word" || lexer.isProperty(lexer.beforeLast)) continue;
      if (token.text === "import") importAt(lexer, token, edits, calls);
      else if (token.text === "export" && token.depth === 0) exportAt(lexer, token, edits);
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return edits.text;
}

function importAt(lexer, token, edits, calls) {
  const { code } = lexer;
  const after = peek(code, token.end);
  if (code[after] === "(") calls.set(after, [token.start, token.end]);
  else if (code[after] === "." && /^\.\s*meta\b/.test(code.slice(after, after + 40))) {
    const end = after + /^\.\s*meta\b/.exec(code.slice(after, after + 40))[0].length;
    edits.list.push([token.start, end, META]);
  } else if (token.depth === 0 && /["'{*\p{ID_Start}$_\\]/u.test(code[after] ?? "")) {
    const clause = new Clause(lexer);
    const said = clause.imported();
    if (said !== null) edits.put(token.start, clause.end, said);
  }
}

function exportAt(lexer, token, edits) {
  const { code } = lexer;
  const after = peek(code, token.end);
  const word = /^[a-z]+/.exec(code.slice(after, after + 20))?.[0];
  if (word === "default") {
    const end = after + "default".length;
    const rest = code.slice(peek(code, end), peek(code, end) + 200);
    // Without a name it is a value, which must not begin a statement.
    const nameless = /^(?:async\s+function|function|class)\b\s*\*?\s*(?:\(|\{|extends\b)/.test(rest);
    edits.blank(token.start, end);
    if (nameless) edits.list.push([end, end, "0,"]);
  } else if (code[after] === "{" || code[after] === "*") {
    const clause = new Clause(lexer);
    const said = clause.exported();
    if (said === null) return;
    if (said) edits.put(token.start, clause.end, said);
    else edits.blank(token.start, clause.end);
  } else if (DECLARING.has(word)) edits.blank(token.start, token.end);
}

function peek(code, at) {
  const lexer = new Lexer(code);
  lexer.at = at;
  lexer.skip();
  return lexer.at;
}

// What follows `import` or `export` up to the end of the statement.
class Clause {
  constructor(lexer) {
    this.lexer = lexer;
    this.end = lexer.at;
    this.token = null;
    this.take();
  }

  take() {
    const taken = this.token;
    if (taken) this.end = taken.end;
    this.token = this.lexer.next();
    return taken;
  }

  is(text) {
    return this.token !== null && this.token.kind !== "string" && this.token.text === text;
  }

  // Back to before what was only looked at.
  leave() {
    if (this.token !== null) {
      const { lexer } = this;
      if (this.token.text === "{" || this.token.text === "(" || this.token.text === "[") lexer.open.pop();
      lexer.at = this.token.start;
      lexer.last = { kind: "punctuator", text: ";" };
    }
  }

  imported() {
    let own = null;
    let all = null;
    let names = [];
    if (this.token?.kind !== "string") {
      if (this.token?.kind === "word" && !this.is("{")) own = this.take().text;
      if (own !== null && this.is(",")) this.take();
      // Types, which are for another to take away.
      else if (own !== null && !this.is("from")) return null;
      if (this.is("*")) all = this.whole();
      else if (this.is("{")) names = this.names();
      if (names === null || !this.is("from")) return null;
      this.take();
    }
    const source = this.source();
    if (source === null) return null;
    if (own !== null) names.unshift(["default", own]);
    return told(source, all, names);
  }

  exported() {
    const all = this.is("*");
    if (all) this.starred();
    const names = all ? [] : this.names();
    if (names === null) return null;
    if (!this.is("from")) {
      if (all) return null;
      this.finish();
      return "";
    }
    this.take();
    const source = this.source();
    if (source === null) return null;
    // It names nothing here.
    return told(source, null, []);
  }

  starred() {
    this.take();
    if (!this.is("as")) return;
    this.take();
    this.take();
  }

  whole() {
    this.take();
    if (!this.is("as")) return null;
    this.take();
    return this.take()?.text ?? null;
  }

  names() {
    const found = [];
    this.take();
    while (this.token !== null && !this.is("}")) {
      const name = this.take();
      if (name.text === "," && name.kind === "punctuator") continue;
      let here = name;
      if (this.is("as")) {
        this.take();
        here = this.take();
      }
      if (!here || !(this.is(",") || this.is("}"))) return null;
      found.push([name.text, here.text]);
    }
    this.take();
    return found;
  }

  source() {
    if (this.token?.kind !== "string") return null;
    const source = this.take().text;
    let options = "";
    if ((this.is("with") || this.is("assert")) && !this.token.line) {
      this.take();
      const start = this.token?.start ?? 0;
      for (let depth = 0; this.token !== null; ) {
        depth += this.is("{") ? 1 : this.is("}") ? -1 : 0;
        this.take();
        if (depth === 0) break;
      }
      options = `, {with: ${this.lexer.code.slice(start, this.end)}}`;
    }
    this.finish();
    return source + options;
  }

  finish() {
    if (this.is(";")) this.take();
    this.leave();
  }
}

function told(source, all, names) {
  const value = `await ${IMPORT}(${source})`;
  if (!names.length) return all === null ? `void ${value};` : `let ${all} = ${value};`;
  const wanted = names.map(([name]) => (/^["']/.test(name) ? name : JSON.stringify(name)));
  const bound = names.map(([name, here]) => (name === here ? name : `${name}: ${here}`)).join(", ");
  const picked = (from) => `{${bound}} = ${PICK}(${from}, [${wanted}], ${source.replace(/, \{with[^]*$/, "")})`;
  return all === null ? `let ${picked(value)};` : `let ${all} = ${value}, ${picked(all)};`;
}

// V8 lets const follow const, let and class each other, var and function each other, and no other kind. `const` that is
// never assigned to can as well be `let`, and then nearly everything may be declared again.
function soften(code) {
  if (!/\bconst\b/.test(code)) return code;
  const found = [];
  walk(code, (pending, names) => {
    if (pending.word === "const") found.push({ ...pending, names });
  });
  const edits = new Edits(code);
  for (const { start, end, names } of found) {
    if (names.some((name) => isAssigned(code, name))) continue;
    edits.list.push([start, end, "let  "]);
  }
  return edits.text;
}

function isAssigned(code, name) {
  const safe = name.replace(/\$/g, "\\$");
  const after = `(?:\\s*(?:[-+*/%&|^<>?]{0,3}=(?![=>])|\\+\\+|--))`;
  const begin = `(?<![\\p{ID_Continue}$.])`;
  const hits = code.match(new RegExp(`${begin}${safe}(?![\\p{ID_Continue}$])${after}|(?:\\+\\+|--)\\s*${safe}(?![\\p{ID_Continue}$])`, "gu"));
  // The declaration is one.
  return (hits?.length ?? 0) > 1;
}

// Calls `each(pending, names, token)` for every declaration outside of all brackets: pending has word, start, end.
function walk(code, each) {
  let last = null;
  let pending = null;
  const finish = () => {
    if (pending) each(pending, pending.names);
    pending = null;
  };
  try {
    for (const token of tokens(code)) {
      const begins = last === null || token.line || BEGINS.has(last.text) || last.text === "async";
      const { kind, text, depth } = token;
      if (depth === 0 && kind === "word" && begins && KINDS.has(text) && !(pending && last && JOINS.test(last.text))) {
        finish();
        pending = { word: text, start: token.start, end: token.end, names: [], naming: true, token: null };
      } else if (pending) note(pending, token);
      if (pending && ((depth === 0 && text === ";" && kind === "punctuator") || pending.over)) finish();
      last = token;
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  finish();
}

function note(pending, token) {
  const { kind, text, depth } = token;
  const whole = pending.word === "function" || pending.word === "class";
  if (kind === "word" && pending.naming) {
    if (!pending.names.length) pending.token = token;
    pending.names.push(text);
    if (whole) pending.naming = false;
  } else if (kind === "punctuator" && depth === 0) {
    if (whole && text === "}") Object.assign(pending, { over: true, closed: token.end });
    else if (!whole && text === "=") pending.naming = false;
    else if (!whole && text === ",") pending.naming = true;
  }
}

// The same code with names declared by other words than it has: `kinds`, by name.
function redeclare(code, kinds) {
  const edits = new Edits(code);
  const prefix = [];
  walk(code, ({ word, start, end, token, closed }, names) => {
    const name = names.find((each) => kinds.has(each));
    if (name === undefined) return;
    const kind = kinds.get(name);
    if (word === "function") {
      if (kind === "var") return;
      edits.list.push([token.start, token.end, `${name}$`]);
      prefix.push(`${kind} ${name} = Object.defineProperty(${name}$, "name", {value: ${JSON.stringify(name)}}); `);
    } else if (word === "class") {
      edits.list.push([start, start, `${kind} ${name} = `]);
      if (closed) edits.list.push([closed, closed, ";"]);
    } else edits.list.push([start, end, kind]);
  });
  if (prefix.length) edits.list.push([0, 0, prefix.join("")]);
  return edits.text;
}

module.exports = { rewrite, soften, redeclare, tokens, Unfinished, IMPORT, PICK, META };
