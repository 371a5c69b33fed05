"""An exception as data: what is told of it, and that nothing a class of the user's does can spoil it."""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kernels.python import facts
from kernels.python.frames import (
    FRAMES_OF_A_CAUSE,
    LONGEST_LINE,
    LONGEST_VALUE,
    MOST_CAUSES,
    MOST_FRAMES,
    NO_TEXT,
    Describer,
    name_of,
    text_of,
)

CELLS = {"/tmp/ipykernel_1/1.py": 7}


@pytest.fixture
def describer(tmp_path: Path) -> Describer:
    return Describer(CELLS.get, str(tmp_path))


def run(code: str, name: str = "/tmp/ipykernel_1/1.py", **variables: Any) -> BaseException:
    """The exception that it ends in, as if it were a cell."""
    lines = [line + "\n" for line in code.splitlines()]
    linecache.cache[name] = (len(code), None, lines, name)
    try:
        exec(compile(code, name, "exec"), {"__name__": "__main__", **variables})
    except BaseException as error:
        return error
    finally:
        del linecache.cache[name]
    raise AssertionError("it did not fail")


def described(describer: Describer, code: str, **variables: Any) -> dict[str, Any]:
    name = "/tmp/ipykernel_1/1.py"
    error = run(code, name, **variables)
    linecache.cache[name] = (len(code), None, [line + "\n" for line in code.splitlines()], name)
    try:
        return describer.describe(error)
    finally:
        linecache.cache.pop(name, None)


def test_the_frames_of_a_cell(describer: Describer) -> None:
    found = described(describer, "x = 1\ndef f():\n    return x / 0\n\nclass A:\n    def m(self): f()\nA().m()")
    assert found.keys() == {"frames"}
    assert [(each["file"], each["line"], each["function"]) for each in found["frames"]] == [
        ("cell 7", 7, "<module>"),
        ("cell 7", 6, "A.m"),
        ("cell 7", 3, "f"),
    ]
    assert found["frames"][2]["source"] == [
        [1, "x = 1"],
        [2, "def f():"],
        [3, "    return x / 0"],
        [4, ""],
        [5, "class A:"],
    ]
    assert not any(each["library"] for each in found["frames"])


def test_a_library_has_one_line_and_is_called_one(describer: Describer) -> None:
    frames = described(describer, "import json\njson.loads('{')")["frames"]
    assert [each["library"] for each in frames] == [False, True, True, True]
    assert frames[1]["file"] == sys.modules["json"].__file__
    assert [len(each["source"]) for each in frames[1:]] == [1, 1, 1]
    assert frames[1]["source"][0][0] == frames[1]["line"]


def test_a_file_of_the_workspace_is_called_as_it_is_there(describer: Describer, tmp_path: Path) -> None:
    path = tmp_path / "src" / "helpers.py"
    path.parent.mkdir()
    path.write_text("def go():\n    raise KeyError(1)\n")
    error = run("go()", go=_module(path)["go"])
    place = describer.describe(error)["frames"][-1]
    assert (place["file"], place["library"]) == ("src/helpers.py", False)
    assert place["source"] == [[1, "def go():"], [2, "    raise KeyError(1)"], [3, ""]]


def _module(path: Path) -> dict[str, Any]:
    variables: dict[str, Any] = {}
    exec(compile(path.read_text(), str(path), "exec"), variables)
    return variables


@pytest.mark.parametrize(
    ("path", "library"),
    [
        ("/workspace/.venv/lib/python3.11/site-packages/x.py", True),
        ("/usr/lib/python3/dist-packages/x.py", True),
        ("<frozen importlib._bootstrap>", True),
        ("pandas/_libs/index.pyx", True),
        (os.__file__, True),
        ("<string>", False),
        ("/tmp/made.py", False),
        ("script.py", False),
    ],
)
def test_what_is_a_library(describer: Describer, path: str, library: bool) -> None:
    assert describer.place(path) == (path, library)


def test_of_a_deep_recursion_both_ends_are_told(describer: Describer) -> None:
    frames = described(describer, "def f(n): f(n + 1)\nf(0)")["frames"]
    assert len(frames) == MOST_FRAMES
    assert frames[0]["function"] == "<module>"
    (gap,) = (each for each in frames if "left_out" in each)
    assert gap["left_out"] > 100
    assert frames.index(gap) == MOST_FRAMES // 2


