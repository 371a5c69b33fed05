"""An execution: its object as docs/http.md has it, its clock, and those who wait for its end."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import orjson
import pytest

from kernelgw.events.outputs import Outputs
from kernelgw.events.translate import Happening
from kernelgw.sessions.execution import FINISHED, Execution, Status


def execution() -> Execution:
    return Execution("chat-1", "1 + 1", "python", Outputs(1000))


def test_the_states_that_clients_know() -> None:
    states = "queued running completed failed interrupted timed_out killed"
    assert [status.value for status in Status] == states.split()
    assert set(Status) - FINISHED == {Status.QUEUED, Status.RUNNING}


def test_a_new_one_is_queued_has_an_id_of_its_own_and_no_clock() -> None:
    one, two = execution(), execution()
    assert one.id != two.id
    assert one.status is Status.QUEUED
    assert not one.finished
    assert one.duration() is None
    assert one.summary()["started_at"] is None
    assert one.summary()["duration_s"] is None


def test_the_object_has_the_promised_members() -> None:
    found = execution()
    found.outputs.apply(17, Happening("output.stream", {"name": "stdout", "text": "2"}, 1))
    found.start()
    found.execution_count = 3
    found.finish(Status.COMPLETED)
    summary = found.summary()
    assert set(summary) == {
        *("id", "session_id", "language", "kernel", "status", "execution_count", "error", "started_at", "duration_s"),
        *("state_lost", "artifacts", "files", "files_left_out", "files_whole", "full_text"),
    }
    whole = found.as_json()
    assert whole == {
        **summary,
        "code": "1 + 1",
        "outputs": [{"seq": 17, "output_type": "stream", "name": "stdout", "text": "2"}],
    }
    assert whole["status"] == "completed"
    assert (whole["session_id"], whole["language"], whole["execution_count"]) == ("chat-1", "python", 3)
    orjson.dumps(whole)


def test_it_started_now_in_utc() -> None:
    found = execution()
    before = datetime.now(UTC)
    found.start()
    started = datetime.fromisoformat(found.summary()["started_at"])
    assert before <= started <= datetime.now(UTC)


def test_the_clock_runs_while_it_runs_and_stands_after() -> None:
    found = execution()
    found.start()
    first = found.duration()
    time.sleep(0.002)
    second = found.duration()
    assert first is not None
    assert second is not None
    assert 0 <= first < second
    found.finish(Status.FAILED)
    stands = found.duration()
    time.sleep(0.002)
    assert found.duration() == stands


def test_one_that_never_started_has_no_duration() -> None:
    found = execution()
    found.finish(Status.KILLED)
    assert found.finished
    assert found.summary()["duration_s"] is None
    assert found.summary()["started_at"] is None


async def test_its_end_wakes_all_who_wait() -> None:
    found = execution()
    waiting = [asyncio.create_task(found.done()) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    found.finish(Status.INTERRUPTED)
    await asyncio.wait_for(asyncio.gather(*waiting), 1)


async def test_who_comes_after_the_end_does_not_wait() -> None:
    found = execution()
    found.finish(Status.COMPLETED)
    await asyncio.wait_for(found.done(), 1)


async def test_one_who_gave_up_does_not_hinder_the_others() -> None:
    found = execution()
    gone, stays = asyncio.create_task(found.done()), asyncio.create_task(found.done())
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    found.finish(Status.COMPLETED)
    await asyncio.wait_for(stays, 1)
    assert gone.cancelled()


@pytest.mark.parametrize("status", sorted(FINISHED))
async def test_its_end_calls_the_deadline_off(status: Status) -> None:
    found = execution()
    fired: list[str] = []
    found.timer = asyncio.get_running_loop().call_later(0.001, fired.append, "deadline")
    found.finish(status)
    await asyncio.sleep(0.005)
    assert fired == []
    assert found.timer is None
