"""JavaScript and TypeScript in a chat: values, displays, modules, what lasts from cell to cell."""

from __future__ import annotations

import pytest

from .client import House, Session, displays, text

pytestmark = pytest.mark.live


@pytest.fixture
def js(house: House) -> Session:
    return house.session(language="javascript")


def shown(session: Session, code: str, **body: object) -> str:
    """The text of the one value that a cell gives."""
    execution = session.run(code, **body)
    assert execution["status"] == "completed", execution
    (data,) = displays(execution)
    return str(data["text/plain"])


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("1 + 1", "2"),
        ("'text'", "'text'"),
        ("10n ** 20n", "100000000000000000000n"),
        ("-0", "-0"),
        ("null", "null"),
        ("Symbol('s')", "Symbol(s)"),
        ("new Map([[1, new Set([2])]])", "Map(1) { 1 => Set(1) { 2 } }"),
        ("new Date(0)", "1970-01-01T00:00:00.000Z"),
        ("class P { x = 1 }; new P()", "P { x: 1 }"),
        ("(function named() {})", "[Function: named]"),
        ("new RangeError('r').message", "'r'"),
        ("const o = {}; o.o = o; o", "<ref *1> { o: [Circular *1] }"),
        ("({get x() { throw 1 }})", "{ x: [Getter] }"),
        ("{a: 1, b: 2}", "{ a: 1, b: 2 }"),
        ("await Promise.resolve(3)", "3"),
        ("Promise.resolve(4)", "4"),
        ("const main = async () => { await null; return 5 }\nmain()", "5"),
        ("export default 6", "6"),
    ],
)
def test_values(js: Session, code: str, expected: str) -> None:
    assert shown(js, code) == expected


@pytest.mark.parametrize(
    "code", ["undefined", "", "const x = 1", "console.clear", "let a; a", "setTimeout(() => {}, 1)"]
)
def test_no_value(js: Session, code: str) -> None:
    execution = js.run(code)
    assert execution["status"] == "completed"
    assert displays(execution) == ([{"text/plain": "[Function: clear]"}] if code == "console.clear" else [])


def test_plain_objects_are_json_too(js: Session) -> None:
    (data,) = displays(js.run("({a: [1, 'x', null, true], b: {}})"))
    assert data["application/json"] == {"a": [1, "x", None, True], "b": {}}
    for code in ("[NaN]", "({f() {}})", "[undefined]", "[, 1]", "new Array(100000).fill(1)", "['\\ud800']"):
        (data,) = displays(js.run(code))
        assert data.keys() == {"text/plain"}, code


def test_displays(js: Session) -> None:
    execution = js.run("""
        console.log('before');
        const handle = display.html('<b>old</b>');
        display.png(Buffer.from([1, 2, 3]));
        display.json({a: [1]});
        display.markdown`# ${1 + 1}`;
        display('plain');
        handle.update('<b>new</b>');
        console.log('after');
        ({[Symbol.for('Jupyter.display')]: () => ({'text/html': '<i>own</i>'})})
    """)
    assert displays(execution) == [
        {"text/html": "<b>new</b>"},
        {"image/png": "AQID"},
        {"application/json": {"a": [1]}, "text/plain": "{ a: [ 1 ] }"},
        {"text/markdown": "# 2"},
        {"text/plain": "'plain'"},
        {"text/html": "<i>own</i>"},
    ]
    kinds = [output.get("text", output["output_type"]) for output in execution["outputs"]]
    assert kinds == ["before\n", *["display_data"] * 5, "after\n", "execute_result"]
    js.run("display('a', {id: 'mine'})")
    assert displays(js.run("display('x', {id: 'here'}); display.update('here', 'y')")) == [{"text/plain": "'y'"}]


def test_names_may_be_declared_again_in_every_way(js: Session) -> None:
    ways = ["const x = 1", "let x = 2", "var x = 3", "function x() {}", "class x {}", "import x from 'node:fs'"]
    for first in ways:
        for second in ways:
            js.run(first)
            assert js.run(second)["status"] == "completed", (first, second)
    assert shown(js, "let y = 1; y++; y") == "2"
    assert shown(js, "const z = 1; try { z = 2 } catch (error) { error.name }") == "'TypeError'"


def test_modules(js: Session) -> None:
    js.run("""
        import fs, {writeFileSync} from 'node:fs';
        writeFileSync('own.mjs', 'export const a = 1; export default function hello() { return import.meta.url }');
        writeFileSync('own.cjs', 'exports["b" + ""] = 2; exports.where = __dirname');
        writeFileSync('own.json', '{"c": 3}');
        writeFileSync('own.ts', 'export const d: number = 4');
        fs.mkdirSync('node_modules/pack', {recursive: true});
        writeFileSync('node_modules/pack/package.json', '{"exports": {"import": "./i.mjs", "require": "./r.cjs"}}');
        writeFileSync('node_modules/pack/i.mjs', 'export default "imported"');
        writeFileSync('node_modules/pack/r.cjs', 'module.exports = "required"');
    """)
    assert js.value("""
        import hello, {a} from './own.mjs';
        import * as all from './own.mjs';
        import {b} from './own.cjs';
        import own from './own.json' with {type: 'json'};
        import {d} from './own.ts';
        import pack from 'pack';
        console.log(a, all.a, b, own.c, d, pack, require('pack'), require('./own.json').c, require('./own.cjs').where);
        console.log(hello(), (await import('./own.mjs')).a, import.meta.url, __filename, require.main === module);
    """) == (
        "1 1 2 3 4 imported required 3 /workspace\n"
        "file:///workspace/own.mjs 1 file:///workspace/cell.js /workspace/cell.js true\n"
    )
    error = js.run("import {nothing} from './own.mjs'")["error"]
    assert (error["name"], "nothing" in error["value"]) == ("SyntaxError", True)
    assert js.run("module.exports = {a: 1}; exports.b = 2")["status"] == "completed"


