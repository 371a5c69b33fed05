"""Servers as child processes: started, awaited, looked into and ended, by pid only."""

import contextlib
import ctypes
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """What our servers leave behind when they end becomes our child, so that the run can find and end it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def end_leftovers(patience: float = 5.0) -> list[str]:
    """Ends every process below this one that does not end by itself, and says which; collects the ended ones."""
    _, left = psutil.wait_procs(psutil.Process().children(recursive=True), patience)
    running = []
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            running.append(process.name())
            process.kill()
    psutil.wait_procs(left, patience)
    return running


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ServerFailed(Exception):
    """A server did not come up; the message ends with what it last printed."""


class Server:
    """One server process in a process group of its own. Its output is read all the time and the end of it kept."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], folder: Path) -> None:
        self._process = subprocess.Popen(
            command,
            env=dict(environ),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._tail: deque[str] = deque(maxlen=40)
        self._changed = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for_line(self, pattern: str, timeout: float = 60.0) -> re.Match[str]:
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                for line in self._tail:
                    if found := re.search(pattern, line):
                        return found
                if self._ended or not self._changed.wait(deadline - time.monotonic()):
                    raise ServerFailed(self._last_words(f"no line like {pattern}"))

    def wait_until(self, ready: Callable[[], bool], timeout: float = 60.0) -> None:
        """Asks `ready` again and again; a refused connection counts as not ready."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError):
                if ready():
                    return
            time.sleep(0.02)  # another process's readiness over HTTP can only be asked for
        raise ServerFailed(self._last_words("not ready"))

    def stop(self, patience: float = 15.0) -> None:
        """SIGTERM to the server, which is given time to end its kernels; then SIGKILL to its group."""
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._tail.append(line.rstrip())
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _last_words(self, what: str) -> str:
        said = [line for line in self._tail if line.strip()]
        first = f"{what}, exit status {self._process.poll()}; it said last: {said[-1] if said else 'nothing'}"
        return "\n".join([first, *said])
