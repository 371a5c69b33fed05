"""Names like one that is not there: what is found, and how little of anything is looked at."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from kernels.similar import ENOUGH_S, MOST_FOUND, MOST_NAMES, close, facts, files, missing, one_slip


def test_a_name_that_is_nearly_there(tmp_path: Path) -> None:
    for name in ("sales.csv", "sales_2024.csv", "readme.md"):
        (tmp_path / name).touch()
    assert files("slaes.csv", str(tmp_path))[0] == "sales.csv"
    assert files("Sales.CSV", str(tmp_path))[0] == "sales.csv"
    assert files("photo.jpeg", str(tmp_path)) == []


def test_it_is_told_as_it_has_to_be_called(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "sales.csv").touch()
    assert files("data/slaes.csv", str(tmp_path)) == ["data/sales.csv"]
    assert files(f"{tmp_path}/data/slaes.csv", "/") == [f"{tmp_path}/data/sales.csv"]
    # In a folder that is not there, or right above it.
    assert files("/mnt/data/sales.csv", str(tmp_path)) == ["data/sales.csv"]
    assert files("sales.csv", str(tmp_path)) == ["data/sales.csv"]


@pytest.mark.parametrize("path", ["", "\0", "x" * 5000, "/", ".", "no/such/folder/", "data/"])
def test_what_is_no_name_finds_nothing(tmp_path: Path, path: str) -> None:
    (tmp_path / "sales.csv").touch()
    assert files(path, str(tmp_path)) == []
    assert files("sales.csv", str(tmp_path / "gone")) == []


def test_no_more_is_looked_at_than_it_takes(tmp_path: Path) -> None:
    read = iter(f"name{number}" for number in range(10**9))
    assert len(close("name", read, 0.5)) == MOST_FOUND
    assert next(read) == f"name{MOST_NAMES}"


def test_names_made_to_be_compared_for_long_are_not() -> None:
    names = ["ab" * 49 + f"{number:02}" for number in range(100)] * 20
    began = time.monotonic()
    assert close("ba" * 50, names) != []
    assert time.monotonic() - began < ENOUGH_S + 1


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ("ENOENT: no such file or directory, open 'dta.csv'", "dta.csv"),
        ("ENOENT: no such file or directory, rename 'a b.csv' -> 'c'", "a b.csv"),
        ("Cannot find module './helprs'\nRequire stack:\n- /workspace/[cell]", "./helprs"),
        ("Cannot find module '/workspace/nope.mjs' imported from /workspace/a.mjs", "/workspace/nope.mjs"),
        ("1: cat: dta.csv: No such file or directory", "dta.csv"),
        ("bash: line 3: dta.csv: No such file or directory\n", "dta.csv"),
        ("ls: cannot access 'dta.csv': No such file or directory", "dta.csv"),
        ("head: cannot open 'dta.csv' for reading: No such file or directory", "dta.csv"),
    ],
)
def test_what_programs_say_of_a_file(said: str, path: str) -> None:
    assert missing(said) == path


@pytest.mark.parametrize("said", ["", "Cannot find module 'left-pad'", "No such file or directory", "bad: data.csv"])
def test_what_they_say_of_other_things(said: str) -> None:
    assert missing(said) is None


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("cat dta.csv", ["data.csv"]),
        ("wc -l 'dta.csv'", ["data.csv"]),
        ("cat -n data.csv dta.csv", ["data.csv"]),
        ("cat data.csv", []),
        # What is no file, or not by this name.
        ("grep dta.csv notes", []),
        ("head -n 5 dta.csv", []),
        ("cat $dta.csv", []),
        ("cat dta.*", []),
        ("cat 'dta.csv", []),
        ("python dta.csv", []),
    ],
)
def test_a_file_that_a_shell_s_command_was_given(tmp_path: Path, command: str, found: list[str]) -> None:
    (tmp_path / "data.csv").touch()
    said = f"exit code 1 from `{command}`"
    assert facts(said, str(tmp_path)).get("similar", []) == found
    # Where it was is not known.
    assert facts(said, None) == {}


def test_a_failure_s_facts(tmp_path: Path) -> None:
    (tmp_path / "data.csv").touch()
    assert facts("cat: dta.csv: No such file or directory", str(tmp_path)) == {"similar": ["data.csv"]}
    assert facts("cat: photo.png: No such file or directory", str(tmp_path)) == {}
    assert facts("exit status 1", str(tmp_path)) == {}


@pytest.mark.parametrize("said", ["'" * 50_000, ": " * 50_000, "ENOENT: no such file or directory, open '" * 2000])
def test_what_was_made_to_be_searched_for_long_is_not(said: str) -> None:
    began = time.monotonic()
    missing(said)
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    ("one", "other", "slip"),
    [
        ("numppy", "numpy", True),
        ("nmpy", "numpy", True),
        ("nunpy", "numpy", True),
        ("pnadas", "pandas", True),
        ("pandas", "panda", True),
        ("pandasql", "pandas", False),
        ("reqs", "requests", False),
        ("pnadsa", "pandas", False),
    ],
)
def test_one_slip(one: str, other: str, slip: bool) -> None:
    assert one_slip(one, other) == one_slip(other, one) == slip
