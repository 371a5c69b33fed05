"""The systems under measure: each started when a scenario first wants it, all ended with the run."""

import contextlib
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.bench.environments import environment
from tests.bench.model import Record
from tests.bench.systems.base import Session, System
from tests.bench.systems.gateway import Gateway, JupyterDoor
from tests.bench.systems.jupyter_http import JupyterServer, Jupyverse, KernelGateway, QuickAckServer
from tests.bench.systems.raw import OwnHandshake, Raw


def make_system(name: str) -> System:
    match name:
        case "kernelgw" | "kernelgw_reader":
            return Gateway(name)
        case "kernelgw_jupyter":
            return JupyterDoor(name)
        case "kernelgw_cold":
            return Gateway(name, pool_size=0)
        case "kernelgw_memory":
            return Gateway(name, keep="memory")
        case "kernelgw_storeless":
            return Gateway(name, store="none")
        case "kernelgw_bare":
            return Gateway(name, isolation="none")
        case "kernelgw_bare_cold":
            return Gateway(name, pool_size=0, isolation="none")
        case "kernelgw_free":
            return Gateway(name, isolation="none", cgroups="none")
        case "kernelgw_free_cold":
            return Gateway(name, pool_size=0, isolation="none", cgroups="none")
        case "raw":
            return Raw(environment("raw"))
        case "raw_handshake":
            return OwnHandshake(environment("raw"))
        case "kernel_gateway":
            return KernelGateway(environment("kernel_gateway"))
        case "jupyter_server":
            return JupyterServer(environment("jupyter_server"))
        case "jupyter_server_quickack":
            return QuickAckServer(environment("jupyter_server"))
        case "jupyverse":
            return Jupyverse(environment("jupyverse"))
    raise ValueError(name)


class Lab:
    def __init__(self, scratch: Path, quick: bool = False, peers: bool = True) -> None:
        self.quick = quick
        self._scratch = scratch
        self._peers = peers
        self._systems: dict[str, System] = {}

    def pick(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    def chosen(self, names: Iterable[str]) -> list[str]:
        """Without the peers when they are not wanted."""
        return [name for name in names if self._peers or name.startswith("kernelgw")]

    def system(self, name: str) -> System:
        if name not in self._systems:
            system = make_system(name)
            say(f"  starting {system.title}")
            folder = Path(tempfile.mkdtemp(prefix="", dir=self._scratch))
            # A sandbox's user must be able to pass through to its workspace.
            folder.chmod(0o711)
            system.start(folder)
            self._systems[name] = system
        return self._systems[name]

    def rounds(self, record: Record, names: Iterable[str], count: int) -> Iterator[System]:
        """Every system in every round, in turned order each time, so that a slow minute hits all alike."""
        order = self.chosen(names)
        for _ in range(count):
            for name in order:
                if name not in record.errors:
                    with record.attempt(name):
                        self.system(name)
                if name not in record.errors:
                    yield self._systems[name]
            order.reverse()

    @contextlib.contextmanager
    def sessions(self, record: Record, names: Iterable[str]) -> Iterator[dict[str, Session]]:
        """One open session with each system that can give one."""
        found: dict[str, Session] = {}
        try:
            for name in self.chosen(names):
                with record.attempt(name):
                    found[name] = self.system(name).open()
            yield found
        finally:
            for name, session in found.items():
                with record.attempt(name):
                    session.close()

    def stop(self) -> None:
        for system in self._systems.values():
            with contextlib.suppress(Exception):
                system.stop()


@contextlib.contextmanager
def many(system: System, count: int) -> Iterator[list[Session]]:
    """That many sessions with one system, opened and closed beside each other."""
    with ThreadPoolExecutor(count) as threads:
        opening = [threads.submit(system.open) for _ in range(count)]
        opened = [future.result() for future in opening if future.exception() is None]
        try:
            for future in opening:
                future.result()
            yield opened
        finally:
            list(threads.map(lambda session: session.close(), opened))


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
