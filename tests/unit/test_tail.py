"""A journal is followed while it is written: up to its last mark, each thing once, from file to file."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from kernelgw.events.event import Event
from kernelgw.events.tail import Place, Replaced, Tail, files_of, name_of

from .journals import Writer


def seqs(tail: Tail, most_bytes: int = 1 << 20) -> list[int]:
    """Of all events that come now."""
    found: list[int] = []
    while pieces := tail.read(most_bytes):
        found += [piece.item.seq for piece in pieces if isinstance(piece.item, Event)]
    return found


@pytest.mark.parametrize("most", [1, 100, 1 << 20])
def test_each_event_comes_once(tmp_path: Path, most: int) -> None:
    writer, tail = Writer(tmp_path / "s"), Tail(tmp_path / "s")
    assert seqs(tail, most) == []
    writer.run("1", "a", "b" * 500)
    assert seqs(tail, most) == [1, 2, 3, 4]
    assert seqs(tail, most) == []
    writer.run("2")
    assert seqs(tail, most) == [5, 6]


def test_it_goes_on_in_the_next_file(tmp_path: Path) -> None:
    writer, tail = Writer(tmp_path / "s"), Tail(tmp_path / "s")
    seen = []
    for number in range(40):
        writer.run(str(number), "x" * 10_000)
        seen += seqs(tail) if number % 7 == 0 else []
    assert len(files_of(tmp_path / "s")) == 1
    writer = Writer(tmp_path / "t", limit=1 << 20)
    tail = Tail(tmp_path / "t")
    seen = []
    for number in range(40):
        writer.run(str(number), "x" * 10_000)
        seen += seqs(tail) if number % 7 == 0 else []
    seen += seqs(tail)
    assert seen == list(range(1, 121))
    assert len(files_of(tmp_path / "t")) > 3
    assert tail.place.file == files_of(tmp_path / "t")[-1]


def test_what_has_no_mark_was_not_told(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "s")
    writer.run("1", "a")
    path = tmp_path / "s" / name_of(1)
    whole = path.read_bytes()
    start = 0
    for end in range(len(whole) + 1):
        path.write_bytes(whole[:end])
        tail = Tail(tmp_path / "s")
        found = seqs(tail)
        assert found == list(range(1, len(found) + 1))
        assert whole[: tail.place.offset].endswith(b"\n\n") or tail.place.offset == 0
        assert tail.place.offset >= start
        start = tail.place.offset
    assert found == [1, 2, 3]


def test_old_files_that_went_are_passed_over(tmp_path: Path) -> None:
    writer, tail = Writer(tmp_path / "s", limit=200_000), Tail(tmp_path / "s")
    writer.run("first")
    assert seqs(tail) == [1, 2]
    for number in range(60):
        writer.run(str(number), "x" * 10_000)
    found = seqs(tail)
    # The file that was open is read to its end.
    assert found[0] == 3
    assert found[-1] == writer.journal.last
    assert found == sorted(set(found))
    assert any(later - earlier > 1 for earlier, later in pairwise(found))


def test_another_journal_in_its_place_is_noticed(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "s")
    Writer(tmp_path / "s").run("1")
    assert seqs(tail) == [1, 2]
    (tmp_path / "s").rename(tmp_path / "~gone")
    assert seqs(tail) == []
    Writer(tmp_path / "s").run("2")
    with pytest.raises(Replaced):
        tail.read(1000)


def test_another_journal_with_fewer_files_is_noticed(tmp_path: Path) -> None:
    writer, tail = Writer(tmp_path / "s", limit=1 << 20), Tail(tmp_path / "s")
    for number in range(40):
        writer.run(str(number), "x" * 10_000)
    assert seqs(tail)
    (tmp_path / "s").rename(tmp_path / "~gone")
    Writer(tmp_path / "s").run("2")
    with pytest.raises(Replaced):
        tail.read(1000)


def test_places_are_where_blocks_begin(tmp_path: Path) -> None:
    Writer(tmp_path / "s").run("1", "a", "b")
    pieces = Tail(tmp_path / "s").read(1 << 20)
    data = (tmp_path / "s" / name_of(1)).read_bytes()
    for piece in pieces:
        assert piece.at.file == 1
        start = b"id: " if isinstance(piece.item, Event) else b": {"
        assert data[piece.at.offset :].startswith(start)
    assert sorted(piece.at for piece in pieces) == [piece.at for piece in pieces]
    assert Place() < pieces[0].at


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    def descriptors() -> list[Any]:
        return os.listdir("/proc/self/fd")  # noqa: PTH208

    before = len(descriptors())
    tail = Tail(tmp_path / "s")
    Writer(tmp_path / "s").journal.close()
    tail.read(1000)
    tail.close()
    assert len(descriptors()) == before
