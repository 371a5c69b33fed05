"""Talks to a fork server (kernels/forkserver.py): starts it, asks it, hears what became of its children."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..children import ended
from ..environments import Environment
from ..errors import KernelDidNotStart
from .listeners import connectable, listen

VERSION = 2
LARGEST_MESSAGE = 128 * 1024
MOST_FDS = 16
ANSWER_TIMEOUT_S = 10.0
# Imports of a whole data stack on a cold disk.
PRELOAD_TIMEOUT_S = 120.0
LISTENER_FD = 3
# Before the name of a sandbox, among those of kernels.
SANDBOX = "sandbox "
log = logging.getLogger("kernelgw.forkserver")

Event = dict[str, Any]


class ForkServer:
    """One environment's fork server. Events about a kernel or a sandbox go to whoever watches its id."""

    def __init__(self, environment: Environment, run_dir: Path) -> None:
        self.environment = environment
        # How long it waits for another gateway when this one is gone; None for its own idea of it.
        self.grace_s: float | None = None
        self.path = run_dir / f"{environment.name}.sock"
        self.log_path = run_dir / f"{environment.name}.log"
        self.cache = run_dir.parent / "cache" / environment.name
        self.pid = 0
        self._socket: socket.socket | None = None
        self._seq = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Event]] = {}
        self._watchers: dict[str, Callable[[Event], None]] = {}
        self._unsent: list[tuple[bytes, list[int]]] = []
        self._lost = asyncio.Event()
        # What it is, whichever gateway asks; what lives in it; what happened while nobody listened.
        self.instance = ""
        # What it was made of.
        self.stamp = ""
        self.images: list[str] = []
        self.kernels: dict[str, int] = {}
        self.sandboxes: dict[str, int] = {}
        self.unheard: list[Event] = []
        # Until it is known who watches what.
        self.taking_over = False

    @property
    def busy(self) -> bool:
        """Whether somebody here watches something in it."""
        return bool(self._watchers)

    @property
    def alive(self) -> bool:
        return self._socket is not None

    async def start(self, stage: Sequence[str], copied: Sequence[str], filter: str, stamp: str = "") -> None:
        """A fresh fork server, with everything preloaded. `stage`: what sandboxes are made of, `copied` likewise;
        `filter`: the system call filter of whatever is sealed, in base64; `stamp`: of all that it is made of.

        Raises KernelDidNotStart with the end of its log.
        """
        await end_leftover(self.path)
        self.cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        listener = listen(self.path, socket.SOCK_SEQPACKET)
        try:
            self.pid = _launch(self.environment, listener, self.log_path)
            await self._connect()
        finally:
            listener.close()
        grace = {} if self.grace_s is None else {"grace": self.grace_s}
        await self._hello(
            PRELOAD_TIMEOUT_S, stage=list(stage), copied=list(copied), filter=filter, stamp=stamp, **grace
        )

    async def resume(self) -> None:
        """One that an earlier gateway left. Raises KernelDidNotStart."""
        self.taking_over = True
        try:
            await self._connect()
        except OSError as error:
            raise KernelDidNotStart(f"Nobody answers at {self.path.name}: {error.strerror}") from None
        await self._hello(ANSWER_TIMEOUT_S, stage=[], copied=[], filter="")

    async def _hello(self, timeout: float, **fields: Any) -> None:
        try:
            told = await self.request(
                "hello",
                timeout=timeout,
                version=VERSION,
                preload=list(self.environment.preload),
                # matplotlib looks through all fonts once, and remembers them there.
                variables={**self.environment.variables, "MPLCONFIGDIR": str(self.cache)},
                **fields,
            )
        except (TimeoutError, ConnectionError, KernelDidNotStart) as error:
            self.close()
            raise KernelDidNotStart(
                f"The fork server of environment {self.environment.name!r} did not come up: {error}",
                log=_tail(self.log_path),
            ) from None
        self.instance, self.stamp, self.pid = told["instance"], told["stamp"], told["pid"]
        self.images = told["images"]
        self.kernels, self.sandboxes, self.unheard = told["kernels"], told["sandboxes"], told["unheard"]

    async def _connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.setblocking(False)
        try:
            with connectable(self.path) as name:
                sock.connect(name)
        except BaseException:
            sock.close()
            raise
        self._socket = sock
        asyncio.get_running_loop().add_reader(sock.fileno(), self._receive)

    async def stop(self) -> None:
        """Ends the fork server, its sandboxes and its kernels, and waits until it is gone."""
        if self._socket is None:
            return
        self._lost.clear()
        self._post("stop", {}, [])
        try:
            await asyncio.wait_for(self._lost.wait(), ANSWER_TIMEOUT_S)
        except TimeoutError:
            log.warning("the fork server of %s does not stop", self.environment.name)
        self.close()
        self.path.unlink(missing_ok=True)
        await ended(self.pid)

    async def request(
        self, op: str, fds: Sequence[int] = (), timeout: float = ANSWER_TIMEOUT_S, **fields: Any
    ) -> Event:
        """Its answer. Raises KernelDidNotStart when it says no, TimeoutError, ConnectionError."""
        seq = self._post(op, fields, list(fds))
        answer: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self._answers[seq] = answer
        try:
            result = await asyncio.wait_for(answer, timeout)
        finally:
            self._answers.pop(seq, None)
        if not result.get("ok"):
            raise KernelDidNotStart(f"The fork server refused {op}: {result.get('message')}")
        return result

    async def spawn(self, boot: Mapping[str, Any], fds: Sequence[int], **fields: Any) -> Event:
        """`boot`: what the child becomes. Goes past the fork server, which may keep nothing that is a session's own."""
        file = os.memfd_create("boot", os.MFD_CLOEXEC)
        try:
            os.write(file, json.dumps(boot).encode())
            return await self.request("spawn", [file, *fds], **fields)
        finally:
            os.close(file)

    async def lend(self, folder: Path, uid: int) -> str:
        """A folder of the host's becomes the session's; returns what to release. Raises as `request`."""
        facts = folder.stat()
        told = await self.request("lend", folder=str(folder), uid=uid, gid=uid, file=[facts.st_dev, facts.st_ino])
        return str(told["image"])

    async def release(self, image: str) -> None:
        """Returns once a workspace is no longer mounted."""
        released = asyncio.Event()
        self.watch(image, lambda _: released.set())
        try:
            if (await self.request("release", image=image))["mounted"]:
                await asyncio.wait_for(released.wait(), ANSWER_TIMEOUT_S)
        except (ConnectionError, TimeoutError, KernelDidNotStart) as error:
            log.warning("the workspace %s is still mounted: %s", image, error or "no answer")
        finally:
            self.unwatch(image)

    def set_aside(self) -> None:
        """What it has goes on; a fresh one may take its place."""
        path = self.path.with_name(f"{self.environment.name}.{self.instance[:8]}.sock")
        self.path = self.path.rename(path)

    def leave(self) -> None:
        """Without ending anything: for the next gateway."""
        self._watchers.clear()
        self.close()

    async def fetch(self, kernel_id: str) -> list[int]:
        """The descriptors that an earlier gateway had it keep. Raises as `request`."""
        return list((await self.request("fetch", id=kernel_id)).get("fds", []))

    async def open_image(self, image: str) -> int:
        """A descriptor of the folder in which a workspace's image is mounted. Raises as `request`."""
        (found,) = (await self.request("open", image=image))["fds"]
        return int(found)

    def tell(self, op: str, fds: Sequence[int] = (), **fields: Any) -> None:
        """A request whose answer does not matter; without effect when the fork server is gone."""
        if self._socket is not None:
            self._post(op, fields, list(fds))

    def watch(self, name: str, callback: Callable[[Event], None]) -> None:
        """Also hears what has been told of it since `resume`, when nobody watched."""
        self._watchers[name] = callback
        for event in [event for event in self.unheard if _about(event) == name]:
            self.unheard.remove(event)
            callback(event)

    def unwatch(self, name: str) -> None:
        self._watchers.pop(name, None)

    def watch_sandbox(self, name: str, callback: Callable[[Event], None]) -> None:
        """A sandbox may have the name of a kernel."""
        self.watch(SANDBOX + name, callback)

    def unwatch_sandbox(self, name: str) -> None:
        self.unwatch(SANDBOX + name)

    def _post(self, op: str, fields: Mapping[str, Any], fds: list[int]) -> int:
        if self._socket is None:
            raise ConnectionError("the fork server is gone")
        seq = next(self._seq)
        data = json.dumps({"op": op, "seq": seq, **fields}).encode()
        if len(data) > LARGEST_MESSAGE:
            raise ValueError(f"a request of {len(data)} bytes is too large for the fork server")
        # Copies, since the caller closes its own while a full socket may make these wait.
        self._unsent.append((data, [os.dup(fd) for fd in fds]))
        self._flush()
        return seq

    def _flush(self) -> None:
        sock = self._socket
        loop = asyncio.get_running_loop()
        while sock is not None and self._unsent:
            data, fds = self._unsent[0]
            try:
                socket.send_fds(sock, [data], fds)
            except BlockingIOError:
                loop.add_writer(sock.fileno(), self._flush)
                return
            except OSError:
                self._lose()
                return
            self._unsent.pop(0)
            for fd in fds:
                os.close(fd)
        if sock is not None:
            loop.remove_writer(sock.fileno())

    def _receive(self) -> None:
        while self._socket is not None:
            try:
                data, fds, _, _ = socket.recv_fds(self._socket, LARGEST_MESSAGE, MOST_FDS)
            except BlockingIOError:
                return
            except OSError:
                data, fds = b"", []
            if not data:
                self._lose()
                return
            self._heard(json.loads(data), fds)

    def _heard(self, message: Event, fds: list[int]) -> None:
        if "event" in message:
            watcher = self._watchers.get(_about(message))
            if watcher is not None:
                watcher(message)
            elif self.taking_over:
                self.unheard.append(message)
            return
        answer = self._answers.get(message.get("seq") or 0)
        if answer is not None and not answer.done():
            # The numbers they have here.
            answer.set_result({**message, "fds": fds} if fds else message)
            return
        for fd in fds:
            os.close(fd)

    def _lose(self) -> None:
        self.close()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ConnectionError("the fork server ended"))
        watchers, self._watchers = self._watchers, {}
        for name, watcher in watchers.items():
            watcher({"event": "exit", "id": name, "code": None, "signal": 9, "server_lost": True})
        self._lost.set()

    def close(self) -> None:
        if self._socket is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket.fileno())
        loop.remove_writer(self._socket.fileno())
        self._socket.close()
        self._socket = None
        for _, fds in self._unsent:
            for fd in fds:
                os.close(fd)
        self._unsent.clear()


