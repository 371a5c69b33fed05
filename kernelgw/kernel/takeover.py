"""What an earlier gateway left running is found, known again by what cannot be used twice, and attached to."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import signal
import stat
from collections.abc import Collection, Sequence
from pathlib import Path

from .. import __version__
from ..environments import Environment, EnvironmentInvalid, EnvironmentMissing, EnvironmentUnknown, find
from ..errors import KernelDidNotStart
from . import exits
from .exits import GATEWAY_GONE, Exit
from .forkserver import ForkServer, end_leftover, kernels_folder
from .kernel import Kernel

ATTACH_S = 10.0
log = logging.getLogger("kernelgw.kernel")


def stamp(environment: Environment, stage: Sequence[str], copied: Sequence[str], filter: str) -> str:
    """Of all that a fork server is made of. One with another makes no new kernels for us."""
    code = [(str(path), path.stat().st_mtime_ns) for path in sorted(kernels_folder().rglob("*.py"))]
    made_of = [__version__, environment.digest, list(stage), list(copied), filter, code]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()


async def resume(run_dir: Path, data_dir: Path) -> list[ForkServer]:
    """The fork servers that answer; others are ended."""
    found = await asyncio.gather(*(_resume(path, run_dir, data_dir) for path in run_dir.glob("*.sock")))
    return [server for server in found if server is not None]


async def _resume(path: Path, run_dir: Path, data_dir: Path) -> ForkServer | None:
    try:
        server = ForkServer(find(path.name.split(".")[0], data_dir), run_dir)
        server.path = path
        await server.resume()
    except (EnvironmentUnknown, EnvironmentMissing, EnvironmentInvalid, KernelDidNotStart) as error:
        log.info("what an earlier gateway left at %s is ended: %s", path.name, error)
        await end_leftover(path)
        return None
    return server


async def attach(kernel: Kernel, directory: Path) -> Kernel | Exit:
    """The kernel, or how it ended."""
    server = kernel.server
    ended = next((event for event in server.unheard if event.get("id") == kernel.id and event["event"] == "exit"), None)
    if ended is not None:
        kills = kernel.box.oom_kills()
        return exits.explain(ended, None, "", kills or 0, kills is not None)
    if kernel.id not in server.kernels or not server.alive or kernel.closed_in:
        return GATEWAY_GONE
    server.watch(kernel.id, kernel.on_event)
    try:
        async with asyncio.timeout(ATTACH_S):
            await kernel.reopen(directory)
    except OSError as error:
        log.warning("kernel %s cannot be attached to: %s", kernel.id, error)
        kernel.abandon()
        return kernel.exit or GATEWAY_GONE
    return kernel


async def kept(kernel: Kernel) -> tuple[int | None, int | None]:
    """The descriptors of its crash log and of its way out, where the fork server has them."""
    try:
        fds = await kernel.server.fetch(kernel.id)
    except (KernelDidNotStart, TimeoutError, ConnectionError):
        return None, None
    kinds = {stat.S_IFMT(os.fstat(fd).st_mode): fd for fd in fds}
    for fd in set(fds) - set(kinds.values()):
        os.close(fd)
    return kinds.get(stat.S_IFIFO), kinds.get(stat.S_IFSOCK)


async def end_others(server: ForkServer, kernels: Collection[str], images: Collection[str]) -> None:
    """Of what lives in a fork server, whatever is nobody's. `kernels`, `images`: what is somebody's."""
    server.taking_over = False
    server.unheard.clear()
    for name in set(server.kernels) - set(kernels):
        server.tell("signal", id=name, signal=signal.SIGKILL, group=True)
    for name in set(server.sandboxes) - set(kernels):
        server.tell("end", id=name)
    await asyncio.gather(*(server.release(image) for image in server.images if image not in images))
