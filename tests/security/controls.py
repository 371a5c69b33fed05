"""Probes where nothing holds: outside of any session, in a way that the host survives.

Each runs alone, in fresh mount, pid, ipc and host name namespaces or in less, so that what it changes is its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kernelgw.doctor import probes
from kernelgw.doctor.probes import Result

from .matrix import CANARY, PLAIN_UID

PYTHON = "/usr/bin/python3"
ALONE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--ipc", "--uts", "--mount-proc")
# Shows what the host's processes and mounts are, so without a pid namespace; what is tried changes nothing of them.
OPEN = ("unshare", "--mount", "--uts")
PLAIN = ("setpriv", f"--reuid={PLAIN_UID}", f"--regid={PLAIN_UID}", "--clear-groups", "--")
WAYS: Mapping[str, tuple[str, ...]] = {"PR03": OPEN, "PR09": OPEN, "FS12": OPEN, "FS16": OPEN, "FS10": PLAIN}
# What must be there for a probe to see, as code before it.
BEFORE: Mapping[str, str] = {
    "FS08": "import os; os.open('/', os.O_RDONLY)",
    "FS12": "import subprocess; subprocess.run(['mount', '--bind', expected['hidden'][0], '/mnt'], check=True)",
    "FS16": "import os; os.system('mount -t tmpfs none /run && touch /run/docker.sock')",
    "PR10": "kept = [text[::-1] for text in expected['backwards']]",
}
# Things that must work rather than fail: they are their own control. PR11: no first process obeys its own children,
# and KS07: what is unknown is unknown everywhere; tests of their own show that those probes can fail.
POSITIVE = frozenset({"FS04", "NE06", "KS10", "PR11", "KS07"})


def run(id_: str, expected: Mapping[str, Any]) -> Result:
    """One probe, outside."""
    if id_ == "NE05":
        expected = {**expected, "name": "localhost"}
    before = BEFORE.get(id_, "")
    code = f"expected = {dict(expected)!r}\n{before}\n{probes.source(expected, id_)}"
    command = [*WAYS.get(id_, ALONE), *_interpreter(id_), "-"]
    environment = {"CANARY": CANARY, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    done = subprocess.run(command, input=code, capture_output=True, text=True, timeout=50, env=environment, cwd="/")
    assert done.returncode == 0, done.stderr
    (result,) = probes.parse(done.stdout)
    return result


def _interpreter(id_: str) -> list[str]:
    """A plain user may not get as far as the interpreter of the tests."""
    return (
        [PYTHON, "-I"]
        if id_ == "FS10" or not Path(sys.executable).exists()
        else [os.path.realpath(sys.executable), "-I"]
    )
