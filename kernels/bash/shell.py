"""One bash, alive for as long as its kernel: cells go in as files, and what came of each is told by a pipe."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import secrets
import shlex
import shutil
import signal
import struct
import termios
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .traces import folder, group, parents

PRELUDE = (Path(__file__).parent / "prelude.sh").read_text()
PLACES = ("/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash")
ARGUMENTS = ("bash", "--noprofile", "--norc", "--noediting", "-i")
# What cells have as stdout and stderr; the numbers are in prelude.sh too.
STDOUT, STDERR, LINES = 241, 242, 243
# By what it tells, and by what it is answered.
REPORTS, ANSWERS = 244, 245
# What is no line after so much is none of the shell's.
LONGEST_LINE, MOST_READS = 1 << 18, 16
SEPARATOR = "\x1f"
# By this the shell is told of an interrupt, besides SIGINT.
STOP = 63
# A list of commands is run by a call for each of them, one in the other: a quarter of what 8 MiB of stack take.
LONGEST_GROUP = 5000
# An interrupted cell that goes on: when the line that asks for its end is said again, and when all get SIGINT again.
AGAIN_S, SIGNAL_S, LONGEST_SIGNAL_S = 0.1, 1.0, 8.0
SETTLE_S = 0.05
POLL_S = 0.1
# The shell has read the line that asks for the end of a cell, and says nothing: how often it is asked again.
LOOK_S, MOST_LOOKS = 1.0, 4
# After an interrupt, a cell of which nothing but the shell itself runs has so long to end.
GIVE_UP_S = 5.0
CLOSED = "the cell closed or replaced its descriptors 241 or 242, by which its output is heard"
SILENT = "its shell reads on, but no longer tells how a cell ends; a cell has changed what it tells that by"
STUCK = f"its shell went on for {GIVE_UP_S:.0f} seconds after an interrupt, with no program of the cell running"
NULL = "/dev/null"


class Ended(Exception):
    """The shell is no more. `status`: as of waitpid."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the shell ended ({status})")
        self.status = status


@dataclass(frozen=True)
class Report:
    """How a cell ended. `last`: the last command that ran, with its status, if the end of the cell was reached.
    `failed`: what the shell told of the last command that failed. `unread`: why it could not be read at all."""

    status: int
    cwd: str
    last: tuple[int, str] | None
    failed: tuple[str, ...]
    unread: str = ""
    interrupted: bool = False


