"""Tries, in a session's own sandbox, what hostile code would try. Before the first session, and for `doctor`."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

from ..environments import Environment
from ..errors import IsolationUnavailable
from ..kernel import wire
from ..kernel.kernel import Kernel
from ..kernel.launcher import Launcher, Terms
from . import probes
from .probes import Result
from .properties import PROPERTIES

PROBES_TIMEOUT_S = 30.0


class _Collector:
    """Hears one cell out: what it printed, and that it is over."""

    def __init__(self) -> None:
        self.printed = ""
        self.errors: list[str] = []
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._replied = self._idle = False

    def on_iopub(self, message: wire.Message, number: int) -> None:
        del number
        if message.msg_type == "stream":
            self.printed += str(message.content.get("text", ""))
        elif message.msg_type == "error":
            self.errors.append(f"{message.content.get('ename')}: {message.content.get('evalue')}")
        elif message.msg_type == "execute_reply":
            self._replied = True
        elif message.msg_type == "status" and message.content.get("execution_state") == "idle":
            self._idle = True
        if self._idle and self._replied and not self.over.done():
            self.over.set_result(None)


async def run(
    launcher: Launcher, environment: Environment, terms: Terms, ports: Sequence[int], sockets: Sequence[str] = ()
) -> list[Result]:
    """All probes, in a kernel that is thrown away afterwards.

    `ports`, on this host's loopback, and `sockets` are where somebody listens. Raises GatewayError when there is no
    kernel.
    """
    expected = {
        "hidden": [str(launcher.run_dir), str(launcher.workspaces.folder)],
        "secrets": [str(launcher.run_dir), str(launcher.workspaces.folder)],
        "ports": [("127.0.0.1", port) for port in ports],
        "sockets": list(sockets),
    }
    workspace = await launcher.workspaces.new(terms.limits.workspace_bytes)
    try:
        kernel = await launcher.launch(environment, workspace, {}, terms)
        try:
            return await _ask(kernel, expected)
        finally:
            kernel.end("ended")
            await kernel.ended()
    finally:
        await launcher.remove_workspace(workspace)


async def _ask(kernel: Kernel, expected: dict[str, Any]) -> list[Result]:
    collector = _Collector()
    kernel.client.listener = collector
    kernel.client.execute(uuid.uuid4().hex, probes.source(expected), False, {})
    try:
        await asyncio.wait_for(collector.over, PROBES_TIMEOUT_S)
        return probes.parse(collector.printed)
    except (TimeoutError, ValueError) as error:
        said = "; ".join(collector.errors) or str(error) or "they did not finish"
        raise IsolationUnavailable(f"The probes of isolation could not be run: {said}.") from None


async def require(launcher: Launcher, environment: Environment, terms: Terms, port: int) -> None:
    """`port`: the gateway's own. Raises IsolationUnavailable, naming what is missing, when a mandatory property is."""
    missing = [result for result in await run(launcher, environment, terms, [port]) if result.outcome == "missing"]
    if missing:
        told = "; ".join(f"{result.id} ({PROPERTIES[result.id].words}): {result.seen}" for result in missing)
        raise IsolationUnavailable(
            f"Sessions would not be isolated here: {told}.", "`kernelgw doctor` says more about each."
        )
