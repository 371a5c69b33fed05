"""The event log: numbered, bounded, read by pulling at any pace, with every cut told."""

from __future__ import annotations

import asyncio
import gc
import random
import weakref
from typing import Any

import orjson
import pytest

from kernelgw.events.event import OVERHEAD, Event
from kernelgw.events.log import EventLog


class Payload(str):
    """A text that can be asked whether it is still there."""

    __slots__ = ("__weakref__",)


def filled(count: int, limit: int = 1 << 20, size: int = 0) -> EventLog:
    log = EventLog(limit)
    for number in range(1, count + 1):
        log.append("t", {"n": number}, size=size)
    return log


def seqs(events: list[Event]) -> list[int]:
    return [event.seq for event in events]


def test_events_are_numbered_from_one() -> None:
    log = EventLog(10_000)
    assert (log.first, log.last) == (1, 0)
    assert [log.append("t", {}).seq for _ in range(3)] == [1, 2, 3]
    assert (log.first, log.last) == (1, 3)


def test_an_event_says_whose_it_is() -> None:
    log = EventLog(1000)
    mine, nobodys = log.append("output.stream", {"text": "x"}, "e1"), log.append("session.state", {"state": "idle"})
    assert (mine.execution_id, mine.data) == ("e1", {"text": "x", "execution_id": "e1"})
    assert (nobodys.execution_id, nobodys.data) == (None, {"state": "idle"})


def test_reading_begins_after_what_was_seen() -> None:
    log = filled(5)
    assert seqs(log.read(0, 10**9)) == [1, 2, 3, 4, 5]
    assert seqs(log.read(3, 10**9)) == [4, 5]
    assert log.read(5, 10**9) == []


def test_reading_beyond_the_end_finds_nothing() -> None:
    assert filled(5).read(99, 10**9) == []
    assert EventLog(1000).read(0, 10**9) == []


def test_a_batch_ends_with_the_event_that_fills_it() -> None:
    log = filled(10, size=1000 - OVERHEAD)
    assert seqs(log.read(0, 2500)) == [1, 2, 3]
    assert seqs(log.read(3, 2000)) == [4, 5]
    assert seqs(log.read(3, 1)) == [4]


def test_a_batch_has_at_least_one_event_however_large() -> None:
    assert seqs(filled(2, size=100_000).read(0, 10)) == [1]


def test_a_reader_that_comes_too_late_is_told_what_it_missed() -> None:
    log = filled(10, limit=3000, size=1000 - OVERHEAD)
    assert (log.first, log.last) == (8, 10)
    gap, *rest = log.read(2, 10**9)
    assert (gap.type, gap.seq, gap.execution_id) == ("stream.gap", 7, None)
    assert (gap.data["from"], gap.data["to"]) == (3, 7)
    assert seqs(rest) == [8, 9, 10]


def test_a_reader_that_has_seen_the_last_of_the_lost_misses_nothing() -> None:
    log = filled(10, limit=3000, size=1000 - OVERHEAD)
    assert seqs(log.read(7, 10**9)) == [8, 9, 10]
    assert [event.type for event in log.read(7, 10**9)] == ["t"] * 3
    assert [event.type for event in log.read(6, 10**9)][:2] == ["stream.gap", "t"]


def test_the_newest_event_stays_however_large() -> None:
    log = filled(3, limit=1000, size=5000)
    assert (log.first, log.last) == (3, 3)
    assert [event.type for event in log.read(0, 1)] == ["stream.gap", "t"]


def test_what_is_kept_stays_within_the_limit() -> None:
    random_ = random.Random(1)
    log = EventLog(50_000)
    for _ in range(5000):
        log.append("t", {}, size=random_.choice((0, 10, 1000, 20_000)))
        kept = log.read(log.first - 1, 10**9)
        assert log.size == sum(event.size for event in kept)
        assert log.size <= 50_000
        assert seqs(kept) == list(range(log.first, log.last + 1))


def alive(references: list[weakref.ref[Payload]]) -> int:
    gc.collect()
    return sum(len(payload) for ref in references if (payload := ref()) is not None)


def test_what_was_trimmed_does_not_stay_in_memory() -> None:
    log, references = EventLog(100_000), []
    for _ in range(3000):
        payload = Payload("x" * 1000)
        references.append(weakref.ref(payload))
        log.append("t", {"text": payload}, size=len(payload))
        del payload
    assert alive(references) <= 2 * 100_000


