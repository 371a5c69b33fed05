"""The fork server: one an environment, started clean, that forks kernels in milliseconds.

It is `exec`ed with an empty environment and fd 3 as its listening socket, stays single-threaded, imports
what the environment preloads, freezes the heap and then only forks, reaps, signals and reports. It holds no
secret, no event loop, no ZeroMQ context and runs no user code. It outlives the gateway: kernels are its
children, so they keep running while a gateway restarts, and what happened meanwhile is told at `hello`.

Requests are JSON objects with `op` and `seq`; each is answered once with the same `seq`:

| op      | with                                                | answer, and later events                        |
|---------|-----------------------------------------------------|-------------------------------------------------|
| hello   | version, stage, copied, preload, variables, filter  | version, instance, pid, sandboxes, kernels, unheard |
| sandbox | id, bwrap, args, binds, finish, uid, gid, groups    | ok; `sandbox_up`, `sandbox_exit`                |
| spawn   | id, sandbox or null, seal, egress, binds + fds      | ok; `spawned`, then `exit`, or `spawn_failed`   |
| signal  | id, signal, group                                   | ok, or `gone`                                   |
| end     | id of a sandbox                                     | ok; `exit` of all inside, `sandbox_exit`        |
| keep    | id of a kernel, + fds that a later gateway will need | ok                                              |
| fetch   | id of a kernel                                      | ok, + the fds that were kept                    |
| open    | image of a workspace                                | ok, + a descriptor of where it is mounted       |
| lend    | folder, its device and inode as file, uid, gid      | ok, image: what to release                      |
| release | image of a workspace that nobody will use any more  | ok, mounted; `released` if it was               |
| stop    |                                                     | ok, then everything is killed and the server ends |

A hello may also say for how long the server outlives its last gateway: `grace`, in seconds.

The first fd of a spawn is a memory file with what the child becomes, which this process never reads: it would stay in
its memory, and all later kernels are made of that.
"""

from __future__ import annotations

import base64
import gc
import os
import select
import selectors
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from . import channel, linux, sandboxes
from .children import Boot, Children
from .stage import Stage

LISTENER_FD = 3
# Without a gateway for this long, nobody is coming back for the kernels.
ORPHAN_GRACE_S = 900.0
LAST_WAIT_S = 2.0
# Messages that may wait for a gateway that is slow to read.
MOST_UNSENT = 10_000


