"""The end of a process, as something to wait for in a loop."""

from __future__ import annotations

import asyncio
import contextlib
import os


async def ended(pid: int) -> None:
    """Returns once it has ended, and collects it if it is a child. Without a thread: when an interpreter ends, there
    can be no new ones."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(process, end.set)
    try:
        await end.wait()
    finally:
        loop.remove_reader(process)
        os.close(process)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # noqa: ASYNC222 - it has ended
