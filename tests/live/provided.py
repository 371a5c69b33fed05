"""Kernels as any Jupyter client has them by our provisioner: a kernelspec, a notebook's folder, a stock manager."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from kernelgw.cli import main

TIMEOUT_S = 30
NAME = "kernelgw-python"
JSON = dict[str, Any]


@dataclass(frozen=True)
class Desk:
    """A user's own places, so that tests meet nobody's settings and leave nothing."""

    root: Path

    @property
    def data_dir(self) -> Path:
        return self.root / "data"

    @property
    def environ(self) -> dict[str, str]:
        return {
            "HOME": str(self.root / "home"),
            "KERNELGW_DATA_DIR": str(self.data_dir),
            "JUPYTER_PATH": str(self.root / "prefix/share/jupyter"),
            "JUPYTER_RUNTIME_DIR": str(self.root / "runtime"),
            "JUPYTER_CONFIG_DIR": str(self.root / "config"),
            "JUPYTER_PLATFORM_DIRS": "1",
        }

    def whole_environ(self) -> dict[str, str]:
        """For a program of its own."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("KERNELGW_", "JUPYTER"))}
        return kept | self.environ

    def prepare(self) -> None:
        for name in ("home", "runtime", "config"):
            (self.root / name).mkdir(mode=0o700)
        self.install()

    def install(self, *options: str, name: str = NAME) -> None:
        assert main(["kernelspec", "install", "--prefix", str(self.root / "prefix"), "--name", name, *options]) == 0


@dataclass
class Notebook:
    """One kernel, and a client of it."""

    manager: KernelManager
    client: BlockingKernelClient
    outputs: list[JSON] = field(default_factory=list)

    def run(self, code: str, **options: Any) -> JSON:
        """The content of the reply; what was shown is in `outputs`."""
        self.outputs.clear()
        reply: JSON = self.client.execute_interactive(
            code, timeout=TIMEOUT_S, output_hook=self.outputs.append, **options
        )
        return dict(reply["content"])

    def value(self, code: str, **options: Any) -> str:
        """What it printed, or had as its value. It must not fail."""
        reply = self.run(code, **options)
        assert reply["status"] == "ok", reply
        return self.text

    @property
    def text(self) -> str:
        parts = (each["content"] for each in self.outputs)
        return "".join(part.get("text") or part.get("data", {}).get("text/plain", "") for part in parts)

    @property
    def pid(self) -> int:
        """As this machine sees it."""
        provisioner: Any = self.manager.provisioner
        return int(provisioner._kernel.pid)

    def until_idle(self, request: str) -> None:
        while True:
            message = self.client.get_iopub_msg(timeout=TIMEOUT_S)
            idle = message["content"].get("execution_state") == "idle"
            if idle and message["parent_header"].get("msg_id") == request:
                return

    def until(self, kind: str) -> JSON:
        while (message := self.client.get_iopub_msg(timeout=TIMEOUT_S))["msg_type"] != kind:
            pass
        return dict(message)


@contextmanager
def opened(folder: Path, name: str = NAME, env: Mapping[str, str] | None = None) -> Iterator[Notebook]:
    manager = KernelManager(kernel_name=name)
    options: JSON = {} if env is None else {"env": {**os.environ, **env}}
    manager.start_kernel(cwd=str(folder), **options)
    try:
        client = manager.client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=TIMEOUT_S)
            yield Notebook(manager, client)
        finally:
            client.stop_channels()
    finally:
        manager.shutdown_kernel(now=True)
