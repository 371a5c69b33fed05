"""The host's disk: what live sessions are promised of it is there when they want it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import proc
from tests.live.client import House, problem
from tests.live.gateway import Gateway

pytestmark = pytest.mark.live

MB = 1 << 20
DISK, KEPT, EACH = 560 * MB, 60 * MB, 150 * MB
FILL = """
written = 0
try:
    with open('/workspace/fill', 'wb') as file:
        while written < 400 << 20:
            written += file.write(b'x' * (1 << 20))
            file.flush()
except OSError as error:
    print(error.strerror)
print(written >> 20)
"""


def free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


@pytest.fixture
def small_disk() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="kgw-disk-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=711", "disk", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


@pytest.mark.prop("FS05", "RS06")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk, and workspaces as images")
def test_nobody_s_room_is_taken_by_others(small_disk: Path) -> None:
    gateway = Gateway(small_disk / "data", pool_size=0, free_bytes=KEPT, workspace_bytes=EACH, workspaces="image")
    with gateway:
        house = House(gateway, "disk")
        sessions = [house.session() for _ in range(3)]
        for session in sessions:
            assert session.value("print('here')") == "here\n"
        error = problem(house.session().post("1"), 507, "disk_full")
        assert error["message"].startswith("A live session is promised 150 MiB")
        for session in sessions:
            why, written = session.value(FILL).split("\n")[:2]
            assert why == "No space left on device"
            assert int(written) >= EACH / MB * 0.9
        assert free(small_disk) >= KEPT - MB
        sessions[0].delete()
        # The image goes when its mount has, a moment later.
        proc.wait_until(lambda: free(small_disk) > KEPT + EACH, 10, lambda: free(small_disk))
        assert house.session().value("print('here')") == "here\n"
        house.delete_sessions()
        house.close()
