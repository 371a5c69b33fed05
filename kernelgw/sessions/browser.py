"""What a browser runs: shown as a document in a frame, and recorded as an execution like any other.

No kernel has to do with it, so nothing of it waits for one. The document tells the page around it what happens inside:
`{"source": "kernelgw", "type": "console" | "error" | "ready", …}`, by `postMessage`.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..errors import SessionNotFound
from ..events.log import EventLog
from ..events.outputs import Outputs
from ..events.translate import Happening, weight
from . import notes
from .execution import Execution, Status
from .recorder import Recorder

if TYPE_CHECKING:
    from .history import History
    from .session import Session

HTML, CSS, JAVASCRIPT = "html", "css", "javascript"
# By the names that they go by.
LANGUAGES = MappingProxyType(
    {
        **dict.fromkeys(("html", "htm", "html5", "xhtml", "svg", "web"), HTML),
        "css": CSS,
        **dict.fromkeys(("browser", "browser-javascript", "javascript-browser", "js-browser"), JAVASCRIPT),
    }
)
ENGINE = "browser"
# In a history, where it is to be told from what Node runs.
TOLD_AS = MappingProxyType({HTML: HTML, CSS: CSS, JAVASCRIPT: "browser-javascript"})
TITLES = MappingProxyType({HTML: "HTML", CSS: "CSS", JAVASCRIPT: "JavaScript"})
# What stands before anything of a document's own that could be shown or run.
BEGINNING = re.compile(
    r"\s*(?:<!--(?:(?!-->)[\s\S])*-->\s*)*(?:<!doctype[^>]*>)?\s*(?:<!--(?:(?!-->)[\s\S])*-->\s*)*"
    r"(?:<html\b[^>]*>)?\s*(?:<!--(?:(?!-->)[\s\S])*-->\s*)*(?:<head\b[^>]*>)?",
    re.IGNORECASE,
)
CAPTURE = """<script>
(() => {
  const to = window.parent, longest = 10000;
  let left = 1000;
  const tell = (message) => {
    if (to === window || left < 0) return;
    if (left-- === 0) message = {type: "console", level: "warn", text: "what follows is not told any more"};
    to.postMessage({source: "kernelgw", ...message}, "*");
  };
  const seen = () => { const known = new WeakSet(); return (_, value) => {
    if (typeof value === "bigint") return `${value}n`;
    if (typeof value === "function") return `[Function ${value.name}]`;
    if (typeof value !== "object" || value === null) return value;
    if (known.has(value)) return "[Circular]";
    known.add(value);
    return value;
  }; };
  const text = (value) => {
    if (typeof value === "string") return value;
    try {
      if (value instanceof Error) return value.stack || String(value);
      if (value instanceof Node) return value.outerHTML || value.nodeName;
      if (typeof value === "object" && value !== null) return JSON.stringify(value, seen());
      return String(value);
    } catch { return Object.prototype.toString.call(value); }
  };
  for (const level of ["log", "info", "warn", "error", "debug"]) {
    const own = console[level].bind(console);
    console[level] = (...values) => {
      tell({type: "console", level, text: values.map(text).join(" ").slice(0, longest)});
      own(...values);
    };
  }
  const fault = (error, message, line, column) => tell({
    type: "error", name: String(error?.name ?? "Error").slice(0, 200),
    message: String(error?.message ?? message ?? error).slice(0, longest),
    stack: String(error?.stack ?? "").slice(0, longest), line: line ?? null, column: column ?? null,
  });
  addEventListener("error", (event) => {
    if (event.target !== window) tell({type: "error", name: "NotLoaded", stack: "", line: null, column: null,
      message: String(event.target.src || event.target.href || event.target.nodeName).slice(0, longest)});
    else fault(event.error, event.message, event.lineno, event.colno);
  }, true);
  addEventListener("unhandledrejection", (event) => fault(event.reason));
  addEventListener("load", () => tell({type: "ready"}));
})();
</script>
"""
# What a browser takes for the end of a script, wherever it stands in it.
SCRIPT_END = re.compile(r"<(?=/script|!--)", re.IGNORECASE)
STYLE_END = re.compile(r"<(?=/style)", re.IGNORECASE)
MODULE = re.compile(
    r"^[ \t]*(?:import\b(?![ \t]*\()|export\b|(?:(?:const|let|var)\b[^=\n]*=[ \t]*)?await\b)", re.MULTILINE
)
SAMPLE = """<h1>Heading</h1>
<p>A paragraph with <a href="#">a link</a>, <strong>strong</strong> and <em>emphasised</em> words.</p>
<div class="card container"><h2>Card</h2><p>Text</p><button class="button btn">Button</button></div>
<ul><li>One</li><li>Two</li></ul>
"""


def document(code: str, language: str) -> str:
    """A page of its own with the code in it, which tells what happens in it."""
    if language == CSS:
        style = STYLE_END.sub(r"\\3c ", code)
        return f'<!doctype html>\n<meta charset="utf-8">\n{CAPTURE}<style>\n{style}\n</style>\n{SAMPLE}'
    if language == JAVASCRIPT:
        script = SCRIPT_END.sub(r"\\x3c", code)
        kind = ' type="module"' if _is_module(code) else ""
        body = f'<div id="root"></div>\n<script{kind}>\n{script}\n</script>\n'
        return f'<!doctype html>\n<meta charset="utf-8">\n{CAPTURE}<body>\n{body}'
    beginning = BEGINNING.match(code)
    place = beginning.end() if beginning is not None else 0
    return code[:place] + CAPTURE + code[place:]


def _is_module(code: str) -> bool:
    """`import`, `export` and a bare `await` are understood in modules only; in those `this` and `var` are others."""
    return MODULE.search(code) is not None


def shown(code: str, language: str) -> Happening:
    html = document(code, language)
    plain = f"[{TITLES[language]} document, {len(code.encode()):,} bytes; a browser shows it]"
    metadata = {"text/html": {"isolated": True}, "kernelgw": {"engine": ENGINE, "language": language}}
    data: dict[str, Any] = {"data": {"text/html": html, "text/plain": plain}, "metadata": metadata}
    return Happening("output.display", data, weight(html) + weight(plain))


def show(session: Session, code: str, language: str) -> Execution:
    """In a session: no kernel of it has to do with it, and nothing waits. Raises SessionNotFound."""
    if session.log.closed:
        raise SessionNotFound(f"The session {session.id!r} was ended.")
    session.touch()
    return record(code, language, session.id, session.log, session.plan.output_bytes, session.history)


def record(
    code: str, language: str, session_id: str, log: EventLog, output_bytes: int, history: History | None = None
) -> Execution:
    """An execution that begins and ends now, with its events. `language`: of those that LANGUAGES leads to."""
    execution = Execution(session_id, code, TOLD_AS[language], Outputs(output_bytes), kernel=ENGINE)
    log.note(notes.queued(execution))
    if history is not None:
        history.add(execution)
    execution.start()
    execution.first_seq = log.last + 1
    log.append("execution.started", execution.as_begun() | {"engine": ENGINE}, execution.id, weight(code))
    Recorder(log).output(execution, shown(code, language))
    execution.finish(Status.COMPLETED)
    if history is not None:
        history.completed(execution)
    event = log.append("execution.completed", execution.summary(), execution.id, execution.summary_size)
    execution.last_seq = event.seq
    log.flush()
    return execution
