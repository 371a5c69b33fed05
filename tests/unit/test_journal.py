"""Events on disk: what was written in one go is there as a whole or not at all, wherever it was cut."""

from __future__ import annotations

import asyncio
import errno
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kernelgw.events.event import Event
from kernelgw.events.journal import HELD, LEAST_FILE, Journal
from kernelgw.events.log import RECENT_BYTES, EventLog


def run(action: Callable[[], Any]) -> Any:
    async def main() -> Any:
        return action()

    return asyncio.run(main())


def seqs(events: list[Event]) -> list[int]:
    return [event.seq for event in events]


def event(seq: int, size: int = 10) -> tuple[int, bytes]:
    return seq, Event(seq, "output.stream", "e1", {"text": "x" * size, "execution_id": "e1"}, 0).frame()


def written(folder: Path, batches: list[list[int]], limit: int = 1 << 20) -> Journal:
    journal = Journal(folder, limit)
    for number, batch in enumerate(batches):
        for seq in batch:
            journal.append(*event(seq))
        journal.note({"batch": number})
        journal.taken[""] = number * 10
        journal.flush()
    return journal


def loaded(folder: Path, limit: int = 1 << 20) -> tuple[Journal, list[int], list[int]]:
    """The journal, its events, its notes."""
    journal = Journal(folder, limit)
    items = list(journal.load())
    events = [item.seq for item in items if isinstance(item, Event)]
    return journal, events, [item["batch"] for item in items if isinstance(item, dict)]


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    written(tmp_path, [[1, 2], [3], [], [4, 5]])
    journal, events, notes = loaded(tmp_path)
    assert (events, notes, journal.taken) == ([1, 2, 3, 4, 5], [0, 1, 2, 3], {"": 30})
    journal.append(*event(6))
    journal.flush()
    assert loaded(tmp_path)[1] == [1, 2, 3, 4, 5, 6]
    assert seqs(journal.read(0, 1 << 20)) == [1, 2, 3, 4, 5, 6]


def test_the_file_is_an_event_stream(tmp_path: Path) -> None:
    written(tmp_path, [[1], [2]])
    (path,) = tmp_path.iterdir()
    blocks = path.read_bytes().decode().split("\n\n")
    assert blocks.pop() == ""
    shown = [block for block in blocks if not block.startswith(":")]
    assert [block.split("\n")[:2] for block in shown] == [
        ["id: 1", "event: output.stream"],
        ["id: 2", "event: output.stream"],
    ]


def test_cut_anywhere_it_ends_with_a_whole_batch(tmp_path: Path) -> None:
    """As a kill in the middle of a write leaves it."""
    batches = [[1, 2], [3], [4, 5, 6]]
    written(tmp_path / "whole", batches)
    (path,) = (tmp_path / "whole").iterdir()
    data = path.read_bytes()
    marks = [b'"batch":%d}\n\n: %d\n\n' % (number, number * 10) for number in range(3)]
    ends = [data.index(mark) + len(mark) for mark in marks]
    for cut in range(len(data)):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / path.name).write_bytes(data[:cut])
        journal, events, notes = loaded(folder)
        whole = sum(cut >= end for end in ends)
        assert notes == list(range(whole))
        assert events == [seq for batch in batches[:whole] for seq in batch]
        next_seq = len(events) + 1
        journal.append(*event(next_seq))
        journal.flush()
        assert loaded(folder)[1] == [*events, next_seq]
        journal.close()


def test_events_that_look_like_marks_are_none(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 1 << 20)
    text = "\n\n: 99\n\nid: 7\nevent: x\ndata: {}\n\n: {}"
    journal.append(1, Event(1, "output.stream", None, {"text": text}, 0).frame())
    journal.flush()
    again, events, _ = loaded(tmp_path)
    assert (events, again.taken) == ([1], {"": 0})
    assert again.read(0, 1 << 20)[0].data == {"text": text}


def test_old_files_go_and_new_ones_begin_with_what_must_not(tmp_path: Path) -> None:
    heading = [{"session": "s"}]
    journal = Journal(tmp_path, 8 * LEAST_FILE, lambda: heading)
    for seq in range(1, 2001):
        journal.append(*event(seq, 1000))
        journal.flush()
    assert journal.size < 9 * LEAST_FILE
    assert len(list(tmp_path.iterdir())) <= 9
    assert 1 < journal.first < 2000
    again = Journal(tmp_path, 8 * LEAST_FILE)
    items = list(again.load())
    assert items[0] == {"session": "s"}
    assert [item.seq for item in items if isinstance(item, Event)] == list(range(journal.first, 2001))


def test_an_old_file_waits_for_whoever_reads_later_though_not_for_ever(tmp_path: Path) -> None:
    limit = 8 * LEAST_FILE
    journal = Journal(tmp_path, limit)
    come_to = 0
    journal.followed = lambda: come_to

    def write(first: int, count: int) -> None:
        for seq in range(first, first + count):
            journal.append(*event(seq, 1000))
            journal.flush()

    write(1, 1500)
    assert journal.first == 1
    assert journal.size > 2 * limit
    come_to = sorted(int(path.stem) for path in tmp_path.iterdir())[3]
    write(1501, 1)
    assert journal.first == come_to
    write(1502, 8000)
    assert journal.first > come_to
    assert journal.size < (HELD + 1) * limit


