"""Large parts of outputs are stored before what comes after them is handled, and ends wait for what was made."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from kernelgw.artifacts.contents import Contents, Drawer
from kernelgw.environments import Environment
from kernelgw.kernel.box import Box
from kernelgw.kernel.exits import GATEWAY_GONE
from kernelgw.kernel.forkserver import ForkServer
from kernelgw.kernel.kernel import Kernel
from kernelgw.kernel.wire import Message
from kernelgw.languages import DEFAULT, Language
from kernelgw.sandbox.workspaces import Workspace
from kernelgw.sessions.artifacts import Allowance
from kernelgw.sessions.execution import Execution, Status
from kernelgw.sessions.lane import Lane
from kernelgw.sessions.plan import Plan
from kernelgw.sessions.session import Session

pytestmark = pytest.mark.anyio

PICTURE = base64.b64encode(bytes(range(256)) * 8).decode()


class Given:
    """A source that has one kernel, and no other."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    async def take(self, lane: Lane) -> Kernel:
        return self.kernel

    def language(self, name: str, environment: str) -> Language:
        return DEFAULT


@pytest.fixture
async def kernel(tmp_path: Path) -> AsyncIterator[Kernel]:
    """One that has not connected, so that all it says is what a test says for it."""
    server = ForkServer(Environment("none", tmp_path, (), {}, ""), tmp_path)
    (tmp_path / "files").mkdir()
    kernel = Kernel(Box("k", server, False, False), Workspace(tmp_path / "files", None, False, 0), closed_in=True)
    _, ours = await kernel.open(tmp_path / "sockets")
    os.close(ours)
    yield kernel
    kernel.discard()


@pytest.fixture
async def session(tmp_path: Path, kernel: Kernel) -> AsyncIterator[Session]:
    store = Contents(tmp_path / "store")
    store.prepare()
    plan = Plan(
        "python", "none", artifacts=Allowance(session=100_000, largest=50_000, inline=1000), output_bytes=10_000
    )
    yield Session("chat", plan, DEFAULT, Given(kernel), None, Drawer(store, lambda: tmp_path / "links"))
    store.threads.shutdown()


async def running(session: Session) -> Execution:
    execution = session.execute(session.main, "code", "python")
    for _ in range(10):
        await asyncio.sleep(0)
    assert execution.status is Status.RUNNING
    return execution


class Says:
    """What the session's kernel says of an execution."""

    def __init__(self, session: Session, execution: Execution) -> None:
        assert session.main.kernel is not None
        self.listener = session.main.kernel.client.listener
        self.execution = execution
        self.number = 0

    def __call__(self, msg_type: str, **content: Any) -> None:
        assert self.listener is not None
        self.number += 1
        raw = [b"{}", b"{}", b"{}", orjson.dumps(content)]
        self.listener.on_iopub(Message(msg_type, "said", self.execution.id, raw), self.number)

    def end(self) -> None:
        self("execute_reply", status="ok")
        self("status", execution_state="idle")


def told(session: Session) -> list[str]:
    events = session.log.read(0, 1 << 30)
    return [event.type for event in events if not event.type.startswith(("session", "execution.started"))]


async def test_what_comes_meanwhile_waits_and_the_end_too(session: Session) -> None:
    execution = await running(session)
    says = Says(session, execution)
    says("stream", name="stdout", text="before")
    for _ in range(2):
        says("display_data", data={"image/png": PICTURE, "text/plain": "x" * 2000})
        says("stream", name="stdout", text="after")
    says.end()
    assert told(session) == ["output.stream"]
    await execution.done()
    assert told(session) == [
        "output.stream",
        *("artifact.created", "output.display", "output.stream"),
        # The same again is told to be there already, by the one event that there was.
        *("output.display", "output.stream", "execution.completed"),
    ]
    first, second = (output for output in execution.outputs.as_json() if "data" in output)
    assert first["artifacts"] == second["artifacts"]
    assert first["data"] == {"text/plain": "x" * 2000}


