"""The ways in which a gateway can be run here, and a gateway for each."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kernelgw.errors import IsolationUnavailable
from kernelgw.sandbox.cgroups import Cgroups
from tests.live.client import House
from tests.live.gateway import MODULE, Gateway

REPOSITORY = Path(__file__).resolve().parents[2]
# Nobody's on any machine, and not one of those that sessions get.
PLAIN_UID = 1_869_999
CANARY = "kgw-canary-5b1f0c"
# Never sent to a session in one piece.
MEMORY_CANARY = "memory-canary-9d27e4"
# What makes a network of a session's own, to nobody who answers.
ALLOWLIST = {"allow": ["allowed.invalid"]}


@dataclass(frozen=True, slots=True)
class Configuration:
    """`user`: root or plain; `start`: fork, exec or gvisor, which is exec in there; `cgroups`: v2, v1 or none."""

    user: str
    start: str
    cgroups: str

    def __str__(self) -> str:
        return f"{self.user}-{self.start}-{self.cgroups}"

    @property
    def settings(self) -> dict[str, object]:
        how = {"isolation": "gvisor"} if self.start == "gvisor" else {"start": self.start}
        return {**how, "cgroups": self.cgroups}

    @property
    def is_root(self) -> bool:
        return self.user == "root"


def users() -> tuple[str, ...]:
    """A plain user can only show what a plain user has."""
    return ("root", "plain") if os.geteuid() == 0 else ("plain",)


def usable(kind: str) -> bool:
    try:
        Cgroups.detect("kernelgw-matrix", kind)
    except IsolationUnavailable:
        return False
    return True


def cgroup_kinds(user: str) -> tuple[str, ...]:
    """Of root's groups a plain user has none, unless they were delegated to it."""
    if user == "plain" and os.geteuid() == 0:
        return ("none",)
    return tuple(kind for kind in ("v2", "v1", "none") if usable(kind))


def starts(user: str, kind: str) -> tuple[str, ...]:
    """gVisor is for root, and its limits are cgroups."""
    return ("fork", "exec", "gvisor") if user == "root" and kind != "none" else ("fork", "exec")


def configurations() -> list[Configuration]:
    return [
        Configuration(user, start, kind)
        for user in users()
        for kind in cgroup_kinds(user)
        for start in starts(user, kind)
    ]


def absent() -> list[str]:
    """Ways that cannot be tried here, each with its reason."""
    found = [] if os.geteuid() == 0 else ["as root: the tests run as a plain user"]
    for kind in ("v2", "v1"):
        try:
            Cgroups.detect("kernelgw-matrix", kind)
        except IsolationUnavailable as error:
            found.append(f"cgroups {kind}: {error.message}")
    return found


def command(configuration: Configuration, home: Path) -> tuple[str, ...]:
    """How `kernelgw` is called as that user."""
    if configuration.is_root or os.geteuid() != 0:
        return MODULE
    parts = [sys.base_prefix, sys.prefix, *(str(REPOSITORY / name) for name in ("kernelgw", "kernels", "tests"))]
    return (sys.executable, "-m", "tests.security.as_user", str(PLAIN_UID), str(home), *parts, "--", *MODULE)


def start_proxy(gateway: Gateway) -> None:
    """It starts with the first session that has a network, and stays: before anybody counts what is there."""
    house = House(gateway, "online")
    house.session(network=ALLOWLIST).value("1")
    house.delete_sessions()
    house.close()


@contextmanager
def gateway(configuration: Configuration, **options: object) -> Iterator[Gateway]:
    """One that runs, in a folder of its own that its user owns and anybody may pass; nothing is left afterwards.

    Its environment has both canaries in it, and beside its data directory lie two files that hold the first.
    """
    folder = Path(tempfile.mkdtemp(prefix="kgw-"))
    folder.chmod(0o711)
    for name, mode in (("open", 0o644), ("closed", 0o600)):
        (folder / f"canary-{name}").write_text(CANARY)
        (folder / f"canary-{name}").chmod(mode)
    if not configuration.is_root and os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            os.chown(path, PLAIN_UID, PLAIN_UID)
    settings = {**configuration.settings, "pool_size": 1, **options}
    made = Gateway(folder / "data", command(configuration, folder), **settings)
    made.environ |= {"CANARY": CANARY, "MEMORY_CANARY": MEMORY_CANARY}
    try:
        with made:
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)
