/** One output → one element. */

import { h, hintNote, fileSize, button } from "./dom.js";
import { joined } from "./outputs.js";
import { TextView, textBlock } from "./text-view.js";
import { htmlFrame } from "./frame.js";
import { jsonTree } from "./json-tree.js";
import { markdown } from "./markdown.js";

/**
 * @typedef {import("./outputs.js").Item} Item
 * @typedef {import("./outputs.js").MimeBundle} MimeBundle
 * @typedef {import("./outputs.js").ArtifactOutput} ArtifactOutput
 * @typedef {(url: string) => Promise<Blob>} FetchBlob
 * @typedef {object} View
 * @property {Element} element
 * @property {() => void} [update]  shows what changed, once the element is on the page; without it the view is made anew
 */

/** Bigger pictures wait to be asked for. */
const MAX_PICTURE_BYTES = 20_000_000;
/** Longer Markdown is shown as it was written: nobody reads that much, and parsing would block. */
const MAX_MARKDOWN = 200_000;

const PICTURES = ["image/png", "image/jpeg", "image/gif", "image/webp"];
const CHART = /^application\/vnd\.(?:plotly\.v\d+|vega(?:lite)?\.v\d+(?:\.\d+)*)\+json$/;

/** @param {Item} item @param {FetchBlob} fetchBlob @returns {View} */
export function render(item, fetchBlob) {
  switch (item.kind) {
    case "stream": {
      const view = new TextView(item.text, item.name, `stream ${item.name === "stderr" ? "stderr" : "stdout"}`, true);
      return { element: view.element, update: () => view.update() };
    }
    case "error":
      return { element: error(item) };
    case "note":
      return { element: h("p", "lost", item.text) };
    case "artifact":
      return { element: artifact(item, fetchBlob) };
    case "preview":
      return { element: preview(item) };
    default:
      return { element: bundle(item.data, item.metadata) };
  }
}

/** @param {import("./outputs.js").ErrorOutput} output */
function error({ name, value, traceback, hint }) {
  const text = traceback.length ? traceback.join("\n") : `${name}: ${value}`;
  return h("div", "error", textBlock(text, "error", traceback.length ? "traceback" : "traceback single"), hint ? hintNote(hint) : null);
}

/** The richest form of a display that this page can show. @param {MimeBundle} data @param {any} metadata */
function bundle(data, metadata) {
  const has = (/** @type {string} */ type) => data[type] !== undefined && data[type] !== null;
  const text = (/** @type {string} */ type) => joined(data[type]);
  if (has("text/html") && text("text/html").trim() !== "") return htmlFrame(text("text/html"));
  const alt = text("text/plain");
  if (has("image/svg+xml")) return picture(new Blob([text("image/svg+xml")], { type: "image/svg+xml" }), alt, metadata["image/svg+xml"]);
  const pictureType = PICTURES.find(has);
  if (pictureType) return picture(fromBase64(text(pictureType), pictureType), alt, metadata[pictureType]);
  if (has("text/markdown") && text("text/markdown").length <= MAX_MARKDOWN) return markdown(text("text/markdown"));
  if (has("text/markdown")) return textBlock(text("text/markdown"), "Markdown source", "plain single");
  if (has("text/latex")) return textBlock(text("text/latex"), "LaTeX source", "latex");
  if (has("application/json")) return jsonTree(data["application/json"]);
  const chart = Object.keys(data).find((type) => CHART.test(type));
  if (chart) return chartNote(chart, data[chart], alt);
  if (has("text/plain")) return textBlock(alt, "result", alt.trimEnd().includes("\n") ? "plain" : "plain single");
  return h("p", "note", `This page has no way to show ${Object.keys(data).join(", ") || "an empty output"}.`);
}

/**
 * SVG too goes through an image element, where its scripts do not run and it loads nothing.
 * @param {Blob} blob
 * @param {string} alt
 * @param {{width?: number, height?: number}} [size]
 */
function picture(blob, alt, size = {}) {
  const url = URL.createObjectURL(blob);
  const image = h("img", { className: "picture", alt: alt || "Picture", decoding: "sync" });
  if (size.width) image.width = size.width;
  if (size.height) image.height = size.height;
  image.addEventListener("error", () => image.replaceWith(h("p", "note", `This ${blob.type} picture cannot be shown.`)));
  image.src = url;
  return image;
}

/** @param {string} base64 @param {string} type */
function fromBase64(base64, type) {
  try {
    const binary = atob(base64);
    return new Blob([Uint8Array.from(binary, (char) => char.charCodeAt(0))], { type });
  } catch {
    return new Blob([], { type });
  }
}

/** @param {string} type @param {any} spec @param {string} plain */
function chartNote(type, spec, plain) {
  const maker = type.includes("plotly") ? "Plotly" : "Vega";
  return h(
    "div",
    "chart",
    h("p", "note", `An interactive ${maker} chart. This plain page shows its description; a chart component can draw it.`),
    jsonTree(spec, { open: false }),
    plain ? textBlock(plain, "text form", "plain") : null,
  );
}

/** @param {ArtifactOutput} file @param {FetchBlob} fetchBlob */
function artifact({ name, type, size, url }, fetchBlob) {
  const facts = [type, size === null ? "" : fileSize(size)].filter(Boolean).join(", ");
  const row = h("div", "file", h("span", "name", name), h("span", "note", facts));
  const box = h("div", "artifact", row);
  if (url === null) return box;
  const failed = (/** @type {Error} */ problem) => box.append(h("p", "note", `Not loaded: ${problem.message}`));
  row.append(button("Download", () => void fetchBlob(url).then((blob) => save(blob, name), failed)));
  if (type.startsWith("image/") && (size ?? 0) <= MAX_PICTURE_BYTES) {
    fetchBlob(url).then((blob) => box.prepend(picture(new Blob([blob], { type }), name)), failed);
  }
  return box;
}

/** @param {Blob} blob @param {string} name */
function save(blob, name) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** @param {import("./outputs.js").PreviewOutput} output */
function preview({ port, url }) {
  const target = new URL(url, document.baseURI);
  const known = target.protocol === "http:" || target.protocol === "https:";
  const link = h("a", { className: "quiet", href: known ? target.href : "#", target: "_blank", rel: "noopener noreferrer" }, "Open");
  return h("div", "file", h("span", "name", `Web page on port ${port}`), h("span", "note", target.host), known ? link : null);
}

/** Frees what an element that leaves the page still holds. @param {Element} element */
export function release(element) {
  const images = element.matches("img") ? [element] : element.querySelectorAll("img");
  for (const image of images) URL.revokeObjectURL(image.getAttribute("src") ?? "");
}
