"""What a kernel says of files is read as far as it can be of use."""

from __future__ import annotations

from typing import Any

import pytest

from kernelgw.sessions.files import LARGEST, LONGEST_PATH, MOST, parse


def entry(path: Any = "a", change: Any = "created", size: Any = 1) -> dict[str, Any]:
    return {"path": path, "change": change, "size": size}


def test_what_a_kernel_of_ours_says() -> None:
    found = parse({"files": [entry("a/b", "modified", 7)], "more": 3, "whole": True})
    wanted = {"path": "a/b", "change": "modified", "size": 7, "artifact": None, "reason": None}
    assert found == ([wanted], 3, True)


@pytest.mark.parametrize(
    "given",
    [
        *(None, 1, "a", [], {}, {"path": "a"}, entry(1), entry(""), entry("x" * (LONGEST_PATH + 1)), entry(None)),
        *(entry(change="seen"), entry(change=None), entry(change=[])),
    ],
)
def test_what_is_no_file_is_left_out(given: Any) -> None:
    assert parse({"files": [given, entry("kept")]})[0] == [
        {"path": "kept", "change": "created", "size": 1, "artifact": None, "reason": None}
    ]


@pytest.mark.parametrize("given", [None, "x", {}, 7])
def test_what_is_no_list_is_none(given: Any) -> None:
    assert parse({"files": given, "more": given if isinstance(given, str) else -1, "whole": "yes"}) == ([], 0, False)


def test_numbers_and_lists_are_bounded() -> None:
    found, more, _ = parse({"files": [entry(f"{n}", size=1 << 80) for n in range(MOST + 9)], "more": 1 << 80})
    assert (len(found), found[0]["size"], more) == (MOST, LARGEST, LARGEST)
    assert len(parse({"files": [entry("same"), entry("same", "deleted")]})[0]) == 1
