"""Where an error was raised: read from whatever a kernel says, bounded, and told in few words."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from kernelgw.events.frames import (
    FRAMES_OF_A_CAUSE,
    LONGEST_CAUSE,
    LONGEST_FILE,
    LONGEST_FRAMES,
    LONGEST_LINE,
    MOST_CAUSES,
    MOST_FRAMES,
    MOST_SIMILAR,
    causes,
    frames,
    module,
    similar,
)
from kernelgw.events.plain import LONGEST_TEXT, text

CELL = {
    "file": "cell 3",
    "line": 2,
    "function": "f",
    "library": False,
    "source": [[1, "def f():"], [2, "    g(1)"], [3, ""]],
}
LIBRARY = {
    "file": "/opt/lib/python3.11/site-packages/pandas/core/frame.py",
    "line": 900,
    "function": "DataFrame.apply",
    "library": True,
    "source": [[900, "        return op()"]],
}
HOSTILE: tuple[Any, ...] = (None, True, 0, -1, 2**80, 1.5, "", "x" * 100_000, [], [None], {}, {"a": 1}, [[]], [[1]])


def error(*found: dict[str, Any], **further: Any) -> dict[str, Any]:
    return {"name": "ValueError", "value": "no", "traceback": [], "frames": list(found), **further}


def test_frames_are_told_as_they_are() -> None:
    assert frames([CELL, {**LIBRARY, "column": 4}]) == [CELL, {**LIBRARY, "column": 4}]


@pytest.mark.parametrize("value", HOSTILE, ids=[str(each)[:20] for each in HOSTILE])
def test_what_is_none_is_made_into_one(value: Any) -> None:
    for key in (*CELL, "column", "left_out"):
        for found in frames([{**CELL, key: value}, value]):
            assert found.keys() - {"column", "left_out"} == CELL.keys()
            assert all(type(found[name]) is str for name in ("file", "function"))
            assert type(found["line"]) is int
            assert type(found["library"]) is bool
            assert all(type(number) is int and type(line) is str for number, line in found["source"])
            orjson.dumps(found)
    for found in causes([{"name": value, "value": value, "relation": value, "frames": value}]):
        assert found["relation"] in ("cause", "context", "member")
        text(error(*found["frames"], causes=[found]))
    assert isinstance(frames(value), list)
    assert isinstance(causes(value), list)
    assert all(type(name) is str for name in similar(value))
    assert all(type(name) is str for name in similar([value]))
    assert isinstance(module(value), dict)
    assert isinstance(module({"name": value, "file": value}), dict)


def test_of_many_frames_both_ends_are_kept_and_how_many_are_not() -> None:
    many = [{**CELL, "line": number} for number in range(1000)]
    found = frames(many)
    assert len(found) == MOST_FRAMES
    assert (found[0]["line"], found[-1]["line"]) == (0, 999)
    (gap,) = (frame for frame in found if "left_out" in frame)
    assert gap["left_out"] == 1000 - MOST_FRAMES
    # What the kernel had left out there already is among them.
    assert frames([*many[:900], *({**each, "left_out": 5} for each in many[900:])])[32]["left_out"] == 941


def test_frames_are_bounded_in_all_directions() -> None:
    wide = {**CELL, "file": "f" * 10_000, "source": [[number, "x" * 10_000] for number in range(100)]}
    found = frames([wide] * 1000)
    assert sum(len(orjson.dumps(frame)) for frame in found) < 2 * LONGEST_FRAMES
    assert len(found[0]["file"]) == LONGEST_FILE
    assert max(len(line) for _, line in found[0]["source"]) == LONGEST_LINE
    many = causes([{"name": "E", "value": "v" * 100_000, "frames": [wide] * 100}] * 100)
    assert len(many) == MOST_CAUSES
    assert len(many[0]["value"]) == LONGEST_CAUSE
    assert len(many[0]["frames"]) <= FRAMES_OF_A_CAUSE


def test_names_of_what_there_is_are_few_and_can_be_read() -> None:
    assert similar(["a.csv", "b\n.csv", "\x1b[31m", 1, "c.csv"]) == ["a.csv", "c.csv"]
    assert len(similar(["x"] * 100)) == MOST_SIMILAR
    assert module({"name": "x\ny"}) == {}


def test_the_user_s_lines_are_shown_and_a_library_s_folded() -> None:
    other = {**CELL, "file": "helpers.py", "line": 1, "function": "g"}
    assert text(error(CELL, LIBRARY, LIBRARY, other)) == (
        "cell 3, line 2, in f\n>    2 |     g(1)\n… 2 frames in pandas\n"
        "helpers.py, line 1, in g\n>    1 | def f():\n     2 |     g(1)\n     3 |\nValueError: no"
    )


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("/usr/lib/python3/dist-packages/six.py", "six"),
        ("/usr/lib/python3.11/json/decoder.py", "json"),
        ("/usr/lib/python3.11/socket.py", "socket"),
        ("<frozen importlib._bootstrap>", "importlib"),
        ("node:internal/modules/cjs/loader", "Node"),
        ("node_modules/lodash/index.js", "lodash"),
        ("/workspace/node_modules/a/node_modules/@scope/b/x.js", "@scope/b"),
        ("", "a library"),
    ],
)
def test_a_library_is_called_by_its_name(file: str, name: str) -> None:
    assert f"… 1 frame in {name}\n" in text(error(CELL, {**LIBRARY, "file": file}))


def test_the_engine_that_runs_cells_is_not_mentioned() -> None:
    engine = {**LIBRARY, "file": "/x/site-packages/IPython/core/interactiveshell.py"}
    assert "IPython" not in text(error(CELL, engine))


def test_a_recursion_is_told_once() -> None:
    found = text(error(CELL, *[{**CELL, "line": 3}] * 10, {**CELL, "line": 3, "left_out": 900}, {**CELL, "line": 3}))
    assert "… the same 911 times more" in found
    assert found.count("cell 3, line 3") == 1


def test_of_many_different_frames_the_first_and_the_last_are_shown() -> None:
    found = text(error(*({**CELL, "line": number, "source": []} for number in range(1, 41))))
    assert "… 30 frames in your code" in found
    assert "cell 3, line 5," in found
    assert "cell 3, line 6," not in found
    assert "cell 3, line 36," in found


def test_what_is_behind_an_error_comes_first() -> None:
    cause = {"relation": "cause", "name": "KeyError", "value": "'a'", "frames": [CELL]}
    context = {"relation": "context", "name": "OSError", "value": "gone", "frames": [LIBRARY]}
    lines = text(error(CELL, causes=[cause, context])).splitlines()
    shown = ["OSError: gone", "While that was handled:", "KeyError: 'a'", "That was the cause of:", "ValueError: no"]
    assert [line for line in lines if line in shown] == shown
    assert not any("pandas" in line for line in lines)


def test_the_members_of_a_group_are_listed() -> None:
    member = {"relation": "member", "name": "KeyError", "value": "'a'", "frames": [LIBRARY, CELL]}
    assert text(error(CELL, causes=[member])).endswith("ValueError: no\n  - KeyError: 'a' (cell 3, line 2)")


def test_an_error_in_the_code_itself_is_told_by_line_and_column() -> None:
    place = {**CELL, "function": "", "column": 9}
    found = text({**error(place), "name": "SyntaxError", "value": "invalid syntax (3350746092.py, line 1)"})
    assert found.splitlines()[0] == "cell 3, line 2, column 9"
    assert found.splitlines()[-1] == "SyntaxError: invalid syntax"


def test_without_frames_it_is_the_traceback_without_its_colours() -> None:
    colored = {"traceback": ["\x1b[1;31mE\x1b[0m: no", "\x1b]8;;http://x\x07link\x1b]8;;\x07"]}
    assert text(error(**colored)) == "E: no\nlink"
    assert text(error()) == "ValueError: no"
    assert text({**error(), "value": ""}) == "ValueError"


@pytest.mark.parametrize("found", [[], [CELL] * 3, [{**CELL, "source": [[2, "x" * 400]] * 11}] * 60], ids=len)
@pytest.mark.parametrize(
    "value", ["x" * 65_000, "\x1b]" * 30_000, "\x1b[" * 30_000, "\n" * 65_000], ids=["long", "OSC", "CSI", "lines"]
)
def test_it_is_short_whatever_the_error_is(found: list[dict[str, Any]], value: str) -> None:
    cause = {"relation": "cause", "name": "E", "value": value[:LONGEST_CAUSE], "frames": found}
    short = text({**error(*found), "value": value, "causes": [cause] * MOST_CAUSES, "traceback": [value] * 4})
    assert len(short) <= LONGEST_TEXT + 100
