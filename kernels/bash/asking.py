"""What a cell's programs read, when whoever runs the cell may be asked: a terminal of their own.

It says nothing of its own when somebody waits for input. So it is looked: a process that sleeps in a call which reads,
or waits to read, from that terminal, while nothing lies there to be read, asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import platform
import re
import struct
import termios
from collections.abc import AsyncIterator, Iterator
from typing import Protocol

from ..hosted import NobodyToAsk

# By number, on the processors that kernels run on: calls by their first argument.
CALLS = {
    "x86_64": {0: "read", 19: "read", 7: "poll", 271: "poll", 23: "select", 270: "select", 232: "epoll", 281: "epoll"},
    "aarch64": {63: "read", 65: "read", 73: "poll", 72: "select", 22: "epoll"},
}.get(platform.machine(), {})
FIRST_LOOK_S, LOOK_S = 0.02, 0.05
# Who waits for input and for other things alike counts once it has for so many looks.
MANY_LOOKS = 3
# And where that cannot be seen (gVisor), whoever runs the cell is asked after so many, in case somebody waits.
BLIND_LOOKS = 20
# Nothing is on its way into a terminal that was found empty so often, one look after the other.
ARRIVED_LOOKS = 10
# A line that is longer does not fit into a terminal that gives whole lines.
LONGEST_LINE = 4000
END_OF_FILE = "\x04"
KEYS = ("VINTR", "VQUIT", "VERASE", "VKILL", "VSTART", "VSTOP", "VSUSP", "VREPRINT", "VDISCARD", "VWERASE", "VLNEXT")
POLLFD = struct.Struct("ihh")
EPOLLED = re.compile(r"^tfd:\s*(\d+) events:\s*([0-9a-f]+)", re.MULTILINE)
POLLIN = 1
MOST_POLLED = 256


class Asks(Protocol):
    async def ask(self, prompt: str = "", password: bool = False) -> str: ...

    def take_unfinished(self) -> str: ...


class Asking:
    """Has one terminal, for all cells of a kernel that may ask, from the first on."""

    def __init__(self, kernel: Asks) -> None:
        self._kernel = kernel
        self._master = self._slave = -1

    @contextlib.asynccontextmanager
    async def answering(self) -> AsyncIterator[str]:
        """A path for the cell's standard input; meanwhile whoever reads it gets answers. Raises OSError."""
        if self._master < 0:
            self._open()
        self._reset()
        self._kernel.take_unfinished()
        task = asyncio.create_task(self._answer())
        try:
            yield os.ttyname(self._slave)
        finally:
            task.cancel()
            # Without its terminal nobody is asked any more; the cell ends as it will.
            with contextlib.suppress(asyncio.CancelledError, OSError, termios.error):
                await task

    def _open(self) -> None:
        self._master, self._slave = os.openpty()
        os.set_blocking(self._master, False)
        asyncio.get_running_loop().add_reader(self._master, self._discard)

    def _discard(self) -> None:
        """What is echoed, or written there, is for nobody."""
        with contextlib.suppress(OSError):
            os.read(self._master, 1 << 16)

    def _reset(self) -> None:
        with contextlib.suppress(termios.error):
            termios.tcflush(self._slave, termios.TCIFLUSH)
        while self._unread():
            os.read(self._slave, 1 << 12)
        attributes = termios.tcgetattr(self._slave)
        attributes[0] = termios.ICRNL
        attributes[3] = termios.ICANON | termios.ECHO | termios.IEXTEN
        for key in KEYS:
            attributes[6][getattr(termios, key)] = b"\0"
        attributes[6][termios.VEOF] = END_OF_FILE.encode()
        termios.tcsetattr(self._slave, termios.TCSANOW, attributes)

    async def _answer(self) -> None:
        await asyncio.sleep(FIRST_LOOK_S)
        looked, many = 0, MANY_LOOKS if os.path.exists("/proc/self/syscall") else BLIND_LOOKS
        while True:
            looked = looked + 1 if (how := self._waits() if many == MANY_LOOKS else "unseen") else 0
            if how == "read" or looked >= many:
                looked = 0
                attributes = termios.tcgetattr(self._slave)
                hidden = not attributes[3] & termios.ECHO and bool(attributes[3] & termios.ICANON)
                try:
                    answer = await self._kernel.ask(self._kernel.take_unfinished(), hidden)
                except NobodyToAsk:
                    return
                await self._type(END_OF_FILE if answer == END_OF_FILE else f"{answer}\n")
            await asyncio.sleep(LOOK_S)

    async def _type(self, text: str) -> None:
        data = memoryview(text.encode(errors="replace"))
        long = any(len(line) > LONGEST_LINE for line in bytes(data).split(b"\n"))
        if long:
            self._lines(False)
        while data:
            try:
                data = data[os.write(self._master, data[:LONGEST_LINE]) :]
            except BlockingIOError:
                await asyncio.sleep(0.005)
        if long:
            # A terminal tells nobody that it was read, and what was written arrives there a little later.
            nothing = 0
            while nothing < ARRIVED_LOOKS:
                await asyncio.sleep(0.005)
                nothing = 0 if self._unread() else nothing + 1
            self._lines(True)

    def _lines(self, whole: bool) -> None:
        attributes = termios.tcgetattr(self._slave)
        attributes[3] = attributes[3] | termios.ICANON if whole else attributes[3] & ~termios.ICANON
        if not whole:
            attributes[6][termios.VMIN], attributes[6][termios.VTIME] = 1, 0
        else:
            attributes[6][termios.VEOF], attributes[6][termios.VEOL] = END_OF_FILE.encode(), b"\0"
        termios.tcsetattr(self._slave, termios.TCSANOW, attributes)

    def _unread(self) -> int:
        return int(struct.unpack("i", fcntl.ioctl(self._slave, termios.FIONREAD, b"0000"))[0])

    def _waits(self) -> str:
        """How a process waits for it: "read", or by another name; empty when none does."""
        if self._unread():
            return ""
        device = os.fstat(self._slave).st_rdev
        hows = {how for pid in _processes() for how in _waiting(pid, device)}
        return "read" if "read" in hows else next(iter(hows), "")


