"""The whole house, built top to bottom. Start reading here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI

from . import __version__
from .access.keys import Keys
from .api import artifacts, docs, executions, kernels, keys, pages, problems, sessions
from .api.guard import Guard
from .compat import execute
from .compat.shots import OneShots
from .jupyter import channels
from .jupyter import kernels as jupyter_kernels
from .jupyter import sessions as jupyter_sessions
from .jupyter.hall import Hall
from .kernel.fences import raise_fences
from .kernel.launcher import Launcher
from .sessions.registry import Registry
from .settings import KEYS, Settings
from .store.options import open_store


def create_app(settings: Settings) -> Guard:
    """The gateway as an ASGI application; run it inside `running`, or let a server run its lifespan.

    Raises IsolationUnavailable when it could only pretend to isolate, BadSetting for keys that cannot be read.
    """
    known = Keys(settings.data_dir / KEYS if settings.keep == "disk" else None)
    fences = raise_fences(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        registry = Registry(settings, Launcher(settings.data_dir, fences), open_store(settings))
        app.state.registry = registry
        registry.ended = known.forget
        app.state.hall = Hall(registry)
        app.state.keys = known
        app.state.shots = shots = OneShots(registry)
        try:
            await registry.open()
            shots.sweep()
            yield
        finally:
            await shots.close()
            await registry.close()

    app = FastAPI(
        title="kernelgw",
        version=__version__,
        summary="Runs a chat's code in a live, sandboxed Jupyter kernel.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        # It would send callers to wherever their own Host header says, with the token if that stood in the address.
        redirect_slashes=False,
    )
    problems.install(app)
    app.include_router(pages.router)
    app.include_router(docs.router)
    app.include_router(sessions.router)
    app.include_router(executions.router)
    app.include_router(kernels.router)
    app.include_router(artifacts.router)
    app.include_router(keys.router)
    app.include_router(execute.router)
    app.include_router(jupyter_kernels.router)
    app.include_router(jupyter_sessions.router)
    app.include_router(channels.router)
    return Guard(
        app,
        token=settings.token,
        hosts=(settings.host, *settings.allowed_hosts),
        origins=settings.allowed_origins,
        max_body=settings.max_body_bytes,
        wrong_tokens=settings.wrong_tokens,
        keys=known,
    )


async def leave_sessions(app: Guard, keep: bool) -> None:
    """Before the server waits for its connections to close: those that stream would not by themselves. `keep`: kernels
    live on."""
    house = app.app
    assert isinstance(house, FastAPI)
    await house.state.registry.leave_all(keep)


def running(app: Guard) -> AbstractAsyncContextManager[object]:
    """The time in which the gateway works. Entering raises GatewayError when it cannot."""
    house = app.app
    assert isinstance(house, FastAPI)
    return house.router.lifespan_context(house)