class Shell:
    """`on_display`: called with a path, returns what the one who asked is told. `on_resumed`: called when a new bash
    has taken over, with how many jobs it does not know any more. Used in one loop."""

    def __init__(self, on_display: Callable[[str], str], on_resumed: Callable[[int], None]) -> None:
        self._on_display = on_display
        self._on_resumed = on_resumed
        self.loop = asyncio.get_running_loop()
        self._folder = ""
        self._pid = -1
        self._program = ""
        self._lines = self._reports = self._answers = self._lock = -1
        self._rest = b""
        self._waiting: dict[str, asyncio.Future[list[str]]] = {}
        self._current = ""
        self._interrupted = False
        self._interrupted_at = 0.0
        # Children that were there before the cell.
        self._before: frozenset[int] = frozenset()
        # Why it was ended by this side, if it was.
        self.lost = ""
        self._again: asyncio.TimerHandle | None = None
        self.ended: asyncio.Future[int] = self.loop.create_future()

    # its life

    def start(self, environment: Mapping[str, str]) -> None:
        """Raises OSError."""
        self._folder, self._lock = folder()
        self._reports, report = os.pipe2(os.O_CLOEXEC)
        answer, self._answers = os.pipe2(os.O_CLOEXEC)
        for fd in (self._reports, self._answers):
            os.set_blocking(fd, False)
        self.loop.add_reader(self._reports, self._hear)
        self._write("prelude", PRELUDE)
        read, self._lines = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._lines, False)
        program = next((place for place in PLACES if os.access(place, os.X_OK)), None) or shutil.which("bash")
        if program is None:
            raise FileNotFoundError("there is no bash on this machine")
        self._program = program
        self._pid = os.posix_spawn(
            program,
            ARGUMENTS,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, 1, STDOUT),
                (os.POSIX_SPAWN_DUP2, 2, STDERR),
                (os.POSIX_SPAWN_DUP2, read, 0),
                (os.POSIX_SPAWN_DUP2, read, LINES),
                (os.POSIX_SPAWN_DUP2, report, REPORTS),
                (os.POSIX_SPAWN_DUP2, answer, ANSWERS),
                (os.POSIX_SPAWN_OPEN, 1, NULL, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsigdef=[number for number in signal.valid_signals() if number not in (signal.SIGKILL, signal.SIGSTOP)],
            setsigmask=[],
        )
        for fd in (read, report, answer):
            os.close(fd)
        self._follow()
        self._say(f"__kgw_dir={shlex.quote(self._folder)}; . {shlex.quote(self._path('prelude'))}")

    def _follow(self) -> None:
        """Its end sets `ended`."""
        try:
            fd = os.pidfd_open(self._pid)
        except OSError:
            self._look()
            return
        self.loop.add_reader(fd, self._gone, fd)

    def _look(self) -> None:
        if not self._gone():
            self.loop.call_later(POLL_S, self._look)

    def _gone(self, fd: int = -1) -> bool:
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if pid == 0:
            return False
        if fd >= 0:
            self.loop.remove_reader(fd)
            os.close(fd)
        self.loop.remove_reader(self._reports)
        shutil.rmtree(self._folder, ignore_errors=True)
        if not self.ended.done():
            self.ended.set_result(status)
        return True

    def close(self) -> None:
        """Also what it has not read yet is nobody's any more."""
        shutil.rmtree(self._folder, ignore_errors=True)

    # what it is told

    async def run(self, code: str, number: int, stdin: str | None) -> Report:
        """`stdin`: a path, or None for nothing to read. Raises Ended, and OSError when there is no room for it."""
        self._again_there()
        name = f"cell-{number}"
        text, whole = cell(code)
        self._write("unread", "")
        self._write(name, text)
        self._interrupted, self._before = False, self._children()
        unread = f"|{shlex.quote(self._path('unread'))}" if whole else f"&{STDERR}"
        redirections = f"<{shlex.quote(stdin or NULL)} >&{STDOUT} 2>{unread}"
        try:
            fields = await self._call(f'__kgw_in {number}; \\builtin . "$__kgw_cell" {redirections}')
            return self._report(fields, await self._settled())
        finally:
            self._forget(name)

    async def tell(self, commands: str) -> None:
        """Commands of the kernel's own, which say nothing. Raises Ended."""
        # By a file: what is longer than a pipe takes would come torn.
        self._write("told", commands)
        await self._call(f"\\builtin . {shlex.quote(self._path('told'))} >{NULL} 2>&1 <{NULL}", "0")
        self._forget("told")

    async def ask(self, command: str) -> str:
        """What a command says; in a process of its own. Raises Ended."""
        answer = self._path("answer")
        await self._call(f"( {command} ) >|{shlex.quote(answer)} 2>{NULL} <{NULL}", '"$__kgw_last"')
        return _read(answer)

    def stdin(self, text: str) -> str:
        """A path to read it from. Raises OSError."""
        self._write("stdin", text)
        return self._path("stdin")

    async def _call(self, line: str, status: str = "$?") -> list[str]:
        nonce = secrets.token_hex(8)
        self._current = f"__kgw_out {nonce} {status}"
        told = self._waiting[nonce] = self.loop.create_future()
        try:
            self._say(line)
            self._say(self._current)
            return await self._told(told)
        finally:
            self._current = ""
            del self._waiting[nonce]
            if self._again is not None:
                self._again.cancel()

    async def _told(self, told: asyncio.Future[list[str]]) -> list[str]:
        """The shell reads byte by byte, and the line that asks is the last: once it is read, the answer comes. Who has
        read it several times has also gone through with it."""
        looks = 0
        while True:
            await asyncio.wait((told, self.ended), timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)
            if told.done():
                return told.result()
            if self.ended.done():
                raise Ended(self.ended.result())
            looks = 0 if self._unread() else looks + 1
            if looks >= MOST_LOOKS:
                self._lose(SILENT)
            elif looks:
                self._say(self._current)

    def _unread(self) -> bool:
        return bool(struct.unpack("i", fcntl.ioctl(self._lines, termios.FIONREAD, bytes(4)))[0])

    def _lose(self, why: str) -> None:
        if not self.lost and not self.ended.done():
            self.lost = why
            os.kill(self._pid, signal.SIGKILL)

    def _say(self, line: str) -> None:
        # Nothing more fits only if a cell goes on through many interrupts: what asks for its end is there already.
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self._lines, f"{line}\n".encode(errors="surrogateescape"))

    # interrupts

    def interrupted(self) -> None:
        """It has had SIGINT, as all of its group have. A line that it was reading is lost then, perhaps the one that
        asks for the end of the cell."""
        if not self._interrupted:
            self._interrupted, self._interrupted_at = True, self.loop.time()
        if self._current and not self.ended.done():
            os.kill(self._pid, STOP)
            self._say(self._current)
            self._again = self.loop.call_later(AGAIN_S, self._interrupt_again, SIGNAL_S)

    def _interrupt_again(self, pause: float) -> None:
        """The signal may have come to the shell only after the line; and what it ended may have been followed by the
        next command, before the shell had heard that all is to stop."""
        if not self._current or self.ended.done():
            return
        if self.loop.time() - self._interrupted_at > GIVE_UP_S and self._alone():
            self._lose(STUCK)
            return
        os.kill(self._pid, STOP)
        self._say(self._current)
        if pause > SIGNAL_S:
            # Not to the shell, which would forget for it what it has just been told.
            for pid in group(but=self._pid):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGINT)
        self._again = self.loop.call_later(pause, self._interrupt_again, min(2 * pause, LONGEST_SIGNAL_S))

    async def _settled(self) -> bool:
        """Whether there was an interrupt; by then no signal is on its way that could hit the next cell."""
        if not self._interrupted:
            return False
        until = self.loop.time() + GIVE_UP_S
        while self.loop.time() < until:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._call("\\builtin :", '"$__kgw_last"'), SETTLE_S)
                return True
        await self._call("\\builtin :", '"$__kgw_last"')
        return True

    def _alone(self) -> bool:
        """Whether the shell is one yet, and all that runs of the cell. A program may ignore an interrupt."""
        with contextlib.suppress(OSError):
            if not os.path.samefile(f"/proc/{self._pid}/exe", self._program):
                return False
        return self._children() <= self._before

    def _children(self) -> frozenset[int]:
        return frozenset(pid for pid, parent in parents() if parent == self._pid)

    # what it says

    def _hear(self) -> None:
        # Others of the session can write here too, and as much as they like: so not all at once, nor kept for long.
        with contextlib.suppress(BlockingIOError):
            for _ in range(MOST_READS):
                if not (data := os.read(self._reports, 1 << 16)):
                    # Closed by all who had it.
                    self.loop.remove_reader(self._reports)
                    return
                *lines, self._rest = (self._rest + data).split(b"\n")
                for line in lines:
                    self._heard(line.decode(errors="replace").split(SEPARATOR))
                if len(self._rest) > LONGEST_LINE:
                    self._rest = b""

    def _heard(self, fields: list[str]) -> None:
        if fields[0] == "display" and len(fields) == 2:
            answer = self._on_display(fields[1])
            with contextlib.suppress(BlockingIOError):
                os.write(self._answers, f"{answer}\n".encode(errors="replace"))
        elif fields[0] == "resumed" and len(fields) == 2:
            # The old one may have read the line that asks for the end.
            if self._current:
                self._say(self._current)
            self._on_resumed(int(fields[1]) if fields[1].isdigit() else 0)
        elif fields == ["lost"]:
            self._lose(CLOSED)
        elif (waiting := self._waiting.get(fields[0])) is not None and not waiting.done() and _whole(fields):
            waiting.set_result(fields)

    def _report(self, fields: list[str], interrupted: bool) -> Report:
        status, cwd, count, *more = fields[1:]
        many = int(count)
        last = (int(more[0]), more[1]) if many == 2 else None
        unread = ""
        if status != "0" and last is None:
            with contextlib.suppress(OSError):
                unread = _read(self._path("unread"))
        return Report(int(status), cwd, last, tuple(more[many:]), unread, interrupted)

    # files

    def _again_there(self) -> None:
        """A cell may have removed the folder. Raises OSError."""
        if not os.path.exists(self._path("prelude")):
            os.makedirs(self._folder, 0o700, exist_ok=True)
            self._write("prelude", PRELUDE)

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}"

    def _write(self, name: str, text: str) -> None:
        with open(self._path(name), "wb") as file:
            file.write(_bytes(text))

    def _forget(self, name: str) -> None:
        for each in (name, "stdin"):
            with contextlib.suppress(OSError):
                os.unlink(self._path(each))


def _whole(fields: Sequence[str]) -> bool:
    """Whether it is what `_report` reads."""
    with contextlib.suppress(ValueError, IndexError):
        many = int(fields[3])
        return int(fields[1]) >= 0 and (many != 2 or (int(fields[4]) >= 0 and len(fields) > 5))
    return False


def _bytes(text: str) -> bytes:
    try:
        # What a variable has that is no text.
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return text.encode(errors="replace")


def _read(path: str) -> str:
    with open(path, errors="replace") as file:
        return file.read(1 << 20)


def cell(code: str) -> tuple[str, bool]:
    """As one group, in a file: lines keep their numbers. What follows it sees the last command before it. A long one is
    no group, and says by itself why it cannot be read."""
    begin, end = f"{{ __kgw_back; }} 2>{NULL}; {code}\n\n", ""
    if whole := code.count("\n") < LONGEST_GROUP:
        begin, end = f"{{ {begin}", f"}} 2>&{STDERR}\n"
    return (
        f'{begin}{end}for __kgw_t in "$?" "$BASH_COMMAND"; do __kgw_tail+=("${{__kgw_t:0:500}}"); done\n',
        whole,
    )
