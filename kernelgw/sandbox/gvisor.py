"""Sessions in gVisor, whose kernel answers system calls in place of the host's. What is needed, and what it costs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, replace

from ..errors import IsolationUnavailable
from .cgroups import Cgroups
from .policy import Limits

PROBE_TIMEOUT_S = 30
PLACES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
OTHERWISE = "say `--isolation auto` for bubblewrap."
# The host's threads for one process inside, as measured with the ptrace platform, and for the sandbox itself.
THREADS_EACH, THREADS_OWN = 8, 256


@dataclass(frozen=True, slots=True)
class Gvisor:
    """`runsc`: the program. `span`: how far the uids of a session are apart, at least as many as there are sessions."""

    runsc: str
    version: str
    span: int

    def uids(self, user: int) -> list[int]:
        """Host uids of gVisor's root, the session's user and gVisor's own kernel: no two sessions share one."""
        return [user + 2 * self.span, user, user + 3 * self.span]

    @staticmethod
    def around(limits: Limits) -> Limits:
        """For the cgroup, which counts gVisor's threads; processes inside are counted inside."""
        return replace(limits, processes=limits.processes * THREADS_EACH + THREADS_OWN)


def choose(span: int, cgroups: Cgroups) -> Gvisor:
    """Starts a throw-away sandbox for real. Raises IsolationUnavailable with what is missing."""
    if os.geteuid() != 0:
        raise IsolationUnavailable(
            "Only a gateway that runs as root can use gVisor.", f"Run it as root, or {OTHERWISE}"
        )
    if not {"memory", "pids"} <= cgroups.controllers:
        raise IsolationUnavailable(
            f"In gVisor, cgroups hold the limits, and here there are none for that ({cgroups.kind}: {cgroups.why}).",
            f"Let the gateway have memory and pids cgroups, or {OTHERWISE}",
        )
    runsc = shutil.which("runsc", path=PLACES)
    if runsc is None:
        raise IsolationUnavailable(
            "gVisor is not installed: there is no `runsc`.",
            f"Install it; docs/gvisor.md says which build, `apt-get install runsc` is there. Or {OTHERWISE}",
        )
    with tempfile.TemporaryDirectory(prefix="kernelgw-gvisor-") as folder:
        options = (f"--root={folder}", "--network=none", "--ignore-cgroups")
        result = _run([runsc, *options, "do", "/bin/true"])
    if result.returncode != 0:
        raise IsolationUnavailable(
            f"gVisor is installed but cannot run here: {result.stderr.strip()[-300:]}", f"You can {OTHERWISE}"
        )
    told = _run([runsc, "--version"]).stdout.split()
    return Gvisor(runsc, told[2] if len(told) > 2 else "unknown", span)


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, env={}, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise IsolationUnavailable(
            f"gVisor is installed but did not answer within {PROBE_TIMEOUT_S} s.", f"You can {OTHERWISE}"
        ) from None
