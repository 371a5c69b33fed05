"""Files that come with code: into the session's workspace before it runs."""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
from collections.abc import Mapping

from ..errors import BadPath, BadRequest, FileNotWritten, KernelDidNotStart, SessionNotFound
from ..kernel.kernel import Kernel
from ..sessions.lane import Lane
from ..sessions.lifecycle import State
from ..sessions.registry import Registry
from ..workspace import writing
from ..workspace.writing import Mark


def decoded(files: Mapping[str, str | Mapping[str, str]]) -> dict[str, bytes]:
    """By path. Raises BadPath, BadRequest."""
    found: dict[str, bytes] = {}
    for path, content in files.items():
        name = "/".join(writing.parts(path))
        if name in found:
            raise BadPath(f"{path[:200]!a} is there twice.")
        found[name] = content.encode() if isinstance(content, str) else _bytes(path, content["base64"])
    return found


def _bytes(path: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest(f"files: {path[:200]!a} is not base64.") from None


async def bring(house: Registry, lane: Lane, files: Mapping[str, bytes]) -> None:
    """Writes them into the lane's session. Raises HouseFull, DiskFull, KernelDidNotStart, FileNotWritten."""
    session = lane.session
    kernel = await _kernel(house, lane)
    try:
        root = await kernel.open_workspace()
    except OSError as error:
        raise FileNotWritten(f"The session's folder cannot be opened: {error.strerror or error}.") from None
    uid = session.workspace.uid if session.workspace is not None else None
    # It goes on to its end, and closes the folder, also when nobody waits for it any more.
    writing_ = asyncio.get_running_loop().run_in_executor(None, _write, root, dict(files), uid)
    session.artifacts.brought.update(await asyncio.shield(writing_))


async def _kernel(house: Registry, lane: Lane) -> Kernel:
    """Any of the session's: of an image only the fork server has the folder, and only while there is a kernel."""
    session = lane.session
    if not session.kernels:
        house.wake(lane)
    while not session.kernels:
        if lane.state is State.DEAD:
            raise KernelDidNotStart(lane.reason or "The session has no kernel.")
        if not await session.log.wait(session.log.last):
            raise SessionNotFound(f"The session {session.id!r} was ended.")
    return session.kernels[0]


def _write(root: int, files: dict[str, bytes], uid: int | None) -> dict[str, Mark]:
    try:
        return {path: writing.write(root, path, content, uid) for path, content in files.items()}
    finally:
        os.close(root)
