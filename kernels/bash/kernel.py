"""Bash."""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

from ..common import become
from ..hosted import Failure, HostedKernel, own_environment
from ..linux import set_process_name


class BashKernel(HostedKernel):
    implementation = "kernelgw-bash"
    banner = "Bash"
    language_info = {"name": "bash", "mimetype": "text/x-sh", "file_extension": ".sh", "codemirror_mode": "shell"}  # noqa: RUF012

    async def open(self) -> None:
        """A new bash for each cell."""

    async def run_cell(self, code: str, language: str | None) -> Failure | None:
        process = await asyncio.create_subprocess_exec("/bin/bash", "-c", code, stdin=asyncio.subprocess.DEVNULL)
        status = await process.wait()
        return None if status == 0 else Failure("ExitCode", str(status))

    def interrupt(self) -> None:
        """It has had the signal itself."""


def run(boot: dict[str, Any], fds: list[Any]) -> NoReturn:
    set_process_name("kernel")
    own_environment(boot)
    become(BashKernel(), boot, fds)
