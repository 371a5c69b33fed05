"""A kernel's own history, as clients ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kernels.python.history import newest

CELLS = ["x = 1", "print(x)", "x = 2", "print(x)", "y"]


class Manager:
    """As IPython's, whose lists begin with an empty cell."""

    def get_range(
        self, session: int, start: int, stop: None, raw: bool, output: bool
    ) -> Iterator[tuple[int, int, Any]]:
        del stop, raw
        for number, code in enumerate(["", *CELLS][start:], start):
            yield session, number, (code, f"out {number}") if output else code


@pytest.mark.parametrize(
    ("n", "pattern", "unique", "numbers"),
    [
        (None, "*", False, [1, 2, 3, 4, 5]),
        (2, "*", False, [4, 5]),
        (99, "*", False, [1, 2, 3, 4, 5]),
        (None, "print*", False, [2, 4]),
        (1, "print*", False, [4]),
        (None, "print*", True, [4]),
        (None, "*", True, [1, 3, 4, 5]),
        (2, "x = ?", True, [1, 3]),
        (None, "X*", False, []),
    ],
)
def test_the_newest(n: int | None, pattern: str, unique: bool, numbers: list[int]) -> None:
    assert [line[1] for line in newest(Manager(), False, True, n, pattern, unique)] == numbers
    assert [line[1] for line in newest(Manager(), True, True, n, pattern, unique)] == numbers


def test_with_outputs() -> None:
    assert newest(Manager(), True, True, 1) == [(0, 5, ("y", "out 5"))]
