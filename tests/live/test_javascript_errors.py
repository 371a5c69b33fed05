"""What is told of a JavaScript cell that failed, and of a kernel that did."""

from __future__ import annotations

import pytest

from .client import House, Session, displays, text

pytestmark = pytest.mark.live


@pytest.fixture
def js(house: House) -> Session:
    return house.session(language="javascript")


def traceback(execution: dict[str, object]) -> str:
    error = execution["error"]
    assert isinstance(error, dict)
    return "\n".join(error["traceback"])


def test_only_the_users_lines(js: Session) -> None:
    js.run("function outer() {\n  inner()\n}")
    execution = js.run("import fs from 'fs'\nfunction inner() {\n  fs.readFileSync('/missing')\n}\nouter()")
    assert execution["error"]["name"] == "Error"
    assert traceback(execution).split("\n")[:4] == [
        "Error: ENOENT: no such file or directory, open '/missing'",
        "    at inner (cell 2:3:6)",
        "    at outer (cell 1:2:3)",
        "    at cell 2:5:1 {",
    ]


@pytest.mark.parametrize(
    ("code", "name", "value", "told"),
    [
        ("throw new TypeError('t')", "TypeError", "t", "TypeError: t\n    at cell 1:1:7"),
        ("throw 'text'", "Uncaught", "'text'", "Uncaught 'text'"),
        ("throw {message: 'm', name: 'N'}", "N", "m", "Uncaught { message: 'm', name: 'N' }"),
        ("throw null", "Uncaught", "null", "Uncaught null"),
        ("await Promise.reject(new Error('r'))", "Error", "r", "Error: r\n    at cell 1:1:22"),
        ("JSON.parse('{')", "SyntaxError", "Expected property name or '}' in JSON", "    at cell 1:1:6"),
        ("setTimeout(() => { throw new Error('t') }, 1)", "Error", "t", "cell 1:1:26"),
        ("Promise.reject(new Error('lost')); 1", "Error", "lost", "Error: lost\n    at cell 1:1:16"),
        ("throw new Error('a', {cause: new Error('b')})", "Error", "a", "[cause]: Error: b\n      at cell 1:1:30"),
        ("throw new AggregateError([new Error('one')], 'all')", "AggregateError", "all", "Error: one"),
        ("class E extends Error { name = 'E'; more = 5 }; throw new E('e')", "E", "e", "more: 5"),
        (
            "throw new Proxy({}, {get: () => () => 1, getPrototypeOf() { throw 1 }})",
            "() => 1",
            "() => 1",
            "Uncaught {}",
        ),
        (
            "import assert from 'assert/strict'; assert.equal(1, 2)",
            "AssertionError",
            "Expected values to be strictly equal",
            "AssertionError [ERR_ASSERTION]: Expected",
        ),
        ("require('absent')", "Error", "Cannot find module 'absent'", "MODULE_NOT_FOUND"),
        ("import x from 'absent'", "Error", "Cannot find package 'absent'", "ERR_MODULE_NOT_FOUND"),
    ],
)
def test_what_is_thrown(js: Session, code: str, name: str, value: str, told: str) -> None:
    execution = js.run(code)
    assert execution["status"] == "failed"
    assert execution["error"]["name"] == name
    assert execution["error"]["value"].startswith(value)
    assert told in traceback(execution)
    assert "node:internal" not in traceback(execution)
    assert "kernelgw" not in traceback(execution)


@pytest.mark.parametrize(
    ("code", "language", "line", "mark"),
    [
        ("const a = 1\nlet q = (;", "javascript", "let q = (;", "         ^"),
        ("import fs from 'fs'\nfoo(", "javascript", "foo(", "    ^"),
        ("const x: = 3", "typescript", "const x: = 3", "         ^"),
    ],
)
def test_code_that_cannot_be_read(js: Session, code: str, language: str, line: str, mark: str) -> None:
    execution = js.run(code, language=language)
    assert execution["error"]["name"] == "SyntaxError"
    number = code.split("\n").index(line) + 1
    assert execution["error"]["traceback"][:3] == [f"  cell 1:{number}", line, mark]


