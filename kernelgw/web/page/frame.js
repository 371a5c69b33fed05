/** HTML made by code, in a frame that has no origin, no network and no way to this page. */

import { h } from "./dom.js";

const MAX_HEIGHT = 720;
/** A document that fills its window has no height of its own; this is what it gets. */
const DOCUMENT_HEIGHT = 420;

/** Whole documents choose colours for white paper; fragments take ours. @param {string} html */
const isDocument = (html) => /^\s*(?:<!--[^]*?-->\s*)*<(?:!doctype|html|head|body)\b/i.test(html);

/** @param {string} html */
export function htmlFrame(html) {
  const sheet = isDocument(html);
  const frame = h("iframe", { className: sheet ? "html sheet" : "html", title: "HTML output", referrerPolicy: "no-referrer", loading: "lazy" });
  frame.setAttribute("sandbox", "allow-scripts");
  frame.style.height = `${sheet ? DOCUMENT_HEIGHT : 24}px`;
  frame.src = new URL("frame.html", import.meta.url).href;
  // The frame's origin is opaque, so the target origin cannot be named.
  frame.addEventListener("load", () => frame.contentWindow?.postMessage({ type: "show", html, sheet }, "*"), { once: true });
  return frame;
}

addEventListener("message", (event) => {
  const height = event.data?.type === "height" ? Number(event.data.height) : NaN;
  if (!Number.isFinite(height)) return;
  for (const frame of document.querySelectorAll("iframe")) {
    // Whoever holds a window can post to it: a frame may only speak of itself.
    if (frame.contentWindow !== event.source) continue;
    frame.style.height = `${Math.min(MAX_HEIGHT, Math.max(1, height))}px`;
  }
});
