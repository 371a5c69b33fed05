"""IPython's shell, where it relies on an application that a forked kernel does not have."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import traceback
import warnings
from types import TracebackType
from typing import Any

from ipykernel import eventloops
from ipykernel.zmqshell import ZMQInteractiveShell
from IPython.core.error import UsageError
from IPython.core.events import available_events

from . import facts, frames
from .debugging import is_debugger
from .events import Events
from .large import Compiler, Large, as_one, changes_nothing

CHILD_GRACE_S = 2.0
# Each frame costs some milliseconds to describe, and a recursion error has a thousand.
MOST_FRAMES = 60
# Of a text in a traceback; of all of them together.
LONGEST_LINE, LONGEST_TRACEBACK = 64 << 10, 1 << 20


class Shell(ZMQInteractiveShell):
    compiler_class = Compiler
    # The error that was told last in this cell, and of what; the second is for the reply.
    _told: tuple[BaseException, dict[str, Any]] | None = None
    failure: dict[str, Any] | None = None
    # What an exception says, asked once: its class may take its time.
    _said: tuple[BaseException, str, bool] | None = None
    # The kernel's folder.
    workspace = ""

    def __init__(self, **kwargs: Any) -> None:
        self.large = Large()
        super().__init__(**kwargs)

    def init_events(self) -> None:
        self.events = Events(self, available_events)
        self.events.register("pre_execute", self._clear_warning_registry)

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

    def transform_cell(self, raw_cell: str) -> str:
        """Python itself has no magics to look for."""
        if self.large.is_python(raw_cell) and changes_nothing(self) and "\n" in raw_cell:
            return raw_cell if raw_cell.endswith("\n") else raw_cell + "\n"
        return str(super().transform_cell(raw_cell))

    def should_run_async(self, raw_cell: str, **kwargs: Any) -> bool:
        known = self.large.awaits(raw_cell) if kwargs.get("preprocessing_exc_tuple") is None else None
        return bool(super().should_run_async(raw_cell, **kwargs)) if known is None else known and self.autoawait

    async def run_ast_nodes(self, nodelist: list[Any], *args: Any, **kwargs: Any) -> Any:
        return await super().run_ast_nodes(as_one(nodelist), *args, **kwargs)

    async def run_cell_async(self, *args: Any, **kwargs: Any) -> Any:
        self._begin()
        result = await super().run_cell_async(*args, **kwargs)
        if issubclass(type(result.error_in_exec), SystemExit) and frames.ends_well(result.error_in_exec):
            result.error_in_exec = None
            self.last_execution_succeeded = True
        error = result.error_in_exec if result.error_before_exec is None else result.error_before_exec
        told = self._told
        if told is not None and (error is None or error is told[0]):
            self.failure = told[1]
        if error is not None and not self._text_of(error)[1]:
            # ipykernel makes the reply of its text, which cannot be had.
            result.error_before_exec = Untold(frames.name_of(error))
        self._told = self._said = None
        return result

    def _begin(self) -> None:
        self._told = self._said = self.failure = None
        self._last_traceback: list[str] | None = None

    def _text_of(self, value: BaseException) -> tuple[str, bool]:
        if self._said is None or self._said[0] is not value:
            self._said = (value, *frames.text_of(value))
        return self._said[1:]

    def _format_exception_for_storage(self, exception: BaseException, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """What was told, rather than the same once more."""
        content = {"ename": frames.name_of(exception), "evalue": self._text_of(exception)[0], "traceback": []}
        if self._told is not None and self._told[0] is exception:
            content = self._told[1]
        return {name: content[name] for name in ("ename", "evalue", "traceback")}

    def showtraceback(self, exc_tuple: Any = None, *args: Any, **kwargs: Any) -> None:
        """Exception groups too become an error output, which IPython prints to stderr, and what it cannot show."""
        try:
            kind, value, tb = self._get_exc_info(exc_tuple)
        except ValueError:
            super().showtraceback(exc_tuple, *args, **kwargs)
            return
        if issubclass(type(value), SystemExit) and self._exits(value):
            return
        before = self._told
        lines: list[str] | None = None
        try:
            if not self._text_of(value)[1]:
                lines = self._plainly(value)
            elif _has_group(value):
                lines = "".join(traceback.format_exception(kind, value, _from_cell(tb))).splitlines()
            else:
                shown = (kind, value, tb if tb is None else _shortened(_unhandled(tb)))
                super().showtraceback(shown, *args, **kwargs)
        except BaseException:
            # An interrupt too: the cell is over.
            lines = self._plainly(value)
        if lines is None and self._told is before and kind is not UsageError:
            lines = self._plainly(value)
        if lines is not None:
            self._showtraceback(kind, value, lines)

    def _exits(self, value: SystemExit) -> bool:
        """As Python does at the end of a program; whether it has ended well."""
        if frames.ends_well(value):
            return True
        if not isinstance(frames.exit_code(value), int):
            with contextlib.suppress(Exception):
                sys.stderr.write(self._text_of(value)[0] + "\n")
        return False

    def _plainly(self, value: BaseException) -> list[str]:
        """Where IPython could not do it, since it would ask the exception's class."""
        lines = ["Traceback (most recent call last):"]
        with contextlib.suppress(Exception):
            for each in self._describer().describe(value)["frames"]:
                lines.append(f"  {each['file']}, line {each['line']}, in {each['function']}")
                lines += [f"    {text.strip()}" for number, text in each["source"] if number == each["line"]]
        return [*lines, f"{frames.name_of(value)}: {self._text_of(value)[0]}"]

    def _describer(self) -> frames.Describer:
        return frames.Describer(self.compile._filename_map.get, self.workspace)

    def _showtraceback(self, etype: Any, evalue: Any, stb: Any) -> None:
        lines = _fitting(stb)
        if self.kernel.chassis is not None and not self.kernel.chassis.is_kernel():
            # A forked process has no socket, but the kernel reads what it writes.
            sys.stderr.write("\n".join(lines) + "\n")
            return
        content = {"ename": frames.name_of(evalue), "evalue": self._text_of(evalue)[0], "traceback": lines}
        content |= self._described(evalue)
        if content.get("frames") == [] and "causes" not in content:
            # IPython writes of a place all the same, which is its own.
            content["traceback"] = lines = [
                f"{content['ename']}: {content['evalue']}".removesuffix(": ").removesuffix(" (<string>)")
            ]
        for stream in (sys.stdout, sys.stderr):
            # They may be the user's own by now.
            with contextlib.suppress(Exception):
                stream.flush()
        self._told, self._last_traceback = (evalue, content), lines
        hook = self.displayhook
        if getattr(hook, "msg", None) is not None:
            # Of an output that is being made: the cell has failed.
            self._last_traceback_during_displayhook = True
        topic = hook.topic.replace(b"execute_result", b"error") if hook.topic else None
        hook.session.send(hook.pub_socket, "error", content, hook.parent_header, ident=topic)

    def _described(self, value: BaseException) -> dict[str, Any]:
        """For a gateway; a notebook has no place for it."""
        if self.kernel.changes is None:
            return {}
        found: dict[str, Any] = {}
        with contextlib.suppress(Exception):
            found |= self._describer().describe(value)
        with contextlib.suppress(Exception):
            found |= facts.of(value, self.workspace)
        return found


class Untold(Exception):
    """Stands for an exception whose text cannot be had."""


def advise(message: str, category: type[Warning] | None = None, stacklevel: int = 1) -> None:
    """Stands where IPython warns: who ends a program in a cell need not be told how to end IPython."""
    if not str(message).startswith("To exit:"):
        warnings.warn(message, category, stacklevel=stacklevel + 1)


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


def _fitting(lines: Any) -> list[str]:
    """Each cut where it is too long, and those that are too many left out."""
    found, room = [], LONGEST_TRACEBACK
    for line in lines if isinstance(lines, list) else str(lines).splitlines():
        text = str(line)
        found.append(text if len(text) <= LONGEST_LINE else text[:LONGEST_LINE] + " […]")
        room -= len(found[-1])
        if room < 0:
            return [*found, "[…]"]
    return found


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