def test_lines_of_typescript_that_was_rewritten(js: Session) -> None:
    execution = js.run("interface A {\n  b: number\n}\nenum C { D }\n\nthrow new Error('here')", language="typescript")
    assert "at cell 1:6:7" in traceback(execution)


def test_exits_end_a_cell_and_nothing_else(js: Session) -> None:
    js.run("const kept = 5")
    code = "process.on('exit', code => console.log('bye', code)); setInterval(() => {}, 10); process.exit(3); never()"
    assert js.run(code.replace("3", "0"))["status"] == "completed"
    execution = js.run(code)
    assert (execution["status"], execution["error"]["name"]) == ("failed", "ProcessExit")
    assert "process.exit with 3" in execution["error"]["value"]
    assert "variables are kept" in execution["error"]["value"]
    assert text(execution) == "bye 3\n"
    assert js.run("process.exitCode = 2")["status"] == "failed"
    assert js.run("await null; process.exit(4)")["error"]["name"] == "ProcessExit"
    assert js.value("console.log(kept)") == "5\n"


def test_an_error_after_the_cells_end_is_told_there(js: Session) -> None:
    code = "process.on('SIGUSR2', () => { throw new Error('late') })"
    id_ = js.run(code)["id"]
    js.run("process.kill(process.pid, 'SIGUSR2'); await new Promise(done => setTimeout(done, 50))")
    told = text(js.execution(id_), "stderr")
    assert "Uncaught in cell 1, after it had ended:\nError: late\n    at " in told
    assert js.value("console.log('alive')") == "alive\n"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("process.kill(process.pid, 'SIGSEGV')", "SIGSEGV"),
        ("process.abort()", "SIGABRT"),
        ("process.kill(process.pid, 'SIGKILL')", "SIGKILL"),
    ],
)
def test_the_end_of_node_is_the_kernels(js: Session, code: str, reason: str) -> None:
    js.run("const lost = 1")
    execution = js.run(code)
    assert execution["status"] == "killed"
    assert reason in execution["error"]["value"]
    assert execution["state_lost"]
    assert js.value("console.log(typeof lost)") == "undefined\n"


def test_memory(house: House) -> None:
    js = house.session(language="javascript", limits={"memory_bytes": 512 << 20})
    execution = js.run("const all = []; for (;;) all.push(new Array(1e5).fill({}))")
    assert execution["status"] == "killed"
    assert "memory" in execution["error"]["value"]


@pytest.mark.parametrize("proxy", ["{get() { throw new Error('strict') }}", "{get: () => () => {}}"])
def test_proxies_that_say_anything_are_shown(js: Session, proxy: str) -> None:
    execution = js.run(f"globalThis.proxy = new Proxy({{a: 1}}, {proxy})")
    assert displays(execution) == [{"text/plain": "{ a: 1 }"}]
    assert displays(js.run("let all = {proxy}; all")) == [{"text/plain": "{ proxy: { a: 1 } }"}]


SOUND = "console.log('said'); await null; const n: number = [1].map(x => x + 1)[0]; interface I {}; ({n, 2: n})"
CHANGES = [
    *(f"Object.prototype.{name} = {{text: 'x'}}" for name in ("id", "method", "params", "get", "value", "op")),
    *(f"Object.prototype.{name} = {{text: 'x'}}" for name in ("set", "exceptionDetails", "result", "early", "failure")),
    "JSON.stringify = () => '{}'; JSON.parse = null",
    "Map.prototype.get = Map.prototype.set = Set.prototype.add = null",
    "Promise.prototype.then = null; globalThis.Promise = null",
    "globalThis.process = globalThis.Buffer = globalThis.Object = globalThis.Array = globalThis.Error = null",
    "Buffer.from = Buffer.concat = require('fs').writeSync = require('fs').readSync = null",
]


@pytest.mark.parametrize("code", CHANGES)
def test_cells_may_change_what_objects_have(js: Session, code: str) -> None:
    assert js.run(f"{code}; 0", timeout_s=10)["status"] == "completed"
    # Without them Node itself cannot take types away.
    plain = "Buffer" in code
    execution = js.run(SOUND.replace(": number", "").replace("interface I {};", "") if plain else SOUND, timeout_s=10)
    assert (execution["status"], text(execution)) == ("completed", "said\n"), execution["error"]
    assert displays(execution)[0]["text/plain"] == "{ '2': 2, n: 2 }"
    assert js.run("throw new TypeError('t')", timeout_s=10)["error"]["value"] == "t"


