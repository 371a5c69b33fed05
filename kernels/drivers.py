"""Which driver a forked child becomes. A driver is a module with `run(boot, fds)` that does not return.

The fork server has imported it: inside a sandbox this folder does not exist.
"""

from __future__ import annotations

import importlib
import json
import os
import traceback
from types import MappingProxyType
from typing import Any, NoReturn

from . import linux
from .preload import prepare
from .seal import default_signals

# Exit code of a child that could not become its kernel.
FAILED = 71
DRIVERS = MappingProxyType(
    {
        "python": "python.kernel",
        "javascript": "javascript.kernel",
        "bash": "bash.kernel",
        "kernelspec": "kernelspec.kernel",
        "gvisor": "gvisor",
    }
)


def execute(boot: dict[str, Any], fds: list[int]) -> NoReturn:
    """Becomes another program: `boot["exec"]` has argv, env, stdio (places in `fds` of what becomes 0, 1, 2) and
    kernel (whether it is one of ours, which then reads the rest of `boot` from the last of `fds`)."""
    program = boot["exec"]
    boot_fd = fds.pop() if is_kernel(boot) else -1
    default_signals(frozenset())
    try:
        for target, place in enumerate(program.get("stdio", ())):
            os.dup2(fds[place], target)
        argv = list(program["argv"])
        if boot_fd >= 0:
            argv.append(str(boot_fd))
            for fd in (*fds, boot_fd):
                os.set_inheritable(fd, True)
        os.execve(argv[0], argv, program["env"])
    except BaseException:
        os.write(fds[-1], traceback.format_exc().encode())
    os._exit(FAILED)


def read_boot(fd: int, binds: list[list[str]]) -> dict[str, Any]:
    """What a child is to become, from a memory file that only it reads. `binds`: those that only the fork server could
    find, if there are any."""
    # For whoever reads it next, a kernel that is started.
    os.lseek(fd, 0, os.SEEK_SET)
    boot: dict[str, Any] = json.loads(os.pread(fd, os.fstat(fd).st_size, 0))
    return {**boot, "binds": binds} if binds else boot


def is_kernel(boot: dict[str, Any]) -> bool:
    """Whether it is to be a kernel of ours that is started rather than forked."""
    return bool(boot.get("exec", {}).get("kernel"))


def main(boot_fd: int) -> NoReturn:
    """A kernel that was started by `execute`: what the fork server prepares once is done here, for one."""
    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    with open(boot_fd, "rb") as file:
        boot = json.load(file)
    fds = list(range(3, boot_fd))
    for fd in fds:
        os.set_inheritable(fd, False)
    try:
        prepare((), boot["env"])
    except BaseException:
        os.write(fds[-1], traceback.format_exc().encode())
        os._exit(FAILED)
    run(boot, fds)


def memory_file(content: bytes) -> int:
    fd = os.memfd_create("boot", 0)
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def run(boot: dict[str, Any], fds: list[Any]) -> NoReturn:
    try:
        module = importlib.import_module(f".{DRIVERS[boot['driver']]}", __package__)
        module.run(boot, fds)
    except BaseException:
        # stdout and stderr lead nowhere yet; the last fd is the log that the gateway reads.
        os.write(fds[-1], traceback.format_exc().encode())
    os._exit(FAILED)