class ForkServer:
    """Answers requests one after another; whatever can wait is an event of the selector."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.selector = selectors.DefaultSelector()
        self.clients: dict[int, socket.socket] = {}
        self.unsent: dict[int, deque[dict[str, Any]]] = {}
        self.children = Children(self.selector, self.tell)
        self.stage = Stage()
        self.sandboxes: dict[str, sandboxes.Sandbox] = {}
        self.doomed: list[sandboxes.Sandbox] = []
        self.releasing: dict[int, str] = {}
        self.unheard: list[dict[str, Any]] = []
        # pids are used again; this is not.
        self.instance = os.urandom(16).hex()
        self.stamp = ""
        self.ready = False
        self.stopping = False
        self.alone_since = time.monotonic()
        self.grace_s = ORPHAN_GRACE_S
        self._ops: dict[str, Callable[[dict[str, Any], list[int]], dict[str, Any]]] = {
            "hello": self.hello,
            "sandbox": self.sandbox,
            "spawn": self.spawn,
            "signal": self.signal,
            "end": self.end,
            "keep": self.keep,
            "fetch": self.fetch,
            "open": self.open,
            "lend": self.lend,
            "release": self.release,
            "stop": self.stop,
        }

    def run(self) -> None:
        """Serves until told to stop. Raises Boot in a forked child, so that the child leaves this stack."""
        self.selector.register(self.listener, selectors.EVENT_READ, self.accept)
        self.children.watch_signals()
        while not self.stopping:
            for key, _ in self.selector.select(timeout=60):
                key.data(key.fileobj)
            self.reap()
            if not self.clients and time.monotonic() - self.alone_since >= self.grace_s:
                self.stopping = True
        self.kill_all()

    def accept(self, _: Any) -> None:
        client, _address = self.listener.accept()
        client.setblocking(False)
        self.clients[client.fileno()] = client
        self.unsent[client.fileno()] = deque()
        self.selector.register(client, selectors.EVENT_READ, self.serve)

    def serve(self, client: socket.socket) -> None:
        try:
            received = channel.receive(client)
        except BlockingIOError:
            return
        except channel.Malformed as error:
            self.answer(client, {"ok": False, "error": "malformed", "message": str(error)})
            return
        except OSError:
            received = None
        if received is None:
            self.forget(client)
            return
        request, fds = received
        answer = self.perform(request, fds)
        # Not in a `finally`: a Boot passes here in the child, where these numbers are other files by now.
        channel.close_all(fds)
        self.answer(client, {"seq": request.get("seq"), **answer})

    def perform(self, request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        op = self._ops.get(str(request.get("op")))
        if op is None:
            return {"ok": False, "error": "unknown_op", "message": f"no op {request.get('op')!r}"}
        try:
            return {"ok": True, **op(request, fds)}
        except Exception as error:
            return {"ok": False, "error": "failed", "message": f"{type(error).__name__}: {error}"}

    def answer(self, client: socket.socket, message: dict[str, Any]) -> None:
        waiting = self.unsent.get(client.fileno())
        if waiting is None:
            return
        waiting.append(message)
        if len(waiting) == 1:
            self.flush(client)
        elif len(waiting) > MOST_UNSENT:
            # A gateway that does not read its socket is as good as gone; it asks again at its next hello.
            self.forget(client)

    def flush(self, client: socket.socket) -> None:
        """Sends what waits. While something does, no more requests are read from there."""
        waiting = self.unsent.get(client.fileno())
        try:
            while waiting:
                channel.send(client, waiting[0], waiting[0].get("fds"))
                channel.close_all(waiting.popleft().get("fds", []))
        except BlockingIOError:
            self.selector.modify(client, selectors.EVENT_WRITE, self.flush)
            return
        except OSError:
            self.forget(client)
            return
        if waiting is not None:
            self.selector.modify(client, selectors.EVENT_READ, self.serve)

    def forget(self, client: socket.socket) -> None:
        for answer in self.unsent.pop(client.fileno(), ()):
            channel.close_all(answer.get("fds", []))
        if self.clients.pop(client.fileno(), None) is None:
            return
        self.selector.unregister(client)
        client.close()
        self.alone_since = time.monotonic()

    def tell(self, event: dict[str, Any]) -> None:
        """To every gateway there is; kept for the next hello when there is none."""
        if not self.clients:
            self.unheard.append(event)
            del self.unheard[:-10_000]
        for client in list(self.clients.values()):
            self.answer(client, event)

    # requests

    def hello(self, request: dict[str, Any], _: list[int]) -> dict[str, Any]:
        if request["version"] != channel.VERSION:
            raise ValueError(f"this fork server speaks version {channel.VERSION}")
        if not self.ready:
            from .preload import prepare

            self.stage.set(request["stage"], request.get("copied", ()))
            self.children.filter = base64.b64decode(request.get("filter", ""))
            self.stamp = str(request.get("stamp", ""))
            self.grace_s = float(request.get("grace", ORPHAN_GRACE_S))
            prepare(request["preload"], request["variables"])
            self.ready = True
            gc.collect()
            gc.freeze()
            linux.trim_heap()
            linux.collapse_heap()
        unheard, self.unheard = self.unheard, []
        return {
            "version": channel.VERSION,
            "instance": self.instance,
            "stamp": self.stamp,
            "images": self.stage.images,
            "pid": os.getpid(),
            "python": sys.version.split()[0],
            "kernels": {kernel.id: kernel.pid for kernel in self.children.kernels.values()},
            "sandboxes": {box.id: box.pid for box in self.sandboxes.values()},
            "unheard": unheard,
        }

    def sandbox(self, request: dict[str, Any], _: list[int]) -> dict[str, Any]:
        box = sandboxes.build(str(request["id"]), request, self.stage)
        self.sandboxes[box.id] = box
        self.selector.register(box.info_fd, selectors.EVENT_READ, lambda _: self.sandbox_begun(box))
        self.selector.register(box.ready_fd, selectors.EVENT_READ, lambda _: self.sandbox_spoke(box))
        return {}

    def sandbox_begun(self, box: sandboxes.Sandbox) -> None:
        """It has its namespaces, and nothing in them yet."""
        self.selector.unregister(box.info_fd)
        try:
            box.identify()
        except (OSError, ValueError, KeyError):
            # It died: what it says next, or its silence, tells why.
            return
        self.perform_all(box.early)

    def perform_all(self, actions: list[Callable[[], None]]) -> None:
        while actions:
            actions.pop(0)()

    def sandbox_spoke(self, box: sandboxes.Sandbox) -> None:
        self.selector.unregister(box.ready_fd)
        try:
            if box.info_fd >= 0:
                self.sandbox_begun(box)
            box.read_ready()
            self.tell({"event": "sandbox_up", "id": box.id, "pid": box.pid})
        except (ChildProcessError, OSError, ValueError, KeyError) as error:
            self.drop_sandbox(box, f"{error}")
        if box in self.doomed:
            self.doomed.remove(box)
            self.end_sandbox(box, "ended")
            return
        self.perform_all(box.waiting)

    def spawn(self, request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        name = request.get("sandbox")
        box = None if name is None else self.sandboxes[name]
        # A sandbox that the kernel's process makes itself, out of what only this one can reach.
        owner = request.get("owner")
        request["binds"] = [
            ["ro" if mode == "ro" else "rw", self.stage.source(mode, source, owner, owner), target]
            for mode, source, target in request.get("binds", ())
        ]
        kernel = self.children.expect(request, fds)
        if box is None:
            self.children.fork(kernel)
            return {}
        # Root can fork straight into the sandbox's pid namespace, as soon as that is there; others fork twice.
        if os.geteuid() != 0:
            self.children.fork(kernel)
        elif box.pid is not None:
            self.children.fork(kernel, box.pid)
        else:
            box.early.append(lambda: self.children.fork(kernel, box.pid))
        if box.up:
            self.children.go(kernel, box)
        else:
            box.waiting.append(lambda: self.children.go(kernel, box))
        return {}

    def signal(self, request: dict[str, Any], _: list[int]) -> dict[str, Any]:
        return {"gone": not self.children.signal(request["id"], int(request["signal"]), bool(request["group"]))}

    def end(self, request: dict[str, Any], _: list[int]) -> dict[str, Any]:
        box = self.sandboxes.get(request["id"])
        if box is not None:
            self.drop_sandbox(box, "ended")
        return {"gone": box is None}

    def keep(self, request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        kernel = self.children.kernels[request["id"]]
        kernel.kept += [os.dup(fd) for fd in fds]
        return {}

    def fetch(self, request: dict[str, Any], _: list[int]) -> dict[str, Any]:
        # Copies, since the answer may wait while the kernel ends.
        return {"fds": [os.dup(fd) for fd in self.children.kernels[request["id"]].kept]}

    def open(self, request: dict[str, Any], _: list[int]) -> dict[str, Any]:
        return {"fds": [self.stage.open(str(request["image"]))]}

    def lend(self, request: dict[str, Any], _: list[int]) -> dict[str, Any]:
        folder, uid, gid = str(request["folder"]), int(request["uid"]), int(request["gid"])
        return {"image": self.stage.lend(folder, uid, gid, tuple(request["file"]))}

    def release(self, request: dict[str, Any], _: list[int]) -> dict[str, Any]:
        image = str(request["image"])
        pid = self.stage.release(image)
        if pid:
            self.releasing[pid] = image
        return {"mounted": bool(pid)}

    def stop(self, _request: dict[str, Any], _fds: list[int]) -> dict[str, Any]:
        self.stopping = True
        return {}

    # endings

    def drop_sandbox(self, box: sandboxes.Sandbox, why: str) -> None:
        if self.sandboxes.pop(box.id, None) is None:
            return
        if box.up or box.ready_fd < 0:
            self.end_sandbox(box, why)
        else:
            # Killed in the middle of being built, bubblewrap would leave its child behind: it is ended once up.
            self.doomed.append(box)
        box.early.clear()
        self.children.abandon(box.id, why)

    def end_sandbox(self, box: sandboxes.Sandbox, why: str) -> None:
        """Told once nothing in it lives: its first process ends as the last."""
        box.end()

        def gone(holder: int) -> None:
            self.selector.unregister(holder)
            os.close(holder)
            self.tell({"event": "sandbox_exit", "id": box.id, "reason": why})

        if box.holder >= 0:
            self.selector.register(box.holder, selectors.EVENT_READ, gone)
        else:
            self.tell({"event": "sandbox_exit", "id": box.id, "reason": why})

    def reap(self) -> bool:
        """Collects whatever ended; unknown pids are orphans of kernels that became ours as subreaper. False when
        there are no children at all."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if (image := self.releasing.pop(pid, None)) is not None:
                self.tell({"event": "released", "id": image})
                continue
            box = next((box for box in self.sandboxes.values() if box.process.pid == pid), None)
            if box is not None:
                box.process.returncode = os.waitstatus_to_exitcode(status)
                self.drop_sandbox(box, "the sandbox's holder ended")
            else:
                self.children.ended(pid, status, usage)

    def kill_all(self) -> None:
        for box in list(self.sandboxes.values()):
            self.drop_sandbox(box, "stopped")
        for box in list(self.doomed):
            select.select([box.ready_fd], [], [], LAST_WAIT_S)
            self.sandbox_spoke(box)
        self.children.kill_all()
        # Until nothing is left: orphans of ours would otherwise stay until init gets to them.
        deadline = time.monotonic() + LAST_WAIT_S
        while self.reap() and time.monotonic() < deadline:
            time.sleep(0.005)


def main() -> None:
    linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    linux.set_process_name("kgw-forkserver")
    os.chdir("/")
    listener = socket.socket(fileno=LISTENER_FD)
    os.set_inheritable(LISTENER_FD, False)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    server = ForkServer(listener)
    boot = None
    try:
        server.run()
    except Boot as raised:
        boot = raised.with_traceback(None)
    # Outside the handler, or every exception of user code would be told as having happened "during" it. The
    # server stays referenced: its sockets' numbers are other files in this child, and must not be closed.
    if boot is not None:
        boot.become()
