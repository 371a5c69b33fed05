"""What a kernel in gVisor is made with. Pure functions."""

from __future__ import annotations

import base64
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..environments import Environment
from ..sandbox import bubblewrap, seccomp
from ..sandbox.gvisor import Gvisor
from ..sandbox.policy import KERNELS, WORKSPACE, Limits, Policy
from .listeners import CHANNELS, listen

SOCKETS = "/run/kernel"


def seal(groups: list[str]) -> dict[str, Any]:
    """Of the process that starts gVisor: the session's limits are set inside, where its processes are."""
    return {"cwd": "/", "groups": groups, "limits": {"core": 1}}


def lend_listener(out: socket.socket, directory: Path) -> None:
    """Beside the kernel's sockets: no other session can come to it, so it tells the proxy whose traffic it is."""
    with listen(directory / "egress") as listener:
        (directory / "egress").chmod(0o666)
        socket.send_fds(out, [b"listener"], [listener.fileno()])


def binds(policy: Policy) -> list[list[str]]:
    """Each [mode, source, target], for the fork server to find."""
    folders = [["ro", source, target] for kind, source, target in bubblewrap.system() if kind == "ro-bind"]
    return [["ro", "/usr", "/usr"], *folders, *map(list, policy.binds)]


def boot(
    gvisor: Gvisor,
    policy: Policy,
    environment: Environment,
    variables: dict[str, str],
    limits: Limits,
    sockets: Path,
    online: bool,
    speaks: Mapping[str, Any],
) -> dict[str, Any]:
    """What the fork server's child becomes. `sockets`: the directory of the kernel's listeners."""
    if policy.uid is None:
        raise ValueError("a session in gVisor has a uid of its own")
    return {
        "driver": "gvisor",
        "runsc": gvisor.runsc,
        "uids": gvisor.uids(policy.uid),
        "links": [[target, source] for kind, source, target in bubblewrap.system() if kind == "symlink"],
        "tmpfs": policy.tmpfs,
        "files": [[text, path] for path, text in policy.files],
        "sockets": str(sockets),
        "argv": [str(environment.python), "-I", "-X", "frozen_modules=off", KERNELS, "inside"],
        "limits": limits.as_rlimits(True) | {"nproc": limits.processes},
        "inside": {
            **speaks,
            "channels": CHANNELS,
            "env": variables,
            "cwd": WORKSPACE,
            "umask": 0o077,
            "sockets": SOCKETS,
            "egress": online,
            "filter": base64.b64encode(seccomp.program()).decode(),
        },
    }
