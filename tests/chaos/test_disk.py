"""The disk that sessions are written to is full: what runs goes on, and nothing that was told is missing later."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.client import Event, Session, problem
from tests.live.gateway import Gateway

from .readers import Reader

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk of its own for the journals"),
]


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "data"
    (folder / "sessions").mkdir(parents=True)
    folder.chmod(0o711)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4M,mode=700", "disk", str(folder / "sessions")], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder / "sessions")], check=True)


def fill(path: Path) -> None:
    """Until nothing more fits."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def ended_with(events: list[Event], text: str) -> bool:
    printed = "".join(event.data["text"] for event in events if event.type == "output.stream")
    return text in printed and events[-1].type == "execution.completed"


def test_a_full_disk(data_dir: Path) -> None:
    gateway = Gateway(data_dir, pool_size=1)
    with gateway, gateway.client() as client:
        session, flood = Session(client, "s"), Session(client, "flood")
        flood.run("1")
        assert session.value("x = 1; print('before')") == "before\n"
        reader = Reader(gateway, "s")
        reader.start()
        fill(data_dir / "sessions" / "filler")
        assert session.value("x += 1; print('meanwhile')") == "meanwhile\n"
        reader.wait(lambda events: ended_with(events, "meanwhile"), "live output")
        error = problem(client.put("/v1/sessions/new"), 507, "disk_full")
        assert "No space left" in error["message"]
        # More than a kernel keeps of what nobody has heard: it must not wait for the disk.
        assert flood.run("for _ in range(60): print('x' * 1_000_000)")["status"] == "completed"
        flood.delete()
        (data_dir / "sessions" / "filler").unlink()
        assert session.value("x += 1; print('after')") == "after\n"
        reader.wait(lambda events: ended_with(events, "after"), "output afterwards")
        reader.leave()
        gateway.kill()
        gateway.start()
        with gateway.client() as again, Session(again, "s").follow(after=0) as stream:
            told = [event for _, event in zip(reader.events, stream, strict=False)]
            assert told == reader.events
            assert Session(again, "s").value("print(x)") == "3\n"
            Session(again, "new").create()
            Session(again, "new").delete()
            Session(again, "s").delete()
        assert list((data_dir / "sessions").iterdir()) == []
