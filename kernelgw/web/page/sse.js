/**
 * Server-sent events from a fetch body. EventSource can neither POST nor send an
 * Authorization header, so the format is read here.
 *
 * @typedef {{id: string | null, type: string, data: any}} ServerEvent
 */

/** Feed it decoded text in any pieces; it returns the events that became whole. */
export class SseParser {
  #buffer = "";
  #searched = 0;
  #type = "";
  #data = /** @type {string[]} */ ([]);
  #id = /** @type {string | null} */ (null);

  /** @param {string} text @returns {ServerEvent[]} */
  push(text) {
    this.#buffer += text;
    const events = [];
    let start = 0;
    // Searching goes on where it stopped: one event may be megabytes over many pieces.
    let end = this.#buffer.indexOf("\n", this.#searched);
    while (end !== -1) {
      const stop = this.#buffer[end - 1] === "\r" && end > start ? end - 1 : end;
      const event = this.#line(this.#buffer.slice(start, stop));
      if (event) events.push(event);
      start = end + 1;
      end = this.#buffer.indexOf("\n", start);
    }
    this.#buffer = this.#buffer.slice(start);
    this.#searched = this.#buffer.length;
    return events;
  }

  /** @param {string} line @returns {ServerEvent | null} */
  #line(line) {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) return null;
    const field = colon === -1 ? line : line.slice(0, colon);
    let value = colon === -1 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#type = value;
    else if (field === "id") this.#id = value;
    return null;
  }

  #dispatch() {
    const type = this.#type || "message";
    const data = this.#data.join("\n");
    this.#type = "";
    this.#data = [];
    return data === "" ? null : { id: this.#id, type, data: JSON.parse(data) };
  }
}

/** A proxy may keep a dead connection open; the server comments every 15 s. */
const SILENCE_MS = 45_000;

/**
 * The events of one response, until it ends or breaks.
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<ServerEvent>}
 */
export async function* readEvents(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new SseParser();
  try {
    for (;;) {
      const { done, value } = await withinSilence(reader.read());
      if (done) return;
      yield* parser.push(decoder.decode(value, { stream: true }));
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** @template T @param {Promise<T>} promise @returns {Promise<T>} */
function withinSilence(promise) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new TypeError("silent connection")), SILENCE_MS);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