@pytest.mark.parametrize("name", ["then", "error", "toJSON"])
@pytest.mark.parametrize("before", ["", "await new Promise(done => setTimeout(done, 1)); "])
def test_what_nothing_works_with_is_taken_away_again(js: Session, name: str, before: str) -> None:
    code = f"const kept = 1; {before}Object.prototype.{name} = function () {{}}; await new Promise(() => {{}})"
    error = js.run(code, timeout_s=10)["error"]
    assert error["name"] == "TypeError"
    assert f"Object.prototype.{name}" in error["value"]
    assert displays(js.run("await null; kept", timeout_s=10))[0]["text/plain"] == "1"


def test_arrays_are_made_to_iterate_again(js: Session) -> None:
    assert "Symbol.iterator" in js.run("Array.prototype[Symbol.iterator] = null; 0", timeout_s=10)["error"]["value"]
    assert displays(js.run("[...[1, 2]].length", timeout_s=10))[0]["text/plain"] == "2"


def test_a_kernel_that_was_broken_says_so(js: Session) -> None:
    execution = js.run("process.listenerCount = null; setTimeout(() => { throw 1 }, 1); 0", timeout_s=10)
    assert execution["error"]["name"] == "KernelDied"
    assert "the cell changed what JavaScript itself or Node.js is made of" in execution["error"]["value"]
    assert "process.exit" not in str(execution["error"])


def test_what_cannot_be_taken_away_ends_the_kernel_in_words(js: Session) -> None:
    execution = js.run("Object.defineProperty(Object.prototype, 'then', {value() {}})", timeout_s=10)
    assert execution["error"]["name"] == "KernelDied"
    assert "what JavaScript itself is made of: Object.prototype.then" in execution["error"]["value"]
    assert displays(js.run("1 + 1"))[0]["text/plain"] == "2"


def test_what_is_behind_an_error(js: Session) -> None:
    error = js.run("throw new Error('a', {\n  cause: new TypeError('b', {cause: 'text'})\n})")["error"]
    first, second = error["causes"]
    assert (first["relation"], first["name"], first["value"]) == ("cause", "TypeError", "b")
    assert (first["frames"][-1]["file"], first["frames"][-1]["line"]) == ("cell 1", 2)
    assert first["frames"][-1]["source"][1] == [2, "  cause: new TypeError('b', {cause: 'text'})"]
    assert (second["relation"], second["value"], second["frames"]) == ("cause", "'text'", [])
    group = js.run("await Promise.any([Promise.reject(new Error('one')), Promise.reject(new Error('two'))])")["error"]
    assert [(each["relation"], each["value"]) for each in group["causes"]] == [("member", "one"), ("member", "two")]
    assert js.run("await fetch('http://127.0.0.1:1/')")["error"]["causes"][0]["value"]
    circle = js.run("const e = new Error('e'); e.cause = e; throw e")["error"]
    assert "causes" not in circle


def test_frames_of_asynchronous_functions(js: Session) -> None:
    js.run("async function inner() {\n  await null\n  throw new Error('z')\n}")
    frames = js.run("async function outer() {\n  await inner()\n}\nawait outer()")["error"]["frames"]
    places = [(frame["file"], frame["line"], frame["function"]) for frame in frames]
    assert places == [("cell 2", 4, ""), ("cell 2", 2, "outer"), ("cell 1", 3, "inner")]
    assert [4, "await outer()"] in frames[0]["source"]


def test_frames_of_modules_that_fail(js: Session) -> None:
    frames = js.run("import x from 'absent'")["error"]["frames"]
    assert [(frame["file"], frame["line"], frame.get("column")) for frame in frames] == [("cell 1", 1, None)]
    js.run("require('fs').writeFileSync('h.js', 'const a = 1\\nlet q = (;\\n')")
    for code in ("require('./h')", "import './h.js'"):
        place = js.run(code)["error"]["frames"][-1]
        assert (place["file"], place["line"], place["column"]) == ("h.js", 2, 10)
        assert [2, "let q = (;"] in place["source"]
