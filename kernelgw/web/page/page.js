/** The page: wires the session, the composer and the buttons to each other. */

import { Api } from "./api.js";
import { Composer } from "./composer.js";
import { byId, problemNote, button } from "./dom.js";
import { Session } from "./session.js";
import { takeTokenFromAddress, currentToken, askForToken } from "./token.js";

/** @typedef {import("./api.js").ApiError} ApiError */

const EXAMPLES = {
  "Text": 'name = "world"\nprint(f"Hello, {name}!")',
  "A table": 'import pandas as pd\n\npd.DataFrame({"city": ["Lima", "Oslo", "Pune"], "°C": [19.5, 4.2, 27.1]})',
  "A picture": "import numpy as np\nimport matplotlib.pyplot as plt\n\nx = np.linspace(0, 10, 400)\nplt.plot(x, np.sin(x) * np.exp(-x / 5))\nplt.show()",
  "An error": "prices = {\"tea\": 3}\nprices[\"coffee\"]",
};

const cells = byId("cells", HTMLOListElement);
const stopButton = byId("stop", HTMLButtonElement);
const restartButton = byId("restart", HTMLButtonElement);
const restartDialog = byId("restart-dialog", HTMLDialogElement);
const welcome = byId("welcome", HTMLElement);
const problems = byId("problems", HTMLElement);
const live = byId("live", HTMLElement);

takeTokenFromAddress();
const api = new Api({ token: currentToken, authenticate: askForToken });
const composer = new Composer(byId("code", HTMLTextAreaElement), (code) => {
  problems.replaceChildren();
  followEnd = true;
  session.run(code);
});
/** @type {Session} */
let session;

function sessionFromAddress() {
  const id = new URLSearchParams(location.hash.slice(1)).get("s") ?? "";
  return /^[A-Za-z0-9._-]{1,128}$/.test(id) ? id : null;
}

function newSessionId() {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return `page-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

async function open() {
  let id = sessionFromAddress();
  if (id === null) {
    id = newSessionId();
    history.replaceState(history.state, "", `#s=${id}`);
  }
  if (session?.id === id) return;
  session?.close();
  problems.replaceChildren();
  const opened = new Session(id, api, cells, { onChange, announce, report, reuse: (code) => composer.set(code) });
  session = opened;
  followEnd = true;
  byId("session-id", HTMLElement).textContent = id;
  onChange();
  welcome.hidden = true;
  await opened.load();
  if (session !== opened) return;
  onChange();
  composer.setPast(opened.codes);
}

function onChange() {
  const empty = session.cells.length === 0;
  welcome.hidden = !empty;
  restartButton.disabled = empty;
  stopButton.hidden = !session.busy;
  document.title = session.busy ? "Running… · kernelgw" : "kernelgw";
}

/** @param {string} text */
function announce(text) {
  live.textContent = text;
}

/** @param {ApiError} problem */
function report(problem) {
  const note = problemNote(problem);
  note.append(button("Dismiss", () => note.remove()));
  problems.replaceChildren(note);
}

/** The page follows new outputs for as long as its end is in sight. */
let followEnd = true;
const scroller = document.scrollingElement ?? document.documentElement;
addEventListener("scroll", () => (followEnd = scroller.scrollTop + innerHeight >= scroller.scrollHeight - 60), { passive: true });
new ResizeObserver(() => followEnd && scroller.scrollTo({ top: scroller.scrollHeight })).observe(cells);

byId("run", HTMLButtonElement).onclick = () => composer.submit();
stopButton.onclick = () => void session.stop();
byId("new-session", HTMLButtonElement).onclick = () => {
  location.hash = `s=${newSessionId()}`;
  composer.focus();
};
restartButton.onclick = () => restartDialog.showModal();
restartDialog.addEventListener("close", () => {
  if (restartDialog.returnValue === "restart") void session.restart();
  restartDialog.returnValue = "";
});
addEventListener("hashchange", () => void open());
addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing || document.querySelector("dialog[open]")) return;
  if (session.busy) void session.stop();
});
byId("examples", HTMLElement).append(
  ...Object.entries(EXAMPLES).map(([label, code]) => button(label, () => composer.set(code), "quiet example")),
);
void open();
