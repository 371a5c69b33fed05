"""What kernels of others say their own way, in everybody's form."""

from __future__ import annotations

from typing import Any

import pytest

from kernels.kernelspec import quirks

UNKNOWN = {"ename": "Error", "evalue": quirks.UNEXPLAINED, "traceback": [quirks.UNEXPLAINED]}


@pytest.mark.parametrize(
    ("said", "told", "expected"),
    [
        ({"ename": "E", "evalue": "v", "traceback": ["t"]}, None, {"ename": "E", "evalue": "v", "traceback": ["t"]}),
        ({"status": "error"}, None, UNKNOWN),
        ({"ename": "", "evalue": "", "traceback": []}, None, UNKNOWN),
        ({"ename": "E"}, None, {"ename": "E", "evalue": "", "traceback": ["E"]}),
        ({"evalue": "v"}, None, {"ename": "Error", "evalue": "v", "traceback": ["Error: v"]}),
        ({"traceback": ["at x"]}, None, {"ename": "Error", "evalue": "", "traceback": ["at x"]}),
        (
            {"status": "error"},
            {"ename": "E", "evalue": "v", "traceback": ["t"]},
            {"ename": "E", "evalue": "v", "traceback": ["t"]},
        ),
        ({"ename": "<class 'a.b.C'>", "evalue": 3}, None, {"ename": "C", "evalue": "3", "traceback": ["C: 3"]}),
        ({"ename": "E", "traceback": "no list"}, None, {"ename": "E", "evalue": "", "traceback": ["E"]}),
    ],
)
def test_errors(said: dict[str, Any], told: dict[str, Any] | None, expected: dict[str, Any]) -> None:
    assert quirks.error(said, told) == expected


def test_only_text_loses_its_colours() -> None:
    content = {"data": {"text/plain": "\x1b[1;33m42\x1b[0m", "text/html": "\x1b[33m"}, "metadata": {}, "n": 1}
    assert quirks.without_colours(content)["data"] == {"text/plain": "42", "text/html": "\x1b[33m"}
    for same in ({"data": {"text/plain": "42"}}, {"data": {"text/plain": 42}}, {"data": None}, {}):
        assert quirks.without_colours(same) == same


def test_what_cannot_be_had_here_is_not_offered() -> None:
    offered = {"status": "ok", "banner": "B", "debugger": True, "supported_features": ["debugger", "kernel subshells"]}
    assert quirks.features(offered) == {"banner": "B", "supported_features": []}
    assert quirks.features({"banner": "B"}) == {"banner": "B"}


@pytest.mark.parametrize(
    ("lines", "began", "interrupted", "expected"),
    [
        (["\x1b[31mone\x1b[0m", " two"], True, False, "k ended: one | two"),
        ([], False, False, "k ended before it was ready"),
        ([], True, True, "k ended when it was interrupted"),
    ],
)
def test_why_it_ended(lines: list[str], began: bool, interrupted: bool, expected: str) -> None:
    assert quirks.reason("k", lines, began, interrupted) == expected