@pytest.mark.parametrize("most", [1, 5000, 1 << 30])
def test_reading_from_anywhere_goes_on_without_gap(tmp_path: Path, most: int) -> None:
    journal = Journal(tmp_path, 64 << 20)
    for seq in range(1, 1501):
        journal.append(*event(seq, 700 if seq % 100 else 200_000))
        if seq % 7 == 0:
            journal.flush()
    journal.flush()
    for start in (0, 1, 99, 100, 750, 1400, 1499, 1500):
        after, found = start, []
        while events := journal.read(after, most):
            found += seqs(events)
            after = found[-1]
            if most == 1 and len(found) > 20:
                break
        assert found == list(range(start + 1, start + 1 + len(found)))
        assert most == 1 or len(found) == 1500 - start


def test_a_log_reads_old_events_from_disk(tmp_path: Path) -> None:
    def action() -> None:
        log = EventLog(64 << 20, Journal(tmp_path, 64 << 20))
        count = 3 * RECENT_BYTES // 10_000
        for number in range(1, count + 1):
            log.append("t", {"n": number, "x": "x" * 10_000}, size=10_000)
        assert log.size <= RECENT_BYTES + 11_000
        found, after = [], 0
        while events := log.read(after, 1 << 20):
            after = events[-1].seq
            found += [(each.seq, each.data["n"]) for each in events]
        assert found == [(number, number) for number in range(1, count + 1)]
        log.close()

    run(action)


def test_nothing_is_read_before_it_is_written(tmp_path: Path) -> None:
    def action() -> None:
        log = EventLog(1 << 20, Journal(tmp_path, 1 << 20))
        log.append("t", {})
        assert list(tmp_path.iterdir()) == []
        assert seqs(log.read(0, 1 << 20)) == [1]
        assert loaded(tmp_path)[1] == [1]

    run(action)


def test_a_disk_that_takes_nothing_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What had been written stays; what is told meanwhile is written later, in order."""

    def full(fd: int, data: bytes, offset: int) -> int:
        # Some of it fits, as it may.
        if len(data) > 20:
            return real(fd, bytes(data)[:20], offset)
        raise OSError(errno.ENOSPC, "No space left on device")

    def action() -> None:
        log = EventLog(1 << 20, Journal(tmp_path, 1 << 20))
        log.append("t", {"n": 1})
        log.flush()
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", full)
            log.append("t", {"n": 2})
            assert seqs(log.read(0, 1 << 20)) == [1, 2], "still told"
            assert bool(log.failure)
            assert loaded(tmp_path)[1] == [1]
        log.append("t", {"n": 3})
        log.flush()
        assert not bool(log.failure)
        assert loaded(tmp_path)[1] == [1, 2, 3]
        log.close()

    real = os.pwrite
    run(action)


def test_what_waits_for_the_disk_is_bounded_and_the_gap_is_told(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 1 << 20)
    for seq in range(1, 11):
        journal.append(*event(seq, 100))
        journal.forget(500)
    journal.flush()
    first, *others = journal.read(0, 1 << 20)
    assert (first.type, first.data["from"], first.data["to"]) == ("stream.gap", 1, first.seq)
    assert seqs(others) == list(range(first.seq + 1, 11))
    assert len(others) in (2, 3)


def test_what_a_broken_disk_leaves_costs_no_more_than_itself(tmp_path: Path) -> None:
    chance = random.Random(1)
    written(tmp_path / "whole", [[seq] for seq in range(1, 51)])
    (path,) = (tmp_path / "whole").iterdir()
    for number in range(100):
        data = bytearray(path.read_bytes())
        for _ in range(3):
            start = chance.randrange(len(data))
            data[start : start + 5] = chance.randbytes(5)
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / path.name).write_bytes(data)
        journal = Journal(folder, 1 << 20)
        found = [item.seq for item in journal.load() if isinstance(item, Event)]
        assert len(found) >= 30
        assert [event.seq for event in journal.read(0, 1 << 20)][:3]
        last = journal.last
        journal.append(*event(last + 1))
        journal.flush()
        assert journal.read(last, 1 << 20)[-1].seq == last + 1
        journal.close()


def test_notes_alone_begin_no_new_file(tmp_path: Path) -> None:
    """A new one would have the name of the old."""
    journal = written(tmp_path, [[1, 2]], limit=8 * LEAST_FILE)
    for number in range(1, 5):
        journal.note({"batch": number, "large": "x" * LEAST_FILE})
        journal.flush()
    assert loaded(tmp_path)[1:] == ([1, 2], [0, 1, 2, 3, 4])
    journal.append(*event(3))
    journal.flush()
    assert len(list(tmp_path.iterdir())) == 2
    assert seqs(journal.read(0, 1 << 20)) == [1, 2, 3]
