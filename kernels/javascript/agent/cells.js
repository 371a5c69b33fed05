"use strict";
// Runs cells: each is evaluated as V8's own console does, which allows `await` everywhere and names to be declared again.

const { Session } = require("inspector");
const { AsyncLocalStorage } = require("async_hooks");
const { types } = require("util");
const { promiseHooks } = require("v8");
const errors = require("./errors.js");
const guard = require("./guard.js");
const modules = require("./modules.js");
const typescript = require("./typescript.js");
const { bundle, Handle } = require("./display.js");
const { Timers } = require("./timers.js");

const GROUP = "cell";
const DECLARED = /^Identifier '(.+)' has already been declared$/;
const KINDS = ["let", "var", "const"];
const MOST_REDECLARED = 100;
const LOOK_MS = 100;

class Interrupted extends Error {}

// Raised by this program, about a cell; no cell can make one.
class Told {
  #failure;

  constructor(failure) {
    this.#failure = failure;
  }

  static of(thrown) {
    return Object(thrown) === thrown && #failure in thrown ? thrown.#failure : errors.describe(thrown);
  }
}

class Cell {
  constructor(number, timers) {
    this.number = number;
    this.timers = timers.of();
    this.run = 0;
    this.over = false;
    this.stopped = false;
  }
}

class Cells {
  // `tell(cell, message)`: to whoever runs cells.
  constructor(tell, requiring) {
    this.tell = tell;
    this.requiring = requiring;
    this.context = new AsyncLocalStorage();
    this.timers = new Timers(() => this.here());
    this.current = new Cell(0, this.timers);
    // The run that was interrupted before it came here.
    this.doomed = 0;
    this.current.over = true;
    this.session = new Session();
    this.session.connect();
    this.kept = new Set();
    this.taken = undefined;
    this.taker = this.own((value) => (this.taken = value));
    this.exit = process.exit;
  }

  // Whose code runs: that of a cell of before goes on between others.
  here() {
    return this.context.getStore() ?? this.current;
  }

  // A function of ours as the inspector knows it.
  own(call) {
    let id;
    world.__kernelgw_own__ = call;
    this.session.post("Runtime.evaluate", { expression: "__kernelgw_own__" }, (_, { result }) => (id = result.objectId));
    delete world.__kernelgw_own__;
    return id;
  }

  // The very value that the inspector describes.
  value(described) {
    if (described.objectId === undefined && described.unserializableValue === undefined) return described.value;
    const call = { functionDeclaration: "function (value) { this(value) }", objectId: this.taker, silent: true };
    guard.sheltered(() => this.session.post("Runtime.callFunctionOn", { ...call, arguments: [described] }, () => {}));
    const { taken } = this;
    this.taken = undefined;
    return taken;
  }

  async run({ cell: number, run, code, language }) {
    if (run === this.doomed) return;
    const cell = (this.current = new Cell(number, this.timers));
    cell.run = run;
    process.exitCode = undefined;
    let ended;
    cell.ended = new Promise((resolve) => (ended = resolve));
    cell.end = (failure) => {
      if (cell.over) return;
      cell.over = true;
      ended(failure);
    };
    this.timers.begin(cell.timers);
    this.look(cell);
    this.execute(cell, code, language).then(
      () => cell.end(null),
      (error) => cell.end(Told.of(error)),
    );
    const failure = await cell.ended;
    this.session.post("Runtime.releaseObjectGroup", { objectGroup: GROUP }, () => {});
    if (!cell.held) this.tell(number, { op: "done", failure: failure ?? this.exited(cell) });
  }

  exited(cell) {
    const code = process.exitCode;
    process.exitCode = undefined;
    return code && Number(code) ? exitFailure(Number(code), "process.exitCode was set to") : null;
  }

  async execute(cell, code, language) {
    let { value } = await this.evaluate(cell, code, language);
    if (isAwaited(value)) value = await value;
    if (!cell.over) await this.show(cell, value);
    // What was rejected and nobody has caught is told only then.
    await new Promise(this.timers.real.setImmediate);
    if (!cell.over) await this.timers.rest(cell.timers, () => cell.over);
  }