def _about(event: Event) -> str:
    name = str(event.get("id"))
    return SANDBOX + name if str(event.get("event")).startswith("sandbox_") else name


async def end_leftover(path: Path) -> None:
    """One that an earlier gateway left: its kernels belong to nobody now, so it is told to end them."""
    if path.exists():
        await asyncio.to_thread(_tell_to_stop, path)
        path.unlink(missing_ok=True)


def _tell_to_stop(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock, connectable(path) as name:
        sock.settimeout(ANSWER_TIMEOUT_S)
        try:
            sock.connect(name)
            sock.send(b'{"op": "stop", "seq": 1}')
            while sock.recv(LARGEST_MESSAGE):
                continue
        except TimeoutError:
            log.warning("the fork server that was left at %s does not stop", path.name)
        except OSError:
            log.debug("nobody is left at %s", path.name)


def _launch(environment: Environment, listener: socket.socket, log_path: Path) -> int:
    """Starts it in a session of its own, so that what ends the gateway's terminal does not end the kernels."""
    # The numeric libraries would start threads on import, and a fork keeps only one of them.
    variables = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": "/nonexistent",
        "MALLOC_ARENA_MAX": "2",
        **dict.fromkeys(SINGLE_THREADED, "1"),
    }
    argv = [str(environment.python), "-I", "-X", "frozen_modules=off", str(kernels_folder())]
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    actions = [
        (os.POSIX_SPAWN_DUP2, listener.fileno(), LISTENER_FD),
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log_path), flags, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return os.posix_spawn(argv[0], argv, variables, file_actions=actions, setsid=True)


SINGLE_THREADED = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def kernels_folder() -> Path:
    """The `kernels` package: inside this one when installed, beside it in a checkout."""
    here = Path(__file__).resolve().parents[1]
    installed = here / "kernels"
    return installed if installed.is_dir() else here.parent / "kernels"


def _tail(path: Path, size: int = 2000) -> str:
    try:
        return path.read_bytes()[-size:].decode(errors="replace")
    except OSError:
        return ""
