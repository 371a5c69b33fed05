"""Parts of the machinery are killed: only what died with them is lost, with its reason, and nobody else notices."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.live import proc
from tests.live.client import Event, Session
from tests.live.gateway import Gateway

from .readers import Reader

pytestmark = [pytest.mark.live, pytest.mark.timeout(200)]

STEPS = "import time\nn = 0\nwhile n < 10**9:\n    n += 1; print('step', n); time.sleep(0.01)"
VICTIM, OTHERS = "victim", ("one", "two", "three")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("parts") / "data", pool_size=1) as gateway:
        yield gateway


def kernel(session: Session) -> int:
    return int(session.look()["kernel"]["pid"])


def holder(session: Session) -> int:
    """The first process of the sandbox: all others in there end with it."""
    first = [pid for pid in proc.neighbours(kernel(session)) if proc.pid_inside(pid) == 1]
    assert len(first) == 1, first
    return first[0]


PIDS: dict[str, Callable[[Session], int]] = {"kernel": kernel, "holder": holder}


def ends(events: list[Event]) -> list[Event]:
    return [event for event in events if event.type == "execution.completed"]


def steps(events: list[Event]) -> str:
    return "".join(event.data["text"] for event in events if event.type == "output.stream")


def has_steps(count: int, events: list[Event]) -> bool:
    return steps(events).count("\n") >= count


def is_dead(session: Session) -> bool:
    return bool(session.look()["state"] == "dead")


def in_order(printed: str) -> bool:
    """The last may be on its way."""
    whole = printed[: printed.rfind("\n")].splitlines()
    return whole == [f"step {number}" for number in range(1, len(whole) + 1)]


@pytest.mark.parametrize("which", PIDS)
def test_only_its_own_session_ends(gateway: Gateway, which: str) -> None:
    readers = {name: Reader(gateway, f"{name}-{which}") for name in (VICTIM, *OTHERS)}
    with gateway.client() as client:
        sessions = {name: Session(client, reader.session) for name, reader in readers.items()}
        for name, session in sessions.items():
            session.value(f"kept = {name!r}")
            with session.stream(STEPS) as stream:
                stream.until_text("step 3\n")
            readers[name].start()
            readers[name].wait(lambda events: "step 3\n" in steps(events), "output")
        pid = PIDS[which](sessions[VICTIM])
        os.kill(pid, signal.SIGKILL)
        readers[VICTIM].wait(lambda events: len(ends(events)) == 2, "end")
        # The others do not even pause for long, and have what they had.
        before = {name: steps(readers[name].events).count("\n") for name in OTHERS}
        for name in OTHERS:
            readers[name].wait(partial(has_steps, before[name] + 20), "further output")
        _, end = ends(readers[VICTIM].events)
        assert (end.data["status"], end.data["state_lost"]) == ("killed", True)
        assert "SIGKILL" in end.data["error"]["value"] or "sandbox" in end.data["error"]["value"], end.data["error"]
        assert in_order(steps(readers[VICTIM].events))
        for name in OTHERS:
            sessions[name].interrupt()
            readers[name].wait(lambda events: len(ends(events)) == 2, "end")
            assert ends(readers[name].events)[-1].data["status"] == "interrupted"
            assert in_order(steps(readers[name].events))
            states = [event.data["state"] for event in readers[name].events if event.type == "session.state"]
            assert "dead" not in states
            assert sessions[name].value("print(kept)") == f"{name}\n"
        lost = sessions[VICTIM].events("'kept' in dir()")
        assert lost[0].type == "session.state"
        assert "Variables were lost" in lost[0].data["reason"]
        for name, reader in readers.items():
            reader.leave()
            sessions[name].delete()


def test_a_lost_fork_server_takes_its_own_kernels_only(gateway: Gateway) -> None:
    """They are its children, and it alone can tell how they end; those of another gateway's go on."""
    sessions = ("first", "second")
    beside = Gateway(gateway.data_dir.with_name("other"), pool_size=1)
    with gateway.client() as client, beside, beside.client() as far:
        elsewhere = Session(far, "elsewhere")
        elsewhere.value("kept = 1")
        for name in sessions:
            Session(client, name).value("kept = 1")
        family = proc.descendants(gateway.forkserver)
        os.kill(gateway.forkserver, signal.SIGKILL)
        for name in sessions:
            session = Session(client, name)
            proc.wait_until(partial(is_dead, session), 10, session.look)
            assert "fork server" in session.look()["reason"]
            events = session.events("print('kept' in dir())")
            assert [event.data["text"] for event in events if event.type == "output.stream"] == ["False\n"]
            reasons = [event.data.get("reason", "") for event in events if event.type == "session.state"]
            assert any("fork server" in reason and "lost" in reason for reason in reasons), reasons
        proc.wait_until(lambda: not proc.still_there(family), 10, lambda: proc.still_there(family))
        assert elsewhere.value("print(kept)") == "1\n"
        for name in sessions:
            Session(client, name).delete()