  // Again and again, for what it does later.
  look(cell) {
    this.guard(cell);
    if (!cell.over) this.timers.real.setTimeout(() => this.look(cell), LOOK_MS).unref();
  }

  // A cell with which nothing works any more is over, and what it did to that end undone.
  guard(cell) {
    const found = guard.takenBack();
    if (!found) return;
    if (!found.gone) this.tell(cell.number, { op: "fatal", reason: `the cell changed what JavaScript itself is made of: ${found.name}` });
    const value = `The cell set ${found.name}, which changes what JavaScript itself is made of: no later cell could run. That was undone.`;
    cell.end({ name: "TypeError", value, traceback: [`TypeError: ${value}`], frames: [] });
  }

  async show(cell, value) {
    if (value === undefined || (!types.isProxy(value) && (value instanceof Handle || this.timers.is(value)))) return;
    const data = await bundle(value);
    if (!cell.over && data) this.tell(cell.number, { op: "result", data });
  }

  async evaluate(cell, code, language) {
    const prepared = this.prepare(cell, code, language);
    const bracketed = this.bracketed(prepared.code);
    // No `await` before the code begins: what it says to be next would come after what is said by promises.
    let found = bracketed === null ? null : await this.attempt(cell, bracketed);
    found ??= await this.redeclaring(cell, prepared.code);
    if (found.early && language !== "typescript" && !prepared.stripped) {
      const without = this.without(cell, code);
      if (without !== null) found = await this.redeclaring(cell, without);
    }
    if (found.early) {
      const [line, column] = found.early;
      throw new Told(errors.syntax(found.error, code, line, column, cell.number));
    }
    if ("error" in found) throw found.error;
    return found;
  }

  prepare(cell, code, language) {
    this.requiring.lenient = language === "typescript";
    if (language !== "typescript") return { code: modules.soften(modules.rewrite(code)) };
    try {
      return { code: this.stripped(cell, code), stripped: true };
    } catch (error) {
      const [line, column] = typescript.where(error);
      throw new Told(errors.syntax(error, code, line, column, cell.number));
    }
  }

  stripped(cell, code) {
    const { code: text, map } = typescript.strip(code);
    if (map) errors.remember(`cell-${cell.number}`, map);
    return modules.soften(modules.rewrite(text));
  }

  // Code that is not JavaScript, when it is TypeScript.
  without(cell, code) {
    try {
      const text = this.stripped(cell, code);
      return text === code ? null : text;
    } catch {
      return null;
    }
  }

