"""Podman with a storage of its own, in a folder that can be thrown away."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
from pathlib import Path
from typing import Any

COMMAND_TIMEOUT_S = 120
BUILD_TIMEOUT_S = 900
PLENTY = 16384
# crun takes no mixture of both generations of cgroups; locks and events in files, as there may be neither shared
# memory to spare nor a journal.
CONFIGURATION = """\
[containers]
default_ulimits = [{ulimits}]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
lock_type = "file"
events_logger = "file"
tmp_dir = "{folder}/tmp"
"""


class Podman:
    """`folder`: short, since sockets lie below it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        configuration = folder / "containers.conf"
        ulimits = ", ".join(f'"{name}={limit}:{limit}"' for name, limit in limits().items())
        configuration.write_text(CONFIGURATION.format(folder=folder, ulimits=ulimits))
        self.environ = {**os.environ, "CONTAINERS_CONF": str(configuration), "XDG_RUNTIME_DIR": str(folder)}
        self.command = [
            "podman",
            *("--root", str(folder / "root"), "--runroot", str(folder / "run")),
            *("--storage-driver", _driver(folder)),
        ]

    def try_(self, *arguments: str, stdin: str = "", timeout: float = COMMAND_TIMEOUT_S) -> tuple[int, str]:
        """Exit status and everything that was said."""
        result = subprocess.run(
            [*self.command, *arguments],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environ,
            timeout=timeout,
            check=False,
        )
        return result.returncode, result.stdout

    def run(self, *arguments: str, stdin: str = "", timeout: float = COMMAND_TIMEOUT_S) -> str:
        """What a command that must succeed has said."""
        status, said = self.try_(*arguments, stdin=stdin, timeout=timeout)
        assert status == 0, f"podman {arguments[0]} ended with {status}: {said[-4000:]}"
        return said

    def inspect(self, name: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self.run("inspect", name))
        return found[0]

    def remove_everything(self) -> None:
        """Containers, volumes, images, and the folder itself."""
        self.try_("rm", "--all", "--force", "--volumes", "--time=0")
        self.try_("volume", "rm", "--all", "--force")
        self.try_("umount", "--all", "--force")
        # What podman has mounted below would else survive, or be emptied.
        for place in sorted(_mounts_below(self.folder), reverse=True):
            subprocess.run(["umount", "--lazy", place], check=False, capture_output=True)
        assert not _mounts_below(self.folder)
        shutil.rmtree(self.folder)


def limits() -> dict[str, int]:
    """Podman's own defaults, and what it asks for by itself in a build, may be more than this machine lets it have."""
    names = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
    hard = {name: resource.getrlimit(number)[1] for name, number in names.items()}
    return {name: PLENTY if limit == resource.RLIM_INFINITY else min(limit, PLENTY) for name, limit in hard.items()}


def _driver(folder: Path) -> str:
    """overlay where this folder's file system can be below one, as it is twenty times as fast; else vfs."""
    parts = [folder / f"overlay-{name}" for name in ("lower", "upper", "work", "all")]
    for part in parts:
        part.mkdir()
    lower, upper, work, whole = map(str, parts)
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    command = ["mount", "-t", "overlay", "overlay", "-o", options, whole]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        return "vfs"
    subprocess.run(["umount", whole], check=True)
    return "overlay"


def _mounts_below(folder: Path) -> list[str]:
    places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [place for place in places if place.startswith(f"{folder}/")]
