"""What handlers need, taken from the application that create_app built."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from ..sessions.registry import Registry


def _house(request: Request) -> Registry:
    registry: Registry = request.app.state.registry
    return registry


House = Annotated[Registry, Depends(_house)]
