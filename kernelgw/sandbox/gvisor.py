"""Sessions in gVisor, whose kernel answers system calls in place of the host's. What is needed, and what it costs."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, replace

from ..errors import IsolationUnavailable
from .cgroups import Cgroups
from .policy import Limits

PROBE_TIMEOUT_S = 30
PLACES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
# The host's threads for one process inside, as measured with the ptrace platform, and for the sandbox itself.
THREADS_EACH, THREADS_OWN = 8, 256


@dataclass(frozen=True, slots=True)
class Gvisor:
    """`runsc`: the program. `platform`: how it comes by the system calls. `span`: distance between a session's uids."""

    runsc: str
    platform: str
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
            "gVisor is used by a gateway that runs as root only.", "Run it as root, or say `--isolation auto`."
        )
    if not {"memory", "pids"} <= cgroups.controllers:
        raise IsolationUnavailable(
            f"gVisor needs cgroups for its limits, and here there are: {cgroups.why}.",
            "Say `--isolation auto`, or let the gateway have memory and pids cgroups.",
        )
    runsc = shutil.which("runsc", path=PLACES)
    if runsc is None:
        raise IsolationUnavailable(
            "gVisor is not installed: there is no `runsc`.",
            "Install it (`apt-get install runsc`, or the current build from gvisor.dev), or say `--isolation auto`.",
        )
    told = _run([runsc, "--version"]).stdout.split()
    # The faster one, where this build has it.
    platform = "systrap" if "systrap" in _run([runsc, "flags"]).stdout else "ptrace"
    command = [runsc, f"--platform={platform}", "--network=none", "--ignore-cgroups", "do", "/bin/true"]
    result = _run(command)
    if result.returncode != 0:
        raise IsolationUnavailable(
            f"gVisor is installed but cannot run here: {result.stderr.strip()[-300:]}", "Say `--isolation auto`."
        )
    return Gvisor(runsc, platform, told[2] if len(told) > 2 else "unknown", span)


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, env={}, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise IsolationUnavailable(
            f"gVisor is installed but did not answer within {PROBE_TIMEOUT_S} s.", "Say `--isolation auto`."
        ) from None
