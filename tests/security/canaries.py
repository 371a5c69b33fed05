"""What must not be seen or reached from inside, planted on the host, alive and watched."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ADDRESSES = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


@dataclass(frozen=True)
class Canaries:
    """Listeners on this host. Nobody but a test may ever have come to one of them."""

    tcp: tuple[socket.socket, ...]
    udp: socket.socket
    unix: tuple[socket.socket, ...]

    @property
    def ports(self) -> list[tuple[str, int]]:
        """Of every address that this host has: whoever reached one could reach the others."""
        own = [(str(each.getsockname()[0]), int(each.getsockname()[1])) for each in self.tcp]
        return [*own, *((address, own[0][1]) for address in addresses())]

    @property
    def sockets(self) -> list[str]:
        """Paths, or abstract names after an @."""
        names = [each.getsockname() for each in self.unix]
        return ["@" + name[1:].decode() if isinstance(name, bytes) else str(name) for name in names]

    def visitors(self) -> int:
        """How many have connected or sent something since the last question."""
        count = 0
        for listener in (*self.tcp, *self.unix):
            while (visitor := _accepted(listener)) is not None:
                visitor.close()
                count += 1
        try:
            while self.udp.recv(100):
                count += 1
        except BlockingIOError:
            return count
        return count


def _accepted(listener: socket.socket) -> socket.socket | None:
    try:
        return listener.accept()[0]
    except BlockingIOError:
        return None


def addresses() -> list[str]:
    """This host's own IPv4 addresses besides loopback."""
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    except OSError:
        return []
    return sorted(address for address in found if not address.startswith("127."))


@contextmanager
def planted() -> Iterator[Canaries]:
    with ExitStack() as stack:
        families = [family for family in ADDRESSES if family == socket.AF_INET or _has_ipv6()]
        tcp = [stack.enter_context(socket.create_server((_any(family), 0), family=family)) for family in families]
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("0.0.0.0", 0))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kgw-canaries-")))
        folder.chmod(0o755)
        unix = []
        for name in (str(folder / "socket"), f"\0kgw-canary-{os.getpid()}"):
            unix.append(stack.enter_context(socket.socket(socket.AF_UNIX)))
            unix[-1].bind(name)
            unix[-1].listen()
        (folder / "socket").chmod(0o777)
        for each in (*tcp, udp, *unix):
            each.setblocking(False)
        yield Canaries(tuple(tcp), udp, tuple(unix))


def _any(family: int) -> str:
    return "::1" if family == socket.AF_INET6 else "0.0.0.0"


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def expectations(canaries: Canaries, hidden: list[str], secrets: list[str], backwards: list[str]) -> dict[str, Any]:
    """For kernelgw.doctor.probes."""
    return {
        "hidden": hidden,
        "secrets": secrets,
        "backwards": [text[::-1] for text in backwards],
        "ports": [(("127.0.0.1" if host == "0.0.0.0" else host), port) for host, port in canaries.ports],
        "sockets": canaries.sockets,
    }
