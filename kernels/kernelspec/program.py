"""A kernelspec's program as a child process: its connection file, its ends, and what it writes beside its messages."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import string
import subprocess
import tempfile
import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from .. import linux
from ..seal import default_signals

ADDRESS = "127.0.0.1"
CHANNELS = ("shell", "control", "stdin", "iopub", "hb")
READ = 1 << 16
MOST_LINES, LONGEST_LINE = 4, 300
LEAVING_S = 1.0


class Program:
    """`told` is called with stdout or stderr and text, once it is `begun`; `ended` with its code, as of subprocess."""

    def __init__(
        self, options: Mapping[str, Any], told: Callable[[str, str], None], ended: Callable[[Program, int], None]
    ) -> None:
        self.begun = False
        self._told = told
        self._loop = asyncio.get_running_loop()
        self.connection = connection()
        self._file = _write(self.connection)
        self._last: deque[str] = deque(maxlen=MOST_LINES)
        self._held = False
        argv = [_filled(each, self._file, options) for each in options["argv"]]
        self.name = os.path.basename(argv[0])
        self._process = subprocess.Popen(
            argv,
            env={**os.environ, **_variables(options.get("env", {}))},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
            preexec_fn=_become_child,
        )
        for name, pipe in (("stdout", self._process.stdout), ("stderr", self._process.stderr)):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
            self._loop.add_reader(pipe.fileno(), self._read, name, pipe.fileno())
        threading.Thread(target=self._wait, args=(ended,), name="Program", daemon=True).start()

    @property
    def last_lines(self) -> list[str]:
        """Of its stderr."""
        return [line[:LONGEST_LINE] for line in self._last]

    def ready(self) -> None:
        """What it writes from now on is the cells'; the key need not lie about any longer."""
        self.drain()
        self.begun = True
        self._unlink()

    def interrupt(self) -> None:
        self._signal(signal.SIGINT)

    def hold(self, whether: bool) -> None:
        """Stopped, whatever it does, and until it may go on."""
        if whether != self._held:
            self._held = whether
            self._signal(signal.SIGSTOP if whether else signal.SIGCONT)

    def end(self, leaves: bool) -> None:
        """Returns when it has. `leaves`: it was asked to. From any thread."""
        if leaves:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(LEAVING_S)
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._unlink()

    def drain(self) -> None:
        """Tells what it has written so far."""
        for name, pipe in (("stdout", self._process.stdout), ("stderr", self._process.stderr)):
            if pipe is not None and not pipe.closed:
                while self._read(name, pipe.fileno()):
                    """More of it."""

    def close(self) -> None:
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None and not pipe.closed:
                self._loop.remove_reader(pipe.fileno())
                pipe.close()

    def _signal(self, number: int) -> None:
        # The pid is not another's before it has been waited for.
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _read(self, name: str, fd: int) -> bool:
        try:
            data = os.read(fd, READ)
        except BlockingIOError:
            return False
        if not data:
            self._loop.remove_reader(fd)
            return False
        text = data.decode(errors="replace")
        if name == "stderr":
            self._last.extend(line for line in text.splitlines() if line.strip())
        if self.begun:
            self._told(name, text)
        return True

    def _wait(self, ended: Callable[[Program, int], None]) -> None:
        code = self._process.wait()
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(ended, self, code)

    def _unlink(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._file)


def connection() -> dict[str, Any]:
    """What a kernel is told of its sockets, with ports that were free a moment ago."""
    with contextlib.ExitStack() as held:
        ports = {}
        for channel in CHANNELS:
            bound = held.enter_context(socket.socket())
            bound.bind((ADDRESS, 0))
            ports[f"{channel}_port"] = bound.getsockname()[1]
    return {
        "transport": "tcp",
        "ip": ADDRESS,
        **ports,
        "key": uuid.uuid4().hex,
        "signature_scheme": "hmac-sha256",
    }


def _write(connection: Mapping[str, Any]) -> str:
    fd, path = tempfile.mkstemp(".json", "kernel-")
    with open(fd, "w") as file:
        json.dump(connection, file)
    return path


def _filled(argument: str, file: str, options: Mapping[str, Any]) -> str:
    """The three that kernelspecs have."""
    for name, value in (
        ("connection_file", file),
        ("resource_dir", str(options.get("folder", ""))),
        ("prefix", os.environ.get("VIRTUAL_ENV", "/usr")),
    ):
        argument = argument.replace(f"{{{name}}}", value)
    return argument


def _variables(env: Mapping[str, str]) -> dict[str, str]:
    return {name: string.Template(value).safe_substitute(os.environ) for name, value in env.items()}


def _become_child() -> None:
    # Without a sandbox nothing else would end it when this process is killed.
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    default_signals(frozenset())
