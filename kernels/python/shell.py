"""IPython's shell, where it relies on an application that a forked kernel does not have."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import traceback
from types import TracebackType
from typing import Any

from ipykernel import eventloops
from ipykernel.zmqshell import ZMQInteractiveShell
from IPython.core.error import UsageError

from .debugging import is_debugger

CHILD_GRACE_S = 2.0
# Each frame costs some milliseconds to describe, and a recursion error has a thousand.
MOST_FRAMES = 60


class Shell(ZMQInteractiveShell):
    def init_history(self) -> None:
        super().init_history()
        self.history_manager.outputs = _Forgotten()

    def _tee(self, channel: str) -> contextlib.AbstractContextManager[None]:
        """IPython would keep all that is ever printed, in the kernel's memory; the gateway does, and bounded."""
        return contextlib.nullcontext()

    def enable_gui(self, gui: Any = None) -> None:
        # ipykernel would ask its application for the kernel; `%matplotlib inline` comes by here.
        try:
            eventloops.enable_gui(gui, kernel=self.kernel)
        except ValueError as error:
            raise UsageError(str(error)) from error
        self.active_eventloop = gui

    def system_piped(self, cmd: str) -> None:
        """`!command`, as a plain child whose output the kernel reads from its own fds.

        IPython would import a terminal emulator for it, which is slow, and which loses an interrupt that comes
        while the command is being started.
        """
        code = _wait(subprocess.Popen(["/bin/bash", "-c", self.var_expand(cmd, depth=1)], stdin=subprocess.DEVNULL))
        self.user_ns["_exit_code"] = code
        if code != 0 and self.system_raise_on_error:
            raise subprocess.CalledProcessError(code, cmd)

    system = system_piped

    def showtraceback(self, exc_tuple: Any = None, *args: Any, **kwargs: Any) -> None:
        """Exception groups too become an error output; IPython prints them to stderr."""
        try:
            kind, value, tb = self._get_exc_info(exc_tuple)
        except ValueError:
            kind, value, tb = None, None, None
        if kind is not None and _has_group(value):
            lines = "".join(traceback.format_exception(kind, value, _from_cell(tb))).splitlines()
            self._showtraceback(kind, value, lines)
            return
        if kind is not None and tb is not None:
            exc_tuple = (kind, value, _shortened(_unhandled(tb)))
        super().showtraceback(exc_tuple, *args, **kwargs)

    def _showtraceback(self, etype: Any, evalue: Any, stb: Any) -> None:
        if self.kernel.chassis is None or self.kernel.chassis.is_kernel():
            super()._showtraceback(etype, evalue, stb)
        else:
            # A forked process has no socket, but the kernel reads what it writes.
            sys.stderr.write("\n".join(stb) + "\n")


class _Forgotten(dict[int, list[Any]]):
    """Stands where IPython would keep all outputs."""

    def __missing__(self, _: int) -> list[Any]:
        return []

    def setdefault(self, _: int, default: Any = None) -> Any:
        return default


def _wait(process: subprocess.Popen[bytes]) -> int:
    """An interrupt goes to the whole process group: the child has it too, and a moment to end by itself."""
    try:
        return process.wait()
    except KeyboardInterrupt:
        try:
            process.wait(timeout=CHILD_GRACE_S)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.kill()
            process.wait()
        raise


def _has_group(value: BaseException | None) -> bool:
    return value is not None and (isinstance(value, BaseExceptionGroup) or _has_group(value.__context__))


def _from_cell(tb: TracebackType | None) -> TracebackType | None:
    """Without the frames in which IPython runs the cell."""
    while tb is not None and "/IPython/" in tb.tb_frame.f_code.co_filename:
        tb = tb.tb_next
    return tb


def _unhandled(tb: TracebackType) -> TracebackType:
    """Without what handled the signal that ended it."""
    entry = tb
    while entry.tb_next is not None:
        if is_debugger(entry.tb_next.tb_frame):
            entry.tb_next = None
        else:
            entry = entry.tb_next
    return tb


def _shortened(tb: TracebackType) -> TracebackType:
    """Without its middle when it is very deep: the frames nearest to the cell and to the error stay."""
    entries = []
    entry: TracebackType | None = tb
    while entry is not None:
        entries.append(entry)
        entry = entry.tb_next
    if len(entries) <= MOST_FRAMES:
        return tb
    rest: TracebackType | None = None
    for kept in reversed(entries[: MOST_FRAMES // 2] + entries[-MOST_FRAMES // 2 :]):
        rest = TracebackType(rest, kept.tb_frame, kept.tb_lasti, kept.tb_lineno)
    return rest or tb
