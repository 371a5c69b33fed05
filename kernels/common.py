"""What all kernels of ours have in common, whatever language they speak."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any, NoReturn

from jupyter_client.session import Session

from .changes import Changes
from .chassis import Chassis
from .packing import pack

# Requests that are known by their id when they come again: one runs, and the others wait at the gateway.
FEW = 16


class NoSubshells:
    """Stands where ipykernel looks for its shell channel thread; there is none, and no subshells."""

    def __init__(self) -> None:
        self.parent_thread = threading.main_thread()

    def __bool__(self) -> bool:
        return False


class OneVoice(Session):
    """Replies to cells and questions take their place in the one order of all that is said, which is kept and can be
    had again; each by a socket of its own would be lost with whoever was connected."""

    output: Any = None
    replied = False

    def send(self, stream: Any, msg_or_type: Any, *args: Any, **kwargs: Any) -> Any:
        if msg_or_type in ("execute_reply", "input_request") and self.output is not None:
            stream, kwargs["ident"] = self.output, str(msg_or_type).encode()
        sent = super().send(stream, msg_or_type, *args, **kwargs)
        self.replied = self.replied or msg_or_type == "execute_reply"
        return sent


def given_text(metadata: Mapping[str, Any] | None) -> str | None:
    """Of a request's: all that the cell may read from its standard input. None where it was not said."""
    text = (metadata or {}).get("stdin")
    return text if isinstance(text, str) else None


def new_session() -> OneVoice:
    return OneVoice(key=b"", username="kernel", pack=pack)


class OnChassis:
    """In front of an ipykernel `Kernel`."""

    # The sleep and the two flushes per cell that it follows were there to let output overtake the reply.
    _execute_sleep = 0.0
    chassis: Chassis | None = None
    changes: Changes | None = None

    def new_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.new_event_loop()

    @property
    def _supports_kernel_subshells(self) -> bool:
        return False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(shell_channel_thread=NoSubshells(), **kwargs)  # type: ignore[call-arg]
        self.shell_handlers["claim_request"] = self.claim_request  # type: ignore[attr-defined]
        self._begun: deque[str] = deque(maxlen=FEW)

    async def claim_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Makes a pooled kernel the session's own: its variables of the environment and its directory."""
        content = parent["content"]
        await self.claim(content.get("env", {}), content.get("cwd"))
        self.session.send(stream, "claim_reply", {"status": "ok"}, parent, ident=ident)  # type: ignore[attr-defined]

    async def claim(self, variables: dict[str, str], cwd: str | None) -> None:
        os.environ.update(variables)
        if cwd:
            os.makedirs(cwd, exist_ok=True)
            os.chdir(cwd)

    async def execute_request(self, stream: Any, ident: Any, parent: Any) -> None:
        # A gateway that came back asks again for what may never have arrived.
        if parent["header"]["msg_id"] in self._begun:
            return
        self._begun.append(parent["header"]["msg_id"])
        if self.changes is not None and parent.get("metadata", {}).get("shared") is True:
            # What other kernels of the session have changed meanwhile is not this cell's doing.
            self.changes.take()
        await super().execute_request(stream, ident, parent)  # type: ignore[misc]

    def pre_handler_hook(self) -> None:
        """Handlers let interrupts in by themselves: one that came before would end the kernel's loop."""

    def post_handler_hook(self) -> None:
        """Each has shut them out again."""

    def begins(self) -> None:
        """A request on the shell channel is about to be told as begun."""

    def ends(self) -> None:
        """And about to be told as over."""

    def _publish_status(self, status: str, channel: str, parent: Any = None) -> None:
        if status == "busy" and channel == "shell":
            self.session.replied = False  # type: ignore[attr-defined]
            self.begins()
        if status == "idle" and channel == "shell" and self.chassis is not None:
            self.ends()
            self.chassis.end_of_request()
            self._tell_changes()
        super()._publish_status(status, channel, parent)  # type: ignore[misc]

    def _tell_changes(self) -> None:
        """Of the workspace's files, before the cell counts as over; by the one voice, so that it is never lost."""
        parent = self.get_parent("shell")  # type: ignore[attr-defined]
        if self.changes is None or parent.get("header", {}).get("msg_type") != "execute_request":
            return
        if (found := self.changes.take()) is not None:
            self.session.send(self.iopub_socket, "files_changed", found, parent)  # type: ignore[attr-defined]


def become(kernel: Any, boot: dict[str, Any], fds: list[Any]) -> NoReturn:
    """Serves as this kernel until it is told to leave. `fds`: the listeners (or where they are), then the crash log."""
    *listeners, log_fd = fds
    chassis = kernel.chassis = Chassis(kernel, log_fd)
    plain = boot.get("plain")
    # A gateway is told of files; plain Jupyter has no word for it.
    kernel.changes = None if plain else Changes(os.getcwd())
    chassis.attach(dict(zip(boot["channels"], listeners, strict=True)), plain)
    os._exit(chassis.serve())
