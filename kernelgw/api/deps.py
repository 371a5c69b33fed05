"""What handlers need, taken from the application that create_app built."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from ..sessions.registry import Registry


async def _house(request: Request) -> Registry:
    # async, because FastAPI sends a plain function to a thread, at every request.
    registry: Registry = request.app.state.registry
    registry.check_open()
    return registry


House = Annotated[Registry, Depends(_house)]