def test_typescript(js: Session) -> None:
    code = "interface P { x: number }\nconst p: P = {x: 2}\nfunction f<T>(v: T): T { return v }\nf(p.x!) as number"
    assert shown(js, code, language="typescript") == "2"
    assert shown(js, "p.x + 1") == "3"
    # JavaScript is taken for what it turns out to be.
    assert shown(js, "const n: number = 7; n") == "7"
    assert shown(js, "enum Colour { Red, Green }\nColour[1]", language="typescript") == "'Green'"
    assert shown(js, "import type { X } from './none'; import { type Y, join } from 'path'; join('a', 'b')") == "'a/b'"


def test_console(js: Session) -> None:
    execution = js.run("""
        console.log('%s is %d', 'a', 1); console.info('info'); console.debug('debug');
        console.group('group'); console.log('inside'); console.groupEnd();
        console.warn('warn'); console.error('error');
        console.table([{a: 1}]); console.count(); console.dir({a: 1});
        process.stdout.write(Buffer.from('é').subarray(0, 1)); process.stdout.write(Buffer.from('é').subarray(1));
    """)
    out = text(execution)
    assert out.startswith("a is 1\ninfo\ndebug\ngroup\n  inside\n")
    assert out.endswith("default: 1\n{ a: 1 }\né")
    assert "│ 0       │ 1 │" in out
    assert text(execution, "stderr") == "warn\nerror\n"


def test_what_a_cell_begins_belongs_to_it(js: Session) -> None:
    """What ends by itself is waited for; what goes on goes on between cells, and is told as of where it began."""
    assert js.value("setTimeout(() => console.log('late'), 50); console.log('first')") == "first\nlate\n"
    code = "let n = 0; const timer = setInterval(() => { console.log(n); if (++n === 3) clearInterval(timer) }, 20)"
    assert js.value(code) == "0\n1\n2\n"
    code = "require('child_process').exec('echo child', (error, out) => console.log('said', out))"
    assert js.value(code) == "said child\n\n"
    server = "const http = require('http'); const s = http.createServer((q, r) => { console.log(q.url); r.end('yes') })"
    id_ = js.run(f"{server}; await new Promise(done => s.listen(0, done)); const {{port}} = s.address();")["id"]
    assert shown(js, "await (await fetch(`http://127.0.0.1:${port}/page`)).text()") == "'yes'"
    assert text(js.execution(id_)) == "/page\n"


def test_the_order_of_the_event_loop(js: Session) -> None:
    """That of a program: ticks, promises, timers."""
    assert js.value("""
        setTimeout(() => console.log('timer'), 20); setImmediate(() => console.log('immediate'));
        Promise.resolve().then(() => console.log('promise')); process.nextTick(() => console.log('tick'));
        console.log('first');
    """).split() == ["first", "tick", "promise", "immediate", "timer"]


def test_programs_and_threads(js: Session) -> None:
    out = js.value("require('child_process').execSync('echo one; node -p 1+1; npm --version', {stdio: 'inherit'})")
    assert out.startswith("one\n2\n")
    js.run("const {Worker} = require('worker_threads')")
    source = "'require(\"worker_threads\").parentPort.postMessage(6 * 7)'"
    worker = f"new Worker({source}, {{eval: true}})"
    assert shown(js, f"await new Promise(done => {worker}.once('message', done))") == "42"
    js.run("require('fs').writeFileSync('child.js', 'process.send(process.execArgv.length)')")
    fork = "new Promise(done => require('child_process').fork('./child.js').once('message', done))"
    assert shown(js, f"await {fork}") == "0"
    assert shown(js, "Object.keys(require('os').networkInterfaces())") == "[ 'lo' ]"


def test_questions(js: Session) -> None:
    cells = {
        "prompt('Who? ')": "'Ünï 🐍'",
        "await input('Who? ')": "'Ünï 🐍'",
        "const rl = require('readline/promises').createInterface({input: process.stdin, output: process.stdout});"
        "await rl.question('')": "'Ünï 🐍'",
    }
    for code, expected in cells.items():
        with js.stream(code, stdin=True) as stream:
            asked = stream.until("input.requested")
            assert js.answer(asked.data["execution_id"], "Ünï 🐍").status_code == 202
            assert stream.until("output.result").data["data"]["text/plain"] == expected
            assert stream.until("execution.completed").data["status"] == "completed"
    code = "const r = require('readline').createInterface(process.stdin); r.question('', a => r.close(display(a)))"
    with js.stream(code, stdin=True) as stream:
        js.answer(stream.until("input.requested").data["execution_id"], "called")
        assert stream.until("output.display").data["data"]["text/plain"] == "'called'"
        assert stream.until("execution.completed").data["status"] == "completed"
    for code in ("prompt('x')", "await input('x')"):
        error = js.run(code)["error"]
        assert error["name"] == "StdinNotImplementedError"
        assert '"stdin": true' in error["hint"]
    assert shown(js, "require('fs').readFileSync(0, 'utf8')") == "''"


def test_a_pooled_kernel_has_the_sessions_own_variables(house: House) -> None:
    js = house.session(language="javascript")
    assert shown(js, "[process.env.HOME, process.cwd(), process.argv.length]") == "[ '/home/user', '/workspace', 2 ]"


def test_files_are_shared_with_python(house: House) -> None:
    session = house.session(language="javascript")
    execution = session.run("require('fs').writeFileSync('data.csv', 'a,b\\n1,2\\n')")
    assert [file["path"] for file in execution["files"]] == ["data.csv"]
