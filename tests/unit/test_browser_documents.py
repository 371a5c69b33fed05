"""Documents for a browser: where the script stands that tells what happens in them, and what stays as it was."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest

from kernelgw.sessions.browser import CAPTURE, document, shown


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "<p>Hi</p>"),
        ("<!DOCTYPE html>", "<p>Hi</p>"),
        ('<!doctype html>\n<html lang="en">\n<head>', "<title>x</title></head><body></body></html>"),
        ("<!-- <head> -->\n<!doctype html><html><!-- x --><head data-a='1'>", "</head>"),
        ("<html>", "<body><head></body>"),
        ("", "<svg><circle r='1'/></svg>"),
    ],
)
def test_the_script_comes_first_and_nothing_is_changed(before: str, after: str) -> None:
    found = document(before + after, "html")
    place = found.index(CAPTURE)
    assert found[:place].strip() == before.strip()
    assert found.replace(CAPTURE, "") == before + after


def test_css_is_shown_on_a_page_and_cannot_leave_its_element() -> None:
    found = document("h1 { color: red } /* </style><script>alert(1)</script> */", "css")
    assert found.count("</style>") == 1
    assert "h1 { color: red }" in found
    assert "<h1>" in found


def test_javascript_cannot_end_its_element() -> None:
    found = document("document.body.innerHTML = '<b></script><!-- x';", "javascript")
    assert found.count("</script>") == 2
    assert "<!--" not in found
    assert r"'<b>\x3c/script>\x3c!-- x'" in found


@pytest.mark.parametrize(
    ("code", "module"),
    [
        *(("const x = 1;", False), ("import('x')", False), ("// import x", False), ("async () => { x }", False)),
        *(
            ("import x from 'y';", True),
            ("export const a = 1", True),
            ("await f()", True),
            ("const a = await f()", True),
        ),
    ],
)
def test_modules_are_known(code: str, module: bool) -> None:
    assert ('<script type="module">' in document(code, "javascript")) is module


def test_an_output_says_that_it_is_for_a_frame() -> None:
    happening = shown("<p>ü</p>", "html")
    assert happening.data["metadata"] == {
        "text/html": {"isolated": True},
        "kernelgw": {"engine": "browser", "language": "html"},
    }
    assert "9 bytes" in happening.data["data"]["text/plain"]


STAGE = """
const told = [];
const handlers = {};
globalThis.window = globalThis;
globalThis.Node = class {};
globalThis.addEventListener = (name, f) => (handlers[name] = f);
globalThis.parent = { postMessage: (message, target) => told.push([message, target]) };
const out = console.log;
for (const level of ["log", "info", "warn", "error", "debug"]) console[level] = () => {};
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node here")
def test_what_the_script_tells() -> None:
    script = re.search(r"<script>([\s\S]*)</script>", CAPTURE)
    assert script is not None
    acts = """
    console.log("a", 1, {b: [1n]}, null, undefined);
    const ring = {}; ring.ring = ring; console.warn(ring);
    console.error(new TypeError("bad"));
    console.info("x".repeat(20000));
    handlers.error({target: globalThis, error: new RangeError("far"), message: "m", lineno: 3, colno: 4});
    handlers.error({target: {src: "http://x/y.js"}});
    handlers.unhandledrejection({reason: "no"});
    handlers.load();
    for (let i = 0; i < 2000; i++) console.debug(i);
    out(JSON.stringify(told));
    """
    done = subprocess.run(["node", "-e", STAGE + script[1] + acts], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert all(message["source"] == "kernelgw" and target == "*" for message, target in told)
    messages = [{key: value for key, value in message.items() if key != "source"} for message, _ in told]
    assert messages[0] == {"type": "console", "level": "log", "text": 'a 1 {"b":["1n"]} null undefined'}
    assert messages[1] == {"type": "console", "level": "warn", "text": '{"ring":"[Circular]"}'}
    assert messages[2]["text"].startswith("TypeError: bad\n")
    assert len(messages[3]["text"]) == 10_000
    assert {**messages[4], "stack": ""} == {
        **{"type": "error", "name": "RangeError", "message": "far", "stack": "", "line": 3, "column": 4}
    }
    assert (messages[5]["name"], messages[5]["message"]) == ("NotLoaded", "http://x/y.js")
    assert messages[6]["message"] == "no"
    assert messages[7] == {"type": "ready"}
    assert len(messages) == 1001
    assert messages[-1]["text"] == "what follows is not told any more"