def test_an_error_in_the_code_itself_has_a_place_and_a_column(describer: Describer) -> None:
    *_, place = described(describer, "x = 1\nif True print(1)\ny = 2")["frames"]
    assert (place["file"], place["line"], place["column"], place["function"]) == ("cell 7", 2, 9, "")
    assert place["source"] == [[1, "x = 1"], [2, "if True print(1)"], [3, "y = 2"]]
    frames = described(describer, "compile('1 +', 'made.py', 'eval')")["frames"]
    assert [each["file"] for each in frames] == ["cell 7", "made.py"]
    assert frames[-1]["source"] == [[1, "1 +"]]


CHAINS: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "from": ("try: {}[1]\nexcept KeyError as e: raise ValueError from e", [("cause", "KeyError")]),
    "while handling": ("try: {}[1]\nexcept KeyError: 1 / 0", [("context", "KeyError")]),
    "from None": ("try: {}[1]\nexcept KeyError: raise ValueError from None", []),
    "group": (
        "raise ExceptionGroup('g', [KeyError(1), ExceptionGroup('h', [OSError(2)])])",
        [("member", "KeyError"), ("member", "ExceptionGroup"), ("member", "OSError")],
    ),
    "circle": (
        "e = ValueError(1); f = KeyError(2); e.__cause__ = f; f.__cause__ = e\nraise e",
        [("cause", "KeyError")],
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_what_is_behind_it(describer: Describer, name: str) -> None:
    code, expected = CHAINS[name]
    found = described(describer, code).get("causes", [])
    assert [(each["relation"], each["name"]) for each in found] == expected


def test_what_is_behind_it_is_bounded(describer: Describer) -> None:
    code = """
def f(n):
    try:
        if n: f(n - 1)
        else: g(0)
    finally:
        raise ValueError('x' * 100_000)
def g(n): g(n + 1)
f(50)
"""
    found = described(describer, code)["causes"]
    assert len(found) == MOST_CAUSES
    assert max(len(each["frames"]) for each in found) <= FRAMES_OF_A_CAUSE
    assert max(len(each["value"]) for each in found) <= LONGEST_VALUE + 100
    many = described(describer, "raise ExceptionGroup('g', [ValueError(n) for n in range(1000)])")
    assert len(many["causes"]) == MOST_CAUSES


HOSTILE = """
def boom(*a, **k): raise RuntimeError('boom')
class Meta(type):
    __name__ = property(boom)
class Text(str):
    __len__ = __getitem__ = __add__ = startswith = removeprefix = __contains__ = __eq__ = __hash__ = boom
class Odd(ValueError, metaclass=Meta):
    __str__ = __repr__ = __eq__ = __bool__ = __hash__ = boom
    __traceback__ = __cause__ = __context__ = __suppress_context__ = __class__ = property(boom)
    __getattribute__ = boom
"""


def test_a_class_that_lies_about_itself_is_described_all_the_same(describer: Describer) -> None:
    found = described(describer, HOSTILE + "raise Odd('x')")
    assert [each["file"] for each in found["frames"]] == ["cell 7"]
    error = run(HOSTILE + "raise Odd('x')")
    assert (name_of(error), text_of(error)) == ("Odd", (NO_TEXT, False))
    assert facts.of(error, "/") == {}


def test_texts_of_a_class_of_the_user_s_are_made_plain(describer: Describer) -> None:
    code = (
        HOSTILE
        + "f = lambda: 1 / 0\nf.__code__ = f.__code__.replace(co_filename=Text('/x/y.py'), co_name=Text('n'))\nf()"
    )
    found = described(describer, code)["frames"][-1]
    assert type(found["file"]) is str
    assert type(found["function"]) is str
    assert type(text_of(run(HOSTILE + "raise ValueError(Text('t'))"))[0]) is str


@pytest.mark.parametrize(
    "spoil",
    [
        "linecache.cache = None",
        "linecache.cache.clear(); linecache.cache[__file__] = (1, None, [None, 5, b'x', object()], 'x')",
        "linecache.cache[__file__] = (lambda: 1 / 0,)",
        "linecache.getlines = linecache.checkcache = linecache.updatecache = boom",
        "import traceback; traceback.TracebackException = traceback.format_exception = boom",
        "import os; os.path.join = boom",
    ],
)
def test_modules_that_were_spoiled_do_not_spoil_it(
    describer: Describer, spoil: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import traceback

    for module, names in (
        (linecache, ("cache", "getlines", "checkcache", "updatecache")),
        (traceback, ("TracebackException", "format_exception")),
        (os.path, ("join",)),
    ):
        for name in names:
            monkeypatch.setattr(module, name, getattr(module, name))
    name = "/tmp/ipykernel_1/1.py"
    error = run("1 / 0", name)
    monkeypatch.setattr(linecache, "cache", dict(linecache.cache))
    exec(spoil, {"__file__": name, "linecache": linecache, "boom": _boom})
    (place,) = describer.describe(error)["frames"]
    assert (place["file"], place["line"]) == ("cell 7", 1)
    assert all(type(line) is str for _, line in place["source"])


def _boom(*_: Any, **__: Any) -> None:
    raise RuntimeError("boom")


def test_long_lines_and_long_texts_are_cut(describer: Describer) -> None:
    found = described(describer, "x = '" + "y" * 100_000 + "'; 1 / 0")
    assert len(found["frames"][0]["source"][0][1]) == LONGEST_LINE + 1
    said, whole = text_of(ValueError("a" + "x" * 50_000_000 + "z"))
    assert not whole
    assert len(said) < LONGEST_VALUE + 100
    assert (said[0], said[-1]) == ("a", "z")


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.write_bytes(b"\xff\n" * 2_000_000), os.mkdir])
def test_a_file_that_is_none_to_be_read_is_not(
    describer: Describer, tmp_path: Path, make: Callable[[Path], object]
) -> None:
    path = tmp_path / "odd.py"
    variables: dict[str, Any] = {}
    exec(compile("def f(): 1 / 0", str(path), "exec"), variables)
    make(path)
    assert describer.describe(run("f()", f=variables["f"]))["frames"][-1]["source"] == []


