"""Folders that Bash kernels read their cells from: none outlives its kernel for long."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernels.bash.traces import folder

OWNER = "import sys; from kernels.bash.traces import folder; print(folder()[0], flush=True); sys.stdin.read()"


@pytest.fixture
def owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def test_the_folder_of_a_killed_kernel_is_removed_by_the_next(owner: subprocess.Popen[str], tmp_path: Path) -> None:
    assert owner.stdout is not None
    theirs = Path(owner.stdout.readline().strip())
    (theirs / "prelude").write_text("x")
    (tmp_path / ".cells-file").write_text("nobody's")
    (tmp_path / ".cells-link").symlink_to(tmp_path)
    ours, lock = folder()
    os.close(lock)
    assert (theirs / "prelude").exists()
    assert Path(ours).parent == tmp_path
    assert Path(ours).stat().st_mode & 0o777 == 0o700
    owner.kill()
    owner.wait()
    last, lock = folder()
    os.close(lock)
    assert not theirs.exists()
    assert not Path(ours).exists()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {".cells-file", ".cells-link", Path(last).name}
