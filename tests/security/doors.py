"""Every way into the gateway, from the table of routes that create_app itself makes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from kernelgw.api.guard import OPEN_PATHS, OPEN_PREFIXES
from kernelgw.app import create_app
from kernelgw.settings import Settings

PARAMETER = re.compile(r"\{([^}:]+)(?::[^}]+)?\}")
# What each call has for a body that would be taken.
BODIES = {"POST /executions": {"code": "open('ran', 'w')"}, "POST /input": {"value": "x"}}


@dataclass(frozen=True, order=True)
class Door:
    """`method` is WS for a WebSocket; `path` has its parameters in braces."""

    method: str
    path: str

    @property
    def parameters(self) -> list[str]:
        return PARAMETER.findall(self.path)

    @property
    def is_open(self) -> bool:
        """Whether it needs no token, by design."""
        return self.path in OPEN_PATHS or self.path.startswith(OPEN_PREFIXES)

    def filled(self, *values: str) -> str:
        """With the values in place of the parameters, the last of them for all that are left."""
        given = list(values)
        return PARAMETER.sub(lambda _: given.pop(0) if len(given) > 1 else given[0], self.path)

    def body(self) -> dict[str, str]:
        return BODIES.get(f"{self.method} /{self.path.rpartition('/')[2]}", {})

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def doors(data_dir: Path) -> list[Door]:
    """Methods that are served for a route without being named with it are none: HEAD beside GET."""
    house = create_app(Settings(isolation="none", token="unused", data_dir=data_dir)).app
    assert isinstance(house, FastAPI)
    found = sorted(_below(house.routes))
    assert len(found) == len(set(found))
    return found


def _below(routes: list[Any], prefix: str = "") -> Iterator[Door]:
    for route in routes:
        inner = getattr(route, "original_router", route)
        if (children := getattr(inner, "routes", None)) is not None:
            yield from _below(children, prefix + getattr(route, "path", ""))
            continue
        methods = getattr(route, "methods", None)
        if methods is None:
            assert "WebSocket" in type(route).__name__, route
            methods = {"WS"}
        yield from (Door(method, prefix + route.path) for method in methods - {"HEAD"})