# what the kernel knows


def test_facts_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sales.csv").touch()
    monkeypatch.chdir(tmp_path)
    assert facts.of(run("open('slaes.csv')"), str(tmp_path)) == {"similar": ["sales.csv"]}
    assert facts.of(run("open('photo.png')"), str(tmp_path)) == {}
    assert facts.of(run("raise FileNotFoundError('slaes.csv')"), str(tmp_path)) == {}
    assert facts.of(run("raise OSError(28, 'full', 'slaes.csv')"), str(tmp_path)) == {}


def test_facts_of_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "my_helpers.py").touch()
    known = facts.of(run("import my_helpers"), str(tmp_path))
    assert known == {"module": {"name": "my_helpers", "installed": False, "file": "src/my_helpers.py"}}
    assert facts.of(run("import jsonn"), str(tmp_path))["similar"][0] == "json"
    for name in ("jsons", "jsonx"):
        assert "json" not in facts.of(run(f"import {name}"), str(tmp_path)).get("similar", [])
    assert facts.of(run("import json.foo"), str(tmp_path)) == {"module": {"name": "json.foo", "installed": True}}
    assert facts.of(run("import zzz_unheard_of"), str(tmp_path)) == {
        "module": {"name": "zzz_unheard_of", "installed": False}
    }


def test_facts_of_a_name() -> None:
    assert facts.of(run("customers = 1\ncustmers"), "/") == {"similar": ["customers"]}
    assert facts.of(run("def f(total): return totl\nf(1)"), "/") == {"similar": ["total"]}
    assert facts.of(run("pritn(1)"), "/")["similar"] == ["print"]
    assert facts.of(run("math.pi"), "/") == {"module": {"name": "math", "standard": True}}
    assert facts.of(run("zzzzzz"), "/") == {}
    assert facts.of(run("raise NameError('x')"), "/") == {}


def test_facts_of_names_that_are_none() -> None:
    for kind in ("ModuleNotFoundError", "NameError"):
        for name in ("None", "1", "'x' * 10_000", "b'x'", "[]"):
            assert facts.of(run(f"raise {kind}('x', name={name})"), "/") == {}
