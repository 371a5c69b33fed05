"""The system call filter of sessions, compiled beforehand by scripts/seccomp/build.py from filters/profile.toml."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import IsolationUnavailable

FILTERS = Path(__file__).with_name("filters")


def program(profile: str = "default", machine: str | None = None) -> bytes:
    """An array of struct sock_filter, as kernels/seccomp.py loads it. `profile`: "default", "strict", or "uncounted"
    where no cgroup counts memory; `machine`: as `uname -m` says it, this one when not given. Raises
    IsolationUnavailable where there is none."""
    machine = machine or os.uname().machine
    try:
        return (FILTERS / f"{profile}.{machine}.bpf").read_bytes()
    except FileNotFoundError:
        there = sorted(path.name.removesuffix(".bpf") for path in FILTERS.glob("*.bpf"))
        raise IsolationUnavailable(
            f"There is no system call filter {profile!r} for processors of kind {machine}.",
            f"There are {', '.join(there)}. Run the gateway on one of these, or say `--isolation none` "
            "on a machine of your own.",
        ) from None
