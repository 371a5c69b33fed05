/**
 * The outputs of one execution, kept as a notebook would keep them: in order, pieces of one
 * stream merged, displays updated in place, clear_output obeyed. Knows nothing of the DOM.
 */

import { AnsiText } from "./ansi.js";

/**
 * @typedef {{[type: string]: any}} MimeBundle
 * @typedef {{kind: "stream", name: string, text: AnsiText}} StreamOutput
 * @typedef {{kind: "display", data: MimeBundle, metadata: any, displayId: string | null}} DisplayOutput
 * @typedef {{kind: "error", name: string, value: string, traceback: string[], hint: string | null}} ErrorOutput
 * @typedef {{kind: "artifact", id: string, name: string, type: string, size: number | null, url: string | null}} ArtifactOutput
 * @typedef {{kind: "preview", port: number, url: string}} PreviewOutput
 * @typedef {{kind: "note", text: string}} NoteOutput  the gateway speaking
 * @typedef {NoteOutput | StreamOutput | DisplayOutput | ErrorOutput | ArtifactOutput | PreviewOutput} Output
 * @typedef {Output & {key: number, version: number}} Item  `key` is its identity; `version` grows when it changes
 */

/** More outputs than this in one cell make a page slow; the first ones go. */
const MAX_ITEMS = 1000;

export class Outputs {
  /** @type {Item[]} */
  items = [];
  /** How many were left out above the first kept one. */
  dropped = 0;
  #nextKey = 0;
  #clearBeforeNext = false;

  /** @param {string} type an SSE event type; those that are no output are ignored @param {any} data */
  apply(type, data) {
    if (type === "output.stream") this.#stream(data.name, joined(data.text));
    else if (type === "output.display" || type === "output.result") this.#add(display(data));
    else if (type === "output.update") this.update(data);
    else if (type === "output.clear") this.#clear(Boolean(data.wait));
    else if (type === "output.error") this.#add(failure(data));
    else if (type === "artifact.created") this.#artifact(data);
    else if (type === "session.state") this.#note(data.reason);
    else if (type === "stream.gap") this.#note(`Some output before this is no longer kept: ${data.reason}.`);
    else if (type === "preview.ready") this.#add({ kind: "preview", port: data.port, url: data.url });
  }

  /** Changes the displays of that id, wherever they are; a session's cells all hear of it. @param {any} data */
  update(data) {
    const displayId = displayIdOf(data);
    for (const item of this.items) {
      if (item.kind !== "display" || displayId === null || item.displayId !== displayId) continue;
      Object.assign(item, { data: data.data ?? {}, metadata: data.metadata ?? {} });
      item.version += 1;
    }
  }

  /**
   * What the finished execution object says beyond its events or outputs.
   * @param {{error?: any, artifacts?: any[]}} execution
   */
  complete({ error, artifacts = [] }) {
    for (const artifact of artifacts) if (artifact?.url) this.#artifact(artifact);
    if (!error) return;
    const shown = this.items.findLast((item) => item.kind === "error");
    if (!shown) this.#add(failure(error));
    else if (!shown.hint && error.hint) Object.assign(shown, { hint: error.hint, version: shown.version + 1 });
  }

  /** @param {{outputs?: any[], error?: any, artifacts?: any[]}} execution */
  static of(execution) {
    const outputs = new Outputs();
    for (const output of execution.outputs ?? []) outputs.apply(eventType(output.output_type), output);
    outputs.complete(execution);
    return outputs;
  }

  /** @param {string} name @param {string} text */
  #stream(name, text) {
    if (text === "") return;
    const last = this.#clearBeforeNext ? undefined : this.items.at(-1);
    if (last?.kind === "stream" && last.name === name) {
      last.text.write(text);
      last.version += 1;
    } else this.#add({ kind: "stream", name, text: new AnsiText(text) });
  }

  /** @param {string | undefined} text */
  #note(text) {
    if (text) this.#add({ kind: "note", text });
  }

  /** @param {any} data */
  #artifact({ id, name, type, size, url }) {
    if (this.items.some((item) => item.kind === "artifact" && item.id === id)) return;
    this.#add({ kind: "artifact", id, name: name ?? id, type: type ?? "", size: size ?? null, url: url ?? null });
  }

  /** @param {boolean} wait */
  #clear(wait) {
    this.#clearBeforeNext = wait;
    if (!wait) [this.items, this.dropped] = [[], 0];
  }

  /** @param {Output} output */
  #add(output) {
    if (this.#clearBeforeNext) this.#clear(false);
    this.items.push({ ...output, key: this.#nextKey++, version: 0 });
    if (this.items.length <= MAX_ITEMS) return;
    this.items.shift();
    this.dropped += 1;
  }
}

/** nbformat's word for an output → the event that made it. @param {string} outputType */
function eventType(outputType) {
  if (outputType === "stream" || outputType === "error") return `output.${outputType}`;
  return "output.display";
}

/** @param {any} data @returns {DisplayOutput} */
function display(data) {
  return { kind: "display", data: data.data ?? {}, metadata: data.metadata ?? {}, displayId: displayIdOf(data) };
}

/** Events say name and value, nbformat ename and evalue. @param {any} data @returns {ErrorOutput} */
function failure(data) {
  return {
    kind: "error",
    name: data.name ?? data.ename ?? "Error",
    value: data.value ?? data.evalue ?? "",
    traceback: data.traceback ?? [],
    hint: data.hint ?? null,
  };
}

/** @param {any} data @returns {string | null} */
const displayIdOf = (data) => data.display_id ?? data.transient?.display_id ?? null;

/** nbformat files may keep text as a list of lines. @param {string | string[] | undefined} text */
export const joined = (text) => (Array.isArray(text) ? text.join("") : (text ?? ""));
