"""Whatever JavaScript does it can be stopped, and loses nothing by it."""

from __future__ import annotations

import pytest

from .client import House, Session

pytestmark = pytest.mark.live

BUSY = {
    "forever": "for (;;);",
    "awaiting": "await new Promise(() => {})",
    "after an await": "await null; for (;;);",
    "microtasks": "for (;;) await null",
    "files": "for (;;) await require('fs/promises').readFile('/etc/passwd')",
    "in a timer": "setTimeout(() => { for (;;); }, 0); await new Promise(() => {})",
    "in an immediate": "setImmediate(() => { for (;;); }); await new Promise(() => {})",
    "in a tick": "process.nextTick(() => { for (;;); }); await new Promise(() => {})",
    "in a server": "const server = require('http').createServer(() => { console.log('busy'); for (;;); });"
    "await new Promise(done => server.listen(0, done)); await fetch(`http://127.0.0.1:${server.address().port}`)",
    "a program": "require('child_process').execSync('sleep 100')",
    "a wait": "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)",
    "a pattern": "/(a+)+$/.test('a'.repeat(40) + 'b')",
    "caught": "for (;;) try { for (;;); } catch {} finally {}",
    "an interval": "setInterval(() => {}, 10)",
}


@pytest.fixture
def js(house: House) -> Session:
    return house.session(language="javascript")


def interrupted(session: Session, code: str, **body: object) -> None:
    with session.stream(f"console.log('begun');\n{code}", **body) as stream:
        stream.until_text("busy" if "busy" in code else "begun")
        session.interrupt()
        assert stream.until("execution.completed").data["status"] == "interrupted"


@pytest.mark.parametrize("code", BUSY.values(), ids=BUSY)
def test_interrupts(js: Session, code: str) -> None:
    js.run("globalThis.kept = 7")
    for _ in range(3):
        interrupted(js, code)
        assert js.value("console.log(kept)") == "7\n"


def test_a_question_can_be_interrupted(js: Session) -> None:
    for code in ("prompt('?')", "await input('?')"):
        with js.stream(code, stdin=True) as stream:
            stream.until("input.requested")
            js.interrupt()
            assert stream.until("execution.completed").data["status"] == "interrupted"
        assert js.value("console.log(1)") == "1\n"


def test_what_was_stopped_says_no_more(js: Session) -> None:
    interrupted(js, "for (;;) { await new Promise(done => setTimeout(done, 5)); console.log('more') }")
    interrupted(js, "setInterval(() => console.log('more'), 5)")
    assert js.value("await new Promise(done => setTimeout(done, 100)); console.log('quiet')") == "quiet\n"


def test_a_flood_can_be_interrupted(js: Session) -> None:
    js.run("globalThis.kept = 7")
    interrupted(js, "for (;;) console.log('x'.repeat(1000))")
    assert js.value("console.log(kept)") == "7\n"


@pytest.mark.parametrize("code", ["for (;;);", "await new Promise(() => {})"])
def test_deadlines(js: Session, code: str) -> None:
    js.run("globalThis.kept = 7")
    execution = js.run(code, timeout_s=0.5)
    assert execution["status"] == "timed_out"
    assert js.value("console.log(kept)") == "7\n"


def test_garbage_of_what_was_stopped(js: Session) -> None:
    """V8 would tell its inspector in the middle of a collection that a promise is gone, and node died of it."""
    for _ in range(10):
        interrupted(js, "const garbage = new Array(1e5).fill().map(() => ({})); await new Promise(() => {})")
    code = "for (let n = 0; n < 40; n++) new Array(3e5).fill().map(() => [n]); console.log('alive')"
    assert js.value(code) == "alive\n"
