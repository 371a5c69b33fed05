"""Which driver a forked child becomes. A driver is a module with `run(boot, fds)` that does not return.

The fork server has imported it: inside a sandbox this folder does not exist.
"""

from __future__ import annotations

import importlib
import os
import traceback
from types import MappingProxyType
from typing import Any, NoReturn

# Exit code of a child that could not become its kernel.
FAILED = 71
DRIVERS = MappingProxyType({"python": "python.kernel"})


def run(boot: dict[str, Any], fds: list[int]) -> NoReturn:
    try:
        module = importlib.import_module(f".{DRIVERS[boot['driver']]}", __package__)
        module.run(boot, fds)
    except BaseException:
        # stdout and stderr lead nowhere yet; the last fd is the log that the gateway reads.
        os.write(fds[-1], traceback.format_exc().encode())
    os._exit(FAILED)
