/** Keeps the elements of one cell's outputs equal to its Outputs, at most once a frame. */

import { h } from "./dom.js";
import { render, release } from "./render.js";

/** @typedef {import("./outputs.js").Outputs} Outputs */
/** @typedef {import("./render.js").View} View */

/** After a clear, new pictures need a moment to load; collapsing in between would make the page jump. */
const SETTLE_MS = 200;

export class OutputsView {
  #outputs;
  #fetchBlob;
  /** @type {Map<number, View & {version: number}>} */
  #views = new Map();
  #note = h("p", { className: "note", hidden: true });
  #list = h("div", "outputs-list");
  #scheduled = false;
  element = h("div", "outputs", this.#note, this.#list);

  /** @param {Outputs} outputs @param {import("./render.js").FetchBlob} fetchBlob */
  constructor(outputs, fetchBlob) {
    this.#outputs = outputs;
    this.#fetchBlob = fetchBlob;
  }

  /** Something in the outputs may have changed. Shown in the next frame, so the cell is on the page by then. */
  changed() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#sync();
    });
  }

  #sync() {
    const { items, dropped } = this.#outputs;
    this.#removeAllBut(new Set(items.map((item) => item.key)));
    for (const item of items) {
      const view = this.#views.get(item.key);
      if (view?.version === item.version) continue;
      if (view?.update) view.update();
      else this.#place(item, view);
      /** @type {any} */ (this.#views.get(item.key)).version = item.version;
    }
    this.#note.hidden = dropped === 0;
    this.#note.textContent = `${dropped.toLocaleString("en")} earlier outputs are kept on the server`;
  }

  /** New items only ever come last. @param {import("./outputs.js").Item} item @param {View} [old] */
  #place(item, old) {
    const view = this.#render(item);
    this.#views.set(item.key, { ...view, version: item.version });
    if (old) {
      this.#holdHeight();
      release(old.element);
      old.element.replaceWith(view.element);
    } else this.#list.append(view.element);
    view.update?.();
  }

  /** One output that cannot be shown must not take the others with it. @param {import("./outputs.js").Item} item @returns {View} */
  #render(item) {
    try {
      return render(item, this.#fetchBlob);
    } catch (error) {
      return { element: h("p", "note", `This output could not be shown: ${error}`) };
    }
  }

  /** @param {Set<number>} keys */
  #removeAllBut(keys) {
    for (const [key, view] of this.#views) {
      if (keys.has(key)) continue;
      this.#holdHeight();
      release(view.element);
      view.element.remove();
      this.#views.delete(key);
    }
  }

  #holdHeight() {
    if (this.#list.style.minHeight !== "") return;
    this.#list.style.minHeight = `${this.#list.offsetHeight}px`;
    setTimeout(() => (this.#list.style.minHeight = ""), SETTLE_MS);
  }
}
