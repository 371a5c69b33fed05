"""Which folder a notebook's kernel may have as its workspace. Pure but for following links."""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

# The machine's own: code there would write with root's rights.
SYSTEM = (
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
)
SYSTEM_TOO = ("/var/lib", "/var/log", "/var/spool")
# In a gateway's data directory, beside each other.
MARKS = ("house", "workspaces")
# Folders that are looked into for one, and how deep.
MOST_LOOKED_INTO, DEEPEST = 5000, 5


class NotLent(ValueError):
    """The folder holds what no kernel may read; the message says what, and what to do."""


def private_in(folder: Path) -> Iterator[Path]:
    """What in a folder, or around it, is not for kernels, beside what the process knows of itself."""
    # HOME may say otherwise; and a user may be in no list.
    with contextlib.suppress(KeyError):
        yield Path(pwd.getpwuid(os.getuid()).pw_dir)
    if os.geteuid() == 0 and any(folder.is_relative_to(system) for system in (*SYSTEM, *SYSTEM_TOO)):
        yield folder
    for around in (folder, *folder.parents):
        if _is_a_gateway_s(around):
            yield folder
    yield from filter(_is_a_gateway_s, _below(folder))


def _is_a_gateway_s(folder: Path) -> bool:
    return all((folder / mark).exists() for mark in MARKS)


def _below(folder: Path) -> Iterator[Path]:
    for here, names, _ in islice(os.walk(folder), MOST_LOOKED_INTO):
        if len(Path(here).relative_to(folder).parts) >= DEEPEST:
            names.clear()
        yield from (Path(here, name) for name in names)


def kept(folder: Path, private: Iterable[Path], programs: Iterable[Path]) -> tuple[str, ...]:
    """Names in `folder`, which has no links in its path, that the kernel may read and not change: those below which
    `programs` lie, that is, what runs outside of any sandbox. Raises NotLent when one of `private` is in there."""
    for place in private:
        if place.resolve().is_relative_to(folder):
            raise NotLent(
                f"{folder} cannot be a kernel's workspace: {place} is in it, and whoever runs code could read that. "
                'Keep the notebook in a folder of its own, or install a kernelspec with --workspace "empty".'
            )
    inside = [place for each in programs if (place := each.resolve()).is_relative_to(folder)]
    if folder in inside:
        raise NotLent(f"{folder} cannot be a kernel's workspace: programs that run outside of sandboxes lie in it.")
    return tuple(sorted({place.relative_to(folder).parts[0] for place in inside}))
