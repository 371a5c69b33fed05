"""What a kernel that drives another program says of a cell that failed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kernels.hosted import Failure, HostedKernel

FRAME = {"file": "cell 1", "line": 1, "function": "", "library": False, "source": []}


class Failing(HostedKernel):
    """One that fails as it is told to, and says what it would send."""

    implementation = banner = "failing"
    language_info = {"name": "none"}  # noqa: RUF012

    def __init__(self, failure: Failure, where: str | None) -> None:
        super().__init__()
        self._failure = failure
        self._where = where
        self.said: list[tuple[str, dict[str, Any]]] = []

    async def run_cell(self, code: str, language: str | None) -> Failure | None:
        return self._failure

    def folder(self) -> str | None:
        return self._where

    def _say(self, kind: str, content: dict[str, Any]) -> None:
        self.said.append((kind, content))


def fail(failure: Failure, where: Path | None = None, plain: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """What its error message and its reply have."""
    kernel = Failing(failure, str(where) if where is not None else None)
    kernel.changes = None if plain else object()  # type: ignore[assignment]
    reply = asyncio.run(kernel.do_execute("code", False))
    ((kind, content),) = kernel.said
    assert kind == "error"
    return content, reply


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sales.csv").touch()
    return tmp_path


@pytest.mark.parametrize(
    "value", ["ENOENT: no such file or directory, open 'slaes.csv'", "exit code 1 from `cat slaes.csv`"]
)
def test_names_like_a_missing_file_s_are_told(folder: Path, value: str) -> None:
    content, reply = fail(Failure("Error", value, frames=[FRAME]), folder)
    assert (content["similar"], content["frames"]) == (["sales.csv"], [FRAME])
    assert content.items() <= reply.items()


def test_a_shell_s_command_tells_nothing_when_nobody_knows_where_it_was(folder: Path) -> None:
    assert "similar" not in fail(Failure("ExitCode", "exit code 1 from `cat slaes.csv`"))[0]


def test_a_notebook_gets_what_it_has_a_place_for(folder: Path) -> None:
    failure = Failure("Error", "ENOENT: no such file or directory, open 'slaes.csv'", frames=[FRAME])
    content, _ = fail(failure, folder, plain=True)
    assert content.keys() == {"ename", "evalue", "traceback"}


def test_other_failures_have_no_more_than_they_say(folder: Path) -> None:
    content, _ = fail(Failure("ExitCode", "exit code 1 from `false`"), folder)
    assert content.keys() == {"ename", "evalue", "traceback"}
