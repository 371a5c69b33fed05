"""Bash: one shell for all cells of a kernel."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import shlex
from collections import OrderedDict
from typing import Any, NoReturn

from ..common import become
from ..hosted import Failure, HostedKernel, own_environment
from ..linux import set_process_name
from . import completion
from .asking import Asking
from .display import bundle
from .failures import explain, with_nul
from .shell import Ended, Report, Shell

# Cells whose lines are kept for errors in functions that they defined, and no more of it than this, in characters.
MOST_CELLS, MOST_TEXT = 200, 1 << 20
# Exit code of a shell that cannot say any more how a cell ended.
UNHEARD = 73
CANNOT_TELL = "its shell had nothing to tell by how a cell ended: the cell had closed or replaced its descriptor 244"
RESUMED = (
    "[the cell ended its shell; a new one has its variables, functions and options, but does not know "
    "{jobs} any more]\n"
)
NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


class BashKernel(HostedKernel):
    implementation = "kernelgw-bash"
    banner = "Bash"
    language_info = {  # noqa: RUF012
        "name": "bash",
        "mimetype": "text/x-sh",
        "file_extension": ".sh",
        "codemirror_mode": "shell",
        "pygments_lexer": "bash",
    }

    def __init__(self) -> None:
        super().__init__()
        self._shell: Shell
        self._asking: Asking
        self._sources: OrderedDict[int, list[str]] = OrderedDict()
        self._sizes: dict[int, int] = {}
        self._workspace = self._folder = ""
        self._busy = False
        # Of the last cell: what is told meanwhile belongs to it.
        self._context = contextvars.copy_context()

    async def open(self) -> None:
        self._workspace = os.getcwd()
        self._shell = Shell(self._display, self._resumed)
        self._shell.start(os.environ)
        self._asking = Asking(self)
        self._shell.ended.add_done_callback(self._ended)

    async def claim(self, variables: dict[str, str], cwd: str | None) -> None:
        await super().claim(variables, cwd)
        commands = [
            f"export {name}={shlex.quote(value)}"
            for name, value in variables.items()
            if NAME.issuperset(name) and not name[:1].isdigit() and name
        ]
        if cwd:
            self._workspace = cwd
            commands.append(f"cd -- {shlex.quote(cwd)}; unset OLDPWD")
        if commands:
            await self._shell.tell("; ".join(commands))

    # cells

    async def run_cell(self, code: str, language: str | None) -> Failure | None:
        del language
        code = code.replace("\r\n", "\n")
        if not any(line.strip() and not line.lstrip().startswith("#") for line in code.split("\n")):
            return None
        number = self.execution_count
        self._keep(number, code)
        if (place := code.find("\0")) >= 0:
            return with_nul(code.count("\n", 0, place) + 1, number, self._sources)
        self._busy, self._context = True, contextvars.copy_context()
        try:
            report = await self._run(code, number)
        except Ended as ended:
            await self._leave(ended.status)
        except OSError as error:
            return Failure("OSError", f"the cell could not be handed to the shell: {error}")
        finally:
            self._busy = False
        self._folder = report.cwd
        if report.status == 0:
            return None
        return self.interrupted if report.interrupted else explain(report, number, self._sources, self._workspace)

    async def _run(self, code: str, number: int) -> Report:
        if self._given is not None:
            return await self._shell.run(code, number, self._shell.stdin(self._given))
        if not self._may_ask:
            return await self._shell.run(code, number, None)
        async with self._asking.answering() as stdin:
            return await self._shell.run(code, number, stdin)

    def folder(self) -> str | None:
        return self._folder or None

    def interrupt(self) -> None:
        self._shell.loop.call_soon_threadsafe(self._shell.interrupted)

    def take_unfinished(self) -> str:
        """What programs have written last without ending the line, since this was asked for."""
        if self.chassis is None or self.chassis.output is None:
            return ""
        self.chassis.output.drain_pipes()
        text, self.chassis.output.unfinished = self.chassis.output.unfinished, ""
        return text

    def _keep(self, number: int, code: str) -> None:
        self._sources.pop(number, None)
        self._sizes.pop(number, None)
        self._sources[number] = code[:MOST_TEXT].split("\n")
        self._sizes[number] = len(code[:MOST_TEXT])
        while len(self._sources) > MOST_CELLS or (len(self._sources) > 1 and sum(self._sizes.values()) > MOST_TEXT):
            oldest, _ = self._sources.popitem(last=False)
            del self._sizes[oldest]

    def _display(self, path: str) -> str:
        try:
            self._context.run(self.show, bundle(path))
        except OSError as error:
            return f"{path}: {error.strerror}"
        except ValueError as error:
            return str(error)
        return "ok"

    def _resumed(self, jobs: int) -> None:
        if jobs:
            jobs_ = f"{jobs} background job{'s' if jobs > 1 else ''}"
            self._context.run(self.text, "stderr", RESUMED.format(jobs=jobs_))

    # its end

    def _ended(self, ended: asyncio.Future[int]) -> None:
        if not self._busy:
            self._task = asyncio.ensure_future(self._leave(ended.result()))

    async def _leave(self, status: int) -> NoReturn:
        """This process ends as the shell did: so it is told why."""
        assert self.chassis is not None
        code = os.waitstatus_to_exitcode(status)
        if self._shell.lost or code == UNHEARD:
            os.write(self.chassis.log_fd, f"Kernel ended: {self._shell.lost or CANNOT_TELL}\n".encode())
            self.chassis.leave(UNHEARD)
        os.write(self.chassis.log_fd, b"Fatal error: the shell ended\n")
        if code < 0:
            self.chassis.die(-code)
        self.chassis.leave(code)
        raise AssertionError("it has left")

    def do_shutdown(self, restart: bool) -> dict[str, Any]:
        self._shell.close()
        return dict(super().do_shutdown(restart))

    # what editors ask

    async def do_complete(self, code: str, cursor_pos: int) -> dict[str, Any]:
        with contextlib.suppress(Ended, OSError):
            return await completion.complete(self._shell.ask, code, cursor_pos)
        return {"status": "error", "ename": "Ended", "evalue": "", "traceback": []}

    async def do_is_complete(self, code: str) -> dict[str, Any]:
        return await completion.is_complete(code)


def run(boot: dict[str, Any], fds: list[Any]) -> NoReturn:
    set_process_name("kernel")
    own_environment(boot)
    become(BashKernel(), boot, fds)
