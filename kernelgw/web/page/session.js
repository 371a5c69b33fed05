/** One session on the page: its cells in order, and what is running in it. */

import { ApiError } from "./api.js";
import { Cell } from "./cell.js";
import { h } from "./dom.js";

/** @typedef {import("./api.js").Api} Api */
/**
 * @typedef {object} SessionHooks  what the page wants to hear of
 * @property {() => void} onChange      `busy` or `cells` changed
 * @property {(text: string) => void} announce  said to assistive technology
 * @property {(problem: ApiError) => void} report
 * @property {(code: string) => void} reuse
 */

/** Executions of one session run one after another; so does the page, on one connection. */
export class Session {
  #api;
  #list;
  #hooks;
  #closed = new AbortController();
  /** @type {Promise<void>} */
  #line = Promise.resolve();
  /** @type {Set<Cell>} */
  #unfinished = new Set();
  /** @type {Cell[]} */
  cells = [];
  id;

  /** @param {string} id @param {Api} api @param {HTMLElement} list @param {SessionHooks} hooks */
  constructor(id, api, list, hooks) {
    this.id = id;
    this.#api = api;
    this.#list = list;
    this.#hooks = hooks;
  }

  /** What was typed, oldest first. */
  get codes() {
    return this.cells.map((cell) => cell.code);
  }

  get busy() {
    return this.#unfinished.size > 0;
  }

  /** Shows what has run so far, and follows what still runs. */
  async load() {
    const executions = await this.#guarded(() => this.#api.history(this.id));
    if (this.#closed.signal.aborted) return;
    for (const execution of executions ?? []) {
      const cell = this.#add(Cell.of(execution, this.#actions()));
      if (cell.status === "queued" || cell.status === "running") this.#enqueue(cell, { id: execution.id });
    }
    this.#hooks.onChange();
  }

  /** @param {string} code @param {string} [language] */
  run(code, language) {
    this.#enqueue(this.#add(new Cell(code, this.#actions())), language ? { code, language } : { code });
  }

  /** Interrupts what runs; what still waits on this page is not run at all. */
  async stop() {
    for (const cell of [...this.#unfinished].slice(1)) {
      if (cell.id !== null) continue;
      cell.cancel();
      this.#unfinished.delete(cell);
    }
    this.#hooks.onChange();
    await this.#guarded(() => this.#api.interrupt(this.id));
  }

  async restart() {
    const done = await this.#guarded(() => this.#api.restart(this.id).then(() => true));
    if (!done) return;
    this.#list.append(h("li", "divider", "Restarted: variables start afresh, files stay."));
    this.#hooks.announce("The kernel was restarted.");
  }

  /** Leaves the session; what runs in it goes on. */
  close() {
    this.#closed.abort();
    this.#list.replaceChildren();
  }

  /** @returns {import("./cell.js").CellActions} */
  #actions() {
    return {
      fetchBlob: (url) => this.#api.blob(url),
      reuse: this.#hooks.reuse,
      answerInput: (execution, value) => this.#api.answerInput(this.id, execution, value),
    };
  }

  /** @param {Cell} cell */
  #add(cell) {
    this.cells.push(cell);
    this.#list.append(cell.element);
    return cell;
  }

  /** @param {Cell} cell @param {{code: string, language?: string} | {id: string}} what */
  #enqueue(cell, what) {
    this.#unfinished.add(cell);
    this.#hooks.onChange();
    this.#line = this.#line.then(async () => {
      if (this.#closed.signal.aborted || !this.#unfinished.has(cell)) return;
      await this.#follow(cell, what);
      this.#unfinished.delete(cell);
      this.#hooks.onChange();
    });
  }

  /** @param {Cell} cell @param {{code: string, language?: string} | {id: string}} what */
  async #follow(cell, what) {
    const onLink = (/** @type {string} */ link) => cell.setReconnecting(link === "reconnecting");
    try {
      for await (const event of this.#api.execution(this.id, what, { signal: this.#closed.signal, onLink })) {
        cell.apply(event);
        // A display can be updated from a later cell than the one that shows it.
        if (event.type === "output.update") this.cells.forEach((other) => other !== cell && other.updateDisplay(event.data));
        if (event.type === "input.requested") this.#hooks.announce("The code asks for input.");
        if (event.type === "execution.completed") this.#hooks.announce(`${cell.element.ariaLabel}: ${cell.status.replace("_", " ")}`);
      }
    } catch (error) {
      const problem = asProblem(error);
      cell.fail(problem);
      this.#hooks.announce(problem.message);
    }
  }

  /** @template T @param {() => Promise<T>} call @returns {Promise<T | undefined>} */
  async #guarded(call) {
    try {
      return await call();
    } catch (error) {
      if (!this.#closed.signal.aborted) this.#hooks.report(asProblem(error));
      return undefined;
    }
  }
}

/** @param {unknown} error */
function asProblem(error) {
  if (error instanceof ApiError) return error;
  console.error(error);
  return new ApiError({ code: "page_error", message: `This page failed: ${error}`, hint: "Reload it; the session goes on." });
}
