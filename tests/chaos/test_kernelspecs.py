"""A kernel of others while there is no gateway: it is stopped rather than losing what it says, and goes on after."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import pytest

from tests.live import proc
from tests.live.client import Session
from tests.live.odd import declare

from .conftest import Start

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(180)]
# Some 60 MB, each line a message: more than is kept for a gateway that may come back.
LINES, WIDTH = 600, 100_000
FLOOD = f"run import time; time.sleep(1)\nfor i in range({LINES}): say('%d ' % i + 'x' * {WIDTH} + chr(10))"
BOUNDS = MappingProxyType({"output_bytes": 128 << 20, "log_bytes": 256 << 20})


def program(kernel: int) -> int:
    """Of all that runs beside the kernel's process, the kernelspec's."""
    (found,) = (pid for pid in proc.neighbours(kernel) if "XPUB_NODROP" in proc.command(pid))
    return int(found)


def stopped(pid: int) -> bool:
    return (proc.PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_it_waits_for_the_next_gateway_and_nothing_is_missing(start: Start, tmp_path: Path) -> None:
    declare(tmp_path / "data", "odd")
    first = start(**BOUNDS)
    with first.client() as client:
        session = Session(client, "s")
        session.value("say before", language="odd")
        with session.stream(FLOOD) as stream:
            id_ = stream.until("execution.started").data["execution_id"]
            kernel = session.look()["kernel"]["pid"]
            first.kill()
    spoken = program(kernel)
    proc.wait_until(lambda: stopped(spoken), 30, "it goes on, and nobody hears it")
    with start(**BOUNDS).client() as client:
        session = Session(client, "s")
        with session.follow(id_) as stream:
            assert stream.until("execution.completed").data["status"] == "completed"
        text = "".join(each.get("text", "") for each in session.execution(id_)["outputs"])
        assert [line.split()[0] for line in text.splitlines()] == [str(number) for number in range(LINES)]
        assert len(text) > LINES * WIDTH
        assert session.value("say after", language="odd") == "after"