async def test_what_finds_no_room_stays_in_its_event(session: Session) -> None:
    execution = await running(session)
    says = Says(session, execution)
    for number in range(8):
        says("display_data", data={"text/html": f"{number}" * 2000})
    says.end()
    await execution.done()
    # Each counts as 16 KiB.
    assert told(session).count("artifact.created") == 6
    kept = [output["data"].get("text/html") for output in execution.outputs.as_json() if "data" in output]
    assert kept[6:] == ["6" * 2000, "7" * 2000]


async def test_what_cannot_be_read_is_told_in_its_place(session: Session) -> None:
    execution = await running(session)
    says = Says(session, execution)
    says("display_data", data={"image/png": PICTURE})
    assert says.listener is not None
    broken = Message("display_data", "said", execution.id, [b"{}", b"{}", b"{}", b"{" + b"x" * 5000])
    says.listener.on_iopub(broken, 2)
    says("stream", name="stdout", text="after")
    says.end()
    await execution.done()
    assert told(session)[:4] == ["artifact.created", "output.display", "output.stream", "output.stream"]


async def test_a_kernel_that_ends_has_said_all_before(session: Session, kernel: Kernel) -> None:
    execution = await running(session)
    says = Says(session, execution)
    says("display_data", data={"image/png": PICTURE})
    kernel.exit = GATEWAY_GONE
    kernel.exited(GATEWAY_GONE)
    assert not execution.finished
    await execution.done()
    assert execution.status is Status.KILLED
    assert told(session) == ["artifact.created", "output.display", "execution.completed"]


async def test_files_are_kept_before_the_end_is_told_and_before_the_next_begins(
    session: Session, kernel: Kernel
) -> None:
    first = await running(session)
    second = session.execute(session.main, "next", "python")
    (kernel.workspace.path / "a.txt").write_text("content")
    says = Says(session, first)
    files = [{"path": name, "change": "created", "size": 7} for name in ("a.txt", "none.txt")]
    says("files_changed", files=files, more=0, whole=True)
    # A second time is code's own doing.
    says("files_changed", files=[{"path": "x", "change": "created", "size": 1}], more=0, whole=True)
    says.end()
    # Nothing can stop what is over.
    session.interrupt()
    assert (first.status, first.ended) == (Status.RUNNING, Status.COMPLETED)
    assert second.status is Status.INTERRUPTED
    await first.done()
    assert first.status is Status.COMPLETED
    kept, gone = first.files
    assert (kept["path"], kept["artifact"]["name"], kept["reason"]) == ("a.txt", "a.txt", None)
    assert (gone["artifact"], gone["reason"]) == (None, "it cannot be read: no such file or directory")
    assert told(session)[-2:] == ["artifact.created", "execution.completed"]


async def test_a_session_that_ends_meanwhile_tells_the_end_once(session: Session, kernel: Kernel) -> None:
    execution = await running(session)
    (kernel.workspace.path / "a.txt").write_text("content")
    says = Says(session, execution)
    says("files_changed", files=[{"path": "a.txt", "change": "created", "size": 7}], more=0, whole=True)
    says.end()
    # Without a process of its own it is as gone as it will be.
    session.main.dialogue.kernel = None
    await session.end()
    assert execution.status is Status.COMPLETED
    assert told(session).count("execution.completed") == 1


async def test_a_flood_that_is_cut_off_leaves_no_half_written_text(
    session: Session, kernel: Kernel, tmp_path: Path
) -> None:
    execution = await running(session)
    says = Says(session, execution)
    for _ in range(50):
        says("stream", name="stdout", text="x" * 100_000)
    assert execution.text is not None
    kernel.exit = GATEWAY_GONE
    kernel.exited(GATEWAY_GONE)
    await session.end()
    session.artifacts._store.threads.shutdown()  # type: ignore[union-attr]
    assert execution.status is Status.KILLED
    assert list((tmp_path / "store" / "tmp").iterdir()) == []