def test_large_events_between_small_ones_do_not_stay_in_memory_after_they_were_trimmed() -> None:
    log, references = EventLog(1_000_000), []
    for small in (1, 5, 15, 40, 100, 250, 600):
        payload = Payload("x" * 600_000)
        references.append(weakref.ref(payload))
        log.append("t", {"text": payload}, size=len(payload))
        del payload
        for _ in range(small):
            log.append("t", {})
    assert alive(references) <= 2 * 1_000_000


async def test_wait_returns_at_once_when_there_is_something() -> None:
    assert await filled(3).wait(2) is True


async def test_an_append_wakes_all_who_wait_for_it_and_nobody_else() -> None:
    log = filled(3)
    near = [asyncio.create_task(log.wait(3)) for _ in range(3)]
    far = asyncio.create_task(log.wait(4))
    await asyncio.sleep(0)
    log.append("t", {})
    assert await asyncio.gather(*near) == [True] * 3
    assert not far.done()
    log.append("t", {})
    assert await far is True


async def test_closing_ends_those_who_wait_and_those_who_come_later() -> None:
    log = filled(3)
    waiting = [asyncio.create_task(log.wait(3)) for _ in range(3)]
    await asyncio.sleep(0)
    log.close()
    assert await asyncio.gather(*waiting) == [False] * 3
    assert await log.wait(3) is False


async def test_what_was_kept_can_be_read_after_the_close() -> None:
    log = filled(3)
    log.close()
    assert await log.wait(2) is True
    assert seqs(log.read(2, 10**9)) == [3]


async def test_waiters_that_gave_up_do_not_gather() -> None:
    # Each keep-alive of an idle stream is such a wait.
    log = filled(1)
    for _ in range(100):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(log.wait(1), 0.0001)
    assert len(log._waiters) <= 1


async def test_a_waiter_that_gave_up_does_not_hinder_others() -> None:
    log = filled(1)
    gone, stays = asyncio.create_task(log.wait(1)), asyncio.create_task(log.wait(1))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    log.append("t", {})
    assert await stays is True
    assert gone.cancelled()


def test_a_frame_is_one_server_sent_event() -> None:
    event = EventLog(10**6).append("output.stream", {"text": "a\r\nb\n\n"}, "e1")
    head, rest = event.frame().split(b"\ndata: ")
    assert head == b"id: 1\nevent: output.stream"
    assert rest.endswith(b"\n\n")
    assert b"\n" not in rest[:-2]
    assert b"\r" not in rest
    assert orjson.loads(rest) == {"text": "a\r\nb\n\n", "execution_id": "e1"}


def test_a_frame_is_encoded_once_unless_it_is_large() -> None:
    log = EventLog(10**6)
    small, large = log.append("t", {"text": "x"}), log.append("t", {"text": "x" * 100_000})
    assert small.frame() is small.frame()
    assert large.frame() is not large.frame()
    assert large.frame() == large.frame()


class Reader:
    """Pulls now and then, and keeps account: each seq exactly once, as an event or inside a gap."""

    def __init__(self, pace: float, batch: int) -> None:
        self.pace, self.batch = pace, batch
        self.after = 0
        self.seen = 0
        self.missed = 0

    def pull(self, log: EventLog) -> None:
        for event in log.read(self.after, self.batch):
            data: dict[str, Any] = event.data
            if event.type == "stream.gap":
                assert data["from"] == self.after + 1
                assert data["to"] == event.seq >= data["from"]
                self.missed += data["to"] - data["from"] + 1
            else:
                assert event.seq == self.after + 1
                assert data["n"] == event.seq
                self.seen += 1
            self.after = event.seq


@pytest.mark.parametrize("seed", range(25))
def test_every_reader_sees_each_event_once_or_a_gap_that_covers_it(seed: int) -> None:
    random_ = random.Random(seed)
    log = EventLog(random_.choice((1000, 20_000, 200_000)))
    readers = [Reader(pace, random_.choice((1, 1000, 10**6))) for pace in (0.9, 0.3, 0.05, 0.005, 0.0)]
    for number in range(1, 2001):
        log.append("t", {"n": number}, size=random_.choice((0, 0, 0, 100, 5000)))
        for reader in readers:
            if random_.random() < reader.pace:
                reader.pull(log)
    for reader in readers:
        while reader.after < log.last:
            reader.pull(log)
        assert reader.seen + reader.missed == 2000
    assert readers[-1].seen == log.last - log.first + 1
