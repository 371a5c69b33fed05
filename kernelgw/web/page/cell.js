/** One execution on the page: its code, how it stands, its outputs, and what it asks for. */

import { h, button, duration, problemNote } from "./dom.js";
import { Outputs } from "./outputs.js";
import { OutputsView } from "./outputs-view.js";
import { visible } from "./visible.js";

/** @typedef {import("./api.js").Execution} Execution */
/** @typedef {import("./api.js").ApiError} ApiError */
/**
 * @typedef {object} CellActions  what a cell asks of the page
 * @property {import("./render.js").FetchBlob} fetchBlob
 * @property {(code: string) => void} reuse
 * @property {(execution: string, value: string) => Promise<void>} answerInput
 */

/** @type {Record<string, string>} how each final status reads before its duration */
const IN_WORDS = {
  completed: "completed in",
  failed: "failed after",
  interrupted: "interrupted after",
  timed_out: "timed out after",
  killed: "killed after",
};

const STATE_LOST = "The variables were lost; the next run starts with none.";
const TICK_MS = 100;

export class Cell {
  #actions;
  #view;
  #count = h("span", "count");
  #status = h("span", "status");
  #notes = h("div", "cell-notes");
  #prompt = h("div", "prompt");
  #startedAt = 0;
  #ticking = 0;
  #reconnecting = false;
  element;
  outputs;
  code;
  /** @type {string | null} */
  id = null;
  status = "queued";

  /** @param {string} code @param {CellActions} actions @param {Outputs} [outputs] */
  constructor(code, actions, outputs = new Outputs()) {
    this.#actions = actions;
    this.outputs = outputs;
    this.code = code;
    this.#view = new OutputsView(outputs, actions.fetchBlob);
    const again = button("Edit again", () => actions.reuse(code));
    const head = h("header", "cell-head", this.#count, this.#status, again);
    const source = h("pre", { className: "code", tabIndex: 0, ariaLabel: "Code" }, h("code", {}, visible(code)));
    source.setAttribute("role", "group");
    this.element = h("li", "cell", head, source, this.#view.element, this.#prompt, this.#notes);
    this.#setStatus("queued");
  }

  /** A cell of the past. @param {Execution} execution @param {CellActions} actions */
  static of(execution, actions) {
    const done = IN_WORDS[execution.status] !== undefined;
    // One that is still under way gets its outputs by following its events from the start.
    const cell = new Cell(execution.code ?? "", actions, done ? Outputs.of(execution) : new Outputs());
    cell.id = execution.id;
    cell.#describe(execution);
    if (done) cell.finish(execution);
    else if (execution.status === "running") cell.#start(execution.started_at);
    return cell;
  }

  /** @param {import("./api.js").ServerEvent} event */
  apply({ type, data }) {
    this.id ??= data.execution_id ?? null;
    if (type === "execution.started") this.#start(data.started_at);
    else if (type === "input.requested") this.#ask(data);
    else if (type === "execution.completed") this.finish(data);
    else {
      this.outputs.apply(type, data);
      this.#view.changed();
    }
  }

  /** A display of this cell may have been updated, by this cell or another. @param {any} data */
  updateDisplay(data) {
    this.outputs.update(data);
    this.#view.changed();
  }

  /** @param {Partial<Execution>} execution  the execution without its outputs */
  finish(execution) {
    this.outputs.complete(execution);
    this.#view.changed();
    this.#end();
    this.#describe(execution);
    const status = execution.status ?? "completed";
    const took = execution.duration_s ?? null;
    const words = IN_WORDS[status] ?? status;
    this.#setStatus(status, took === null ? words.split(" after")[0]?.split(" in")[0] : `${words} ${duration(took)}`);
    if (execution.state_lost) this.#notes.append(h("p", "lost", STATE_LOST));
  }

  /** It never ran, because an earlier one was stopped. */
  cancel() {
    this.#end();
    this.#setStatus("interrupted", "not run");
  }

  /** The gateway refused it, or cannot be asked any more. @param {ApiError} problem */
  fail(problem) {
    this.#end();
    this.#setStatus("failed", this.id === null ? "not run" : "not followed");
    this.#notes.append(problemNote(problem));
  }

  /** @param {boolean} reconnecting */
  setReconnecting(reconnecting) {
    this.#reconnecting = reconnecting;
    this.#tick();
  }

  /** @param {string | null | undefined} startedAt  the server's time, where it is known */
  #start(startedAt) {
    // The events of one that was running when the page came say again that it started.
    if (this.status === "running") return;
    const since = startedAt ? Date.parse(startedAt) : NaN;
    this.#startedAt = Number.isFinite(since) ? Math.min(since, Date.now()) : Date.now();
    this.#setStatus("running");
    clearInterval(this.#ticking);
    this.#ticking = setInterval(() => this.#tick(), TICK_MS);
    this.#tick();
  }

  #end() {
    clearInterval(this.#ticking);
    this.#prompt.replaceChildren();
    this.element.setAttribute("aria-busy", "false");
  }

  #tick() {
    const running = this.status === "running";
    if (!running && this.status !== "queued") return;
    const seconds = (Date.now() - this.#startedAt) / 1000;
    const state = running ? `running ${seconds < 0.5 ? "" : duration(seconds)}` : "queued";
    this.#status.textContent = this.#reconnecting ? `${state} · reconnecting…` : state;
  }

  /** @param {string} status @param {string} [words] */
  #setStatus(status, words = status) {
    this.status = status;
    this.element.dataset["status"] = status;
    this.element.setAttribute("aria-busy", String(status === "running" || status === "queued"));
    this.#status.textContent = words;
  }

  /** @param {Partial<Execution>} execution */
  #describe({ execution_count: count, language }) {
    const parts = [count ? `[${count}]` : "", language && language !== "python" ? language : ""];
    this.#count.textContent = parts.filter(Boolean).join(" ");
    this.element.ariaLabel = count ? `Cell ${count}` : "Cell";
  }

  /** @param {{prompt: string, password: boolean}} request */
  #ask({ prompt, password }) {
    const field = h("input", { type: password ? "password" : "text", autocomplete: "off", spellcheck: false });
    const send = h("button", { type: "submit", className: "quiet" }, "Send");
    const form = h("form", {}, h("label", {}, h("span", "mono", visible(prompt) || "Input"), field), send);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#answer(form, prompt, password, field.value);
    });
    this.#prompt.replaceChildren(form);
    field.focus();
  }

  /** @param {HTMLFormElement} form @param {string} prompt @param {boolean} password @param {string} value */
  async #answer(form, prompt, password, value) {
    try {
      form.inert = true;
      await this.#actions.answerInput(this.id ?? "", value);
      form.remove();
      // As notebooks do, the question and its answer stay readable where they were.
      this.apply({ id: null, type: "output.stream", data: { name: "stdin", text: `${prompt}${password ? "········" : value}\n` } });
    } catch (problem) {
      form.inert = false;
      form.querySelector(".problem")?.remove();
      form.append(problemNote(/** @type {ApiError} */ (problem)));
    }
  }
}
