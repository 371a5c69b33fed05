"""Much of it: text in order, and code."""

from __future__ import annotations

import pytest

from .client import House, Session, displays, merged, text

pytestmark = pytest.mark.live


@pytest.fixture
def js(house: House) -> Session:
    return house.session(language="javascript")


def test_megabytes_of_lines_in_order(js: Session) -> None:
    lines = 60_000
    code = f"for (let n = 0; n < {lines}; n++) console.log(`line ${{n}} ${{'x'.repeat(60)}}`)"
    events = js.events(code)
    out = "".join(event.data["text"] for event in events if event.type == "output.stream")
    assert len(out) > 4_000_000
    assert out.splitlines() == [f"line {n} {'x' * 60}" for n in range(lines)]


def test_one_large_text(js: Session) -> None:
    events = js.events("process.stdout.write('é'.repeat(2_000_000)); console.log('end')")
    out = "".join(event.data["text"] for event in events if event.type == "output.stream")
    assert out == "é" * 2_000_000 + "end\n"


def test_order_of_streams_and_displays(js: Session) -> None:
    events = js.events("""
        for (let n = 0; n < 50; n++) {
          console.log(n);
          console.error(n);
          display.text(String(n));
          if (n % 10 === 0) require('child_process').execSync(`echo child ${n}`, {stdio: 'inherit'});
        }
    """)
    told = []
    for event in merged(events):
        if event.type == "output.stream":
            told.append(event.data["name"])
        elif event.type == "output.display":
            told.append(event.data["data"]["text/plain"])
    expected: list[str] = []
    for n in range(50):
        expected += ["stdout", "stderr", str(n)]
        if n % 10 == 0:
            expected.append("stdout")
    # What the child wrote and what is printed next are one text.
    assert told == [name for k, name in enumerate(expected) if not (name == "stdout" and expected[k - 1] == "stdout")]


def test_five_megabytes_of_code(js: Session) -> None:
    code = "globalThis.total = (globalThis.total ?? 0) + 1; // " + "x" * 60 + "\n"
    count = (5 << 20) // len(code) + 1
    body = code * count + "import {sep} from 'path'\nconsole.log(total, sep)"
    assert len(body) > 5 << 20
    assert text(js.run(body)) == f"{count} /\n"


def test_memory_stays_bounded_while_nobody_reads(js: Session) -> None:
    code = "for (let n = 0; n < 200; n++) process.stdout.write('y'.repeat(100_000));"
    js.run(code)
    assert int(js.value("console.log(process.memoryUsage().rss)")) < 400 << 20


def test_a_display_that_is_nested_too_deeply_is_left_out_and_nothing_else(js: Session) -> None:
    execution = js.run("let q = 1; for (let i = 0; i < 490; i++) q = [q]; display.json(q); 'ok'")
    assert execution["status"] == "completed"
    assert "[an output was left out: " in text(execution, "stderr")
    assert "Traceback" not in text(execution, "stderr")
    assert displays(execution)[-1] == {"text/plain": "'ok'"}
