"""When `kernelgw lab` does not start, and what it says then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from .client import House
from .gateway import MODULE, TOKEN
from .lab import environment

pytestmark = pytest.mark.live


def said(home: Path, *arguments: str, token: str = TOKEN) -> str:
    environ = environment(home, KERNELGW_TOKEN=token)
    command = [*MODULE, "lab", "--no-browser", *arguments]
    result = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=50)
    assert (result.returncode, result.stdout) == (1, "")
    assert all(line.startswith("kernelgw: ") for line in result.stderr.splitlines()), result.stderr
    return result.stderr


def test_what_is_wrong_is_said_before_lab_starts(house: House, tmp_path: Path) -> None:
    url = house.gateway.url
    assert "The token is missing or wrong." in said(tmp_path, "--url", url, token="wrong")
    assert "no-such-chat" in said(tmp_path, "no-such-chat", "--url", url)
    assert "No gateway runs here." in said(tmp_path)
    assert "does not answer" in said(tmp_path, "--url", "http://127.0.0.1:9")
    assert "begins with http" in said(tmp_path, "--url", "gateway.example")
    (tmp_path / "file").touch()
    assert "--folder" in said(tmp_path, "--url", url, "--folder", str(tmp_path / "file"))


def test_without_jupyterlab_it_says_what_to_install(tmp_path: Path) -> None:
    site = Path(nbformat.__file__).parents[1]
    (tmp_path / "site").mkdir()
    for entry in site.iterdir():
        if not entry.name.startswith("jupyterlab"):
            (tmp_path / "site" / entry.name).symlink_to(entry)
    ours = Path(__file__).parents[2]
    environ = environment(tmp_path, PYTHONPATH=f"{tmp_path / 'site'}:{ours}")
    # -S: the packages that are installed are not seen, but for those linked above.
    command = [sys.executable, "-S", "-P", "-m", "kernelgw.cli", "lab"]
    result = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=50)
    assert result.returncode == 1, result.stderr
    assert 'pip install "kernelgw[lab]"' in result.stderr
