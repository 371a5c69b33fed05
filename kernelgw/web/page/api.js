/** The gateway's HTTP door as this page uses it: JSON calls, and event streams that resume. */

import { readEvents } from "./sse.js";

/** @typedef {import("./sse.js").ServerEvent} ServerEvent */
/**
 * @typedef {object} Execution  an execution object; `code` is there in a history
 * @property {string} id
 * @property {string} status
 * @property {string} [code]
 * @property {string} [language]
 * @property {number | null} [execution_count]
 * @property {any[]} [outputs]
 * @property {any} [error]
 * @property {string | null} [started_at]
 * @property {number | null} [duration_s]
 * @property {boolean} [state_lost]
 * @property {any[]} [artifacts]
 */

/** What went wrong with a call, in the server's words where it gave some. */
export class ApiError extends Error {
  /** @param {{code: string, message: string, hint?: string | null, status?: number}} problem */
  constructor({ code, message, hint = null, status = 0 }) {
    super(message);
    this.code = code;
    this.hint = hint ?? null;
    this.status = status;
  }

  /** Worth trying again: nobody answered, or only a proxy in front of the gateway did. */
  get isConnectionLoss() {
    return this.status === 0 || [502, 503, 504].includes(this.status);
  }
}

const unreachable = () =>
  new ApiError({ code: "unreachable", message: "The gateway cannot be reached.", hint: "Is it still running?" });

/** @param {Response} response */
async function errorOf(response) {
  const status = response.status;
  const body = await response.json().catch(() => null);
  const error = body?.error;
  if (error && typeof error === "object") return new ApiError({ ...error, status });
  const message = typeof error === "string" ? error : `The gateway answered ${status} ${response.statusText}`.trim();
  return new ApiError({ code: `http_${status}`, message, status });
}

const RETRY_MS = [300, 1000, 2000, 4000, 8000];

/** Ends early when the network comes back or the signal aborts. @param {number} ms @param {AbortSignal} signal */
function pause(ms, signal) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      signal.removeEventListener("abort", done);
      resolve(undefined);
    };
    const timer = setTimeout(done, ms);
    addEventListener("online", done);
    signal.addEventListener("abort", done);
  });
}

export class Api {
  #token = /** @type {() => string | null} */ (() => null);
  #authenticate = /** @type {(refused: boolean) => Promise<void>} */ (async () => {});

  /**
   * @param {object} access
   * @param {() => string | null} access.token
   * @param {(refused: boolean) => Promise<void>} access.authenticate  asks for a token; resolves when there is a new one
   */
  constructor({ token, authenticate }) {
    this.#token = token;
    this.#authenticate = authenticate;
  }

  /** @param {string} session @returns {Promise<Execution[]>} oldest first; none for a session that does not exist yet */
  async history(session) {
    try {
      const response = await this.#fetch(`${sessionPath(session)}/history`);
      return (await response.json()).executions ?? [];
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return [];
      throw error;
    }
  }

  /** @param {string} session */
  async interrupt(session) {
    await this.#post(`${sessionPath(session)}/interrupt`, {});
  }

  /** @param {string} session */
  async restart(session) {
    await this.#post(`${sessionPath(session)}/restart`, {});
  }

  /** @param {string} session @param {string} execution @param {string} value */
  async answerInput(session, execution, value) {
    await this.#post(`${executionPath(session, execution)}/input`, { value });
  }

  /** A stored output. Other hosts never see the token. @param {string} url */
  async blob(url) {
    const response = await this.#fetch(url);
    return response.blob();
  }

  /**
   * Runs code, or joins an execution that is under way, and yields its events exactly once
   * each up to `execution.completed`, over as many connections as that takes.
   * @param {string} session
   * @param {{code: string, language?: string} | {id: string}} what
   * @param {{signal: AbortSignal, onLink?: (link: "live" | "reconnecting") => void}} options
   * @returns {AsyncGenerator<ServerEvent>}
   */
  async *execution(session, what, { signal, onLink = () => {} }) {
    let id = "id" in what ? what.id : null;
    let last = /** @type {string | null} */ (null);
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        const response = id === null ? await this.#start(session, what, signal) : await this.#resume(session, id, last, signal);
        onLink("live");
        for await (const event of readEvents(/** @type {ReadableStream<Uint8Array>} */ (response.body))) {
          attempt = 0;
          if (event.id !== null && last !== null && Number(event.id) <= Number(last)) continue;
          last = event.id ?? last;
          id ??= event.data.execution_id ?? null;
          yield event;
          if (event.type === "execution.completed") return;
        }
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ApiError && (id === null || !error.isConnectionLoss)) throw error;
      }
      if (id === null) throw lostBeforeStart();
      onLink("reconnecting");
      await pause(RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)] ?? 0, signal);
    }
  }

  /** @param {string} session @param {object} what @param {AbortSignal} signal */
  #start(session, what, signal) {
    const body = { ...what, stdin: true };
    return this.#post(`${sessionPath(session)}/executions`, body, { signal, headers: { Accept: "text/event-stream" } });
  }

  /** @param {string} session @param {string} id @param {string | null} last @param {AbortSignal} signal */
  #resume(session, id, last, signal) {
    /** @type {Record<string, string>} */
    const headers = { Accept: "text/event-stream" };
    if (last !== null) headers["Last-Event-ID"] = last;
    return this.#fetch(`${executionPath(session, id)}/events`, { signal, headers });
  }

  /** @param {string} path @param {object} body @param {RequestInit} [init] */
  #post(path, body, init = {}) {
    const headers = { "Content-Type": "application/json", ...init.headers };
    return this.#fetch(path, { ...init, method: "POST", headers, body: JSON.stringify(body) });
  }

  /**
   * @param {string} path  relative, so that the page also works below a path prefix
   * @param {RequestInit} [init]
   * @returns {Promise<Response>} always an ok one
   */
  async #fetch(path, init = {}) {
    const url = new URL(path, document.baseURI);
    for (;;) {
      const token = this.#token();
      const headers = new Headers(init.headers);
      if (token && url.origin === location.origin) headers.set("Authorization", `Bearer ${token}`);
      const response = await fetch(url, { ...init, headers, cache: "no-store" }).catch(() => {
        throw unreachable();
      });
      if (response.ok) return response;
      if (response.status !== 401) throw await errorOf(response);
      await this.#authenticate(token !== null);
    }
  }
}

/** @param {string} session */
const sessionPath = (session) => `v1/sessions/${encodeURIComponent(session)}`;

/** @param {string} session @param {string} id */
const executionPath = (session, id) => `${sessionPath(session)}/executions/${encodeURIComponent(id)}`;

const lostBeforeStart = () =>
  new ApiError({
    code: "connection_lost",
    message: "The connection was lost before the gateway confirmed the run.",
    hint: "It may have run all the same: reload the page to see.",
  });