def _processes() -> Iterator[int]:
    own = os.getpid()
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != own:
            yield int(name)


def _waiting(pid: int, device: int) -> Iterator[str]:
    """The calls in which its threads sleep until there is something to read from the device."""
    with contextlib.suppress(OSError, ValueError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/syscall") as file:
                fields = file.read().split()
            how = CALLS.get(int(fields[0])) if fields and fields[0] != "running" else None
            if how is None:
                continue
            arguments = [int(field, 16) for field in fields[1:7]]
            if any(_is(pid, fd, device) for fd in _fds(pid, how, arguments)):
                yield how


def _is(pid: int, fd: int, device: int) -> bool:
    with contextlib.suppress(OSError):
        return os.stat(f"/proc/{pid}/fd/{fd}").st_rdev == device
    return False


def _fds(pid: int, how: str, arguments: list[int]) -> Iterator[int]:
    first, second = arguments[:2]
    if how == "read":
        yield first
    elif how == "poll":
        data = _memory(pid, first, POLLFD.size * min(second, MOST_POLLED))
        for fd, events, _ in POLLFD.iter_unpack(data):
            if fd >= 0 and events & POLLIN:
                yield fd
    elif how == "select" and second:
        data = _memory(pid, second, 8 * ((min(first, 1024) + 63) // 64))
        bits = int.from_bytes(data, "little")
        yield from (fd for fd in range(min(first, 1024)) if bits >> fd & 1)
    elif how == "epoll":
        with open(f"/proc/{pid}/fdinfo/{first}") as file:
            for fd, events in EPOLLED.findall(file.read()):
                if int(events, 16) & POLLIN:
                    yield int(fd)


def _memory(pid: int, address: int, size: int) -> bytes:
    fd = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(fd, size, address)
    finally:
        os.close(fd)
