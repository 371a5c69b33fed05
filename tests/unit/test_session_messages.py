"""What a kernel says to its session beyond what is expected of it costs the gateway nothing that lasts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from kernelgw.environments import Environment
from kernelgw.events.log import EventLog
from kernelgw.events.translate import LONGEST_TRACEBACK, LONGEST_VALUE
from kernelgw.kernel.box import Box
from kernelgw.kernel.forkserver import ForkServer
from kernelgw.kernel.kernel import Kernel
from kernelgw.kernel.wire import Message
from kernelgw.languages import DEFAULT, Language
from kernelgw.sandbox.workspaces import Workspace
from kernelgw.sessions.execution import Execution, Status
from kernelgw.sessions.lane import Lane
from kernelgw.sessions.plan import Plan
from kernelgw.sessions.session import Session

pytestmark = pytest.mark.anyio


class Given:
    """A source that has one kernel, and no other."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    async def take(self, lane: Lane) -> Kernel:
        return self.kernel

    def language(self, name: str, environment: str) -> Language:
        return DEFAULT


@pytest.fixture
async def session(tmp_path: Path) -> AsyncIterator[Session]:
    """With a kernel that has not connected yet, so that all it says is what a test says for it."""
    server = ForkServer(Environment("none", tmp_path, (), {}, ""), tmp_path)
    kernel = Kernel(Box("k", server, False, False), Workspace(tmp_path, None, False, 0), closed_in=True)
    _, ours = await kernel.open(tmp_path / "sockets")
    os.close(ours)
    session = Session("chat", Plan("python", "none"), DEFAULT, Given(kernel))
    yield session
    kernel.discard()


async def running(session: Session) -> Execution:
    execution = session.execute(session.main, "code", "python", stdin=True)
    for _ in range(10):
        await asyncio.sleep(0)
    assert execution.status is Status.RUNNING
    return execution


def said(execution: Execution, msg_type: str, content: dict[str, Any]) -> Message:
    return Message(msg_type, "forged", execution.id, [b"{}", b"{}", b"{}", orjson.dumps(content)])


def idle(execution: Execution) -> Message:
    return said(execution, "status", {"execution_state": "idle"})


def timers() -> int:
    loop: Any = asyncio.get_running_loop()
    return sum(not timer.cancelled() for timer in loop._scheduled)


async def test_idle_again_and_again_arms_one_timer_and_the_end_none(session: Session) -> None:
    before = timers()
    execution = await running(session)
    for _ in range(1000):
        session.main.dialogue.on_iopub(idle(execution))
    assert timers() == before + 1
    session.main.dialogue.on_iopub(said(execution, "execute_reply", {"status": "ok"}))
    assert execution.status is Status.COMPLETED
    assert timers() == before


async def test_an_error_reply_is_cut_and_counted_and_the_reply_not_kept(session: Session) -> None:
    execution = await running(session)
    session.main.dialogue.on_iopub(idle(execution))
    before = session.log.size
    reply = {"status": "error", "ename": "E", "evalue": "v" * 5_000_000, "traceback": ["t" * 100_000] * 50}
    session.main.dialogue.on_iopub(said(execution, "execute_reply", reply))
    assert execution.status is Status.FAILED
    assert execution.reply is None
    assert execution.error is not None
    assert len(orjson.dumps(execution.error)) < LONGEST_VALUE + LONGEST_TRACEBACK + 1000
    assert session.log.size - before >= LONGEST_VALUE
    assert execution.kept >= LONGEST_VALUE


async def test_only_what_runs_may_ask(session: Session) -> None:
    question = {"prompt": "Who? ", "password": False}
    first = await running(session)
    session.main.dialogue.on_iopub(idle(first))
    session.main.dialogue.on_iopub(said(first, "execute_reply", {"status": "ok"}))
    second = await running(session)
    for execution in (first, second):
        session.main.dialogue.on_iopub(said(execution, "input_request", question))
    assert not first.waiting_for_input
    assert second.waiting_for_input
    assert [event.execution_id for event in asked(session.log)] == [second.id]
    session.main.dialogue.on_iopub(idle(second))
    session.main.dialogue.on_iopub(said(second, "execute_reply", {"status": "ok"}))
    assert not second.waiting_for_input


def asked(log: EventLog) -> list[Any]:
    return [event for event in log.read(0, 1 << 30) if event.type == "input.requested"]


async def test_a_long_question_counts(session: Session) -> None:
    execution = await running(session)
    prompt = {"prompt": "x" * 1_000_000}
    session.main.dialogue.on_iopub(said(execution, "input_request", prompt))
    assert asked(session.log)[0].size >= 1_000_000