  // As in node's own console, what looks like an object is one.
  bracketed(code) {
    return /^\s*\{[^]*[^;\s]\s*$/.test(code) && code.length < 1 << 20 ? `(${code}\n)` : null;
  }

  async redeclaring(cell, code) {
    const kinds = new Map();
    let text = code;
    for (let count = 0; ; count++) {
      const found = await this.attempt(cell, text);
      const name = found.early && DECLARED.exec(found.error.message)?.[1];
      if (!name || count >= MOST_REDECLARED) return found;
      const kind = KINDS[KINDS.indexOf(kinds.get(name)) + 1];
      if (!kind) return found;
      kinds.set(name, kind);
      text = modules.redeclare(code, kinds);
    }
  }

  // {value}, {error}, or {error, early: [line, column]} for code that cannot be read. null: it was not even that.
  async attempt(cell, code) {
    const expression = `${code}\n//# sourceURL=cell-${cell.number}`;
    if (cell.stopped) throw new Interrupted("the cell was stopped");
    const { answer } = await this.context.run(cell, () => this.start(cell, expression));
    const { result, exceptionDetails: details } = answer;
    if (!Object.hasOwn(answer, "exceptionDetails")) return { value: this.value(result) };
    const error = this.value(details.exception ?? result);
    if (!isEarly(error, details)) return { error };
    if (this.bracketed(code.slice(1, -2)) === code) return null;
    return { error, early: [details.lineNumber + 1, details.columnNumber + 1] };
  }

  start(cell, expression) {
    return new Promise((resolve) => {
      const keeping = this.keep();
      const options = { replMode: true, awaitPromise: true, objectGroup: GROUP, includeCommandLineAPI: false };
      this.session.post("Runtime.evaluate", { expression, ...options }, (error, answer) => {
        this.kept.delete(keeping.promise);
        // Where there is none it was ended in the middle, and who did so tells.
        if (answer) resolve({ answer });
      });
      this.guard(cell);
      keeping.stop();
    });
  }

  // The promise of what is about to run. It must not be collected as garbage, which the inspector would want to tell in
  // the middle of that, and node dies.
  keep() {
    const keeping = { promise: undefined, stop: () => {} };
    keeping.stop = promiseHooks.onInit((promise) => {
      // Here, as what follows may never be reached.
      keeping.stop();
      keeping.promise ??= promise;
      this.kept.add(keeping.promise);
    });
    return keeping;
  }

  // A cell is to stop. True when there was one.
  interrupt(run, number) {
    const cell = this.current;
    if (run > cell.run && run !== this.doomed) {
      // It has come before what it is to end, or that was ended on its way here.
      this.doomed = run;
      this.tell(number, { op: "done", interrupted: true });
    }
    if (cell.over || cell.run !== run) return false;
    cell.stopped = cell.held = true;
    this.timers.clear(cell.timers);
    cell.end(null);
    return true;
  }

  // What an interrupt has ended is told as such once nothing of it is on its way.
  settled() {
    const cell = this.current;
    if (!cell.held) return;
    cell.held = false;
    this.tell(cell.number, { op: "done", interrupted: true });
  }

  // process.exit: the cell is over, and nothing else.
  leave(code) {
    const cell = this.here();
    const status = Number(code ?? process.exitCode ?? 0) || 0;
    process.exitCode = undefined;
    for (const listener of process.listeners("exit")) {
      process.removeListener("exit", listener);
      listener.call(process, status);
    }
    this.timers.clear(cell.timers);
    cell.stopped = true;
    const { setImmediate } = this.timers.real;
    this.context.exit(() => setImmediate(() => cell.end(status ? exitFailure(status, "The code called process.exit with") : null)));
    this.session.post("Runtime.terminateExecution", () => {});
    // It takes hold at the next turn of a loop.
    for (;;);
  }

  // What nobody caught: the end of the cell that runs, a line about one of before.
  uncaught(error, say) {
    const cell = this.here();
    if (cell.stopped || error instanceof Interrupted) return;
    const told = errors.describe(error);
    if (!cell.over) cell.end(told);
    else say(cell, `Uncaught in cell ${cell.number}, after it had ended:\n${told.traceback.join("\n")}\n`);
  }

  // Before it says anything: one that was stopped says no more.
  check() {
    const cell = this.here();
    if (cell.stopped) throw new Interrupted("the cell was stopped");
    return cell;
  }
}

// Promises, and what else says that it is to be awaited; a proxy may say that of everything.
function isAwaited(value) {
  return types.isPromise(value) || (!types.isProxy(value) && Object(value) === value && typeof value.then === "function");
}

function exitFailure(code, how) {
  const value = `${how} ${code}. The cell was ended; its variables are kept.`;
  return { name: "ProcessExit", value, traceback: [`ProcessExit: ${value}`], frames: [], code };
}

// Whether the text itself was wrong, so that nothing of it has run.
function isEarly(error, details) {
  if (!types.isNativeError(error) || error.name !== "SyntaxError" || details.exception?.className !== "SyntaxError") return false;
  if (DECLARED.test(error.message)) return true;
  return !/^ {4}at .*\bcell \d+:\d+:\d+\)?$/m.test(String(error.stack)) && !/requested module/.test(error.message);
}

module.exports = { Cells, Interrupted };
