"""Lab's kernels: each live chat of the gateway, and those that Lab began there itself. Runs inside Lab's server."""

from __future__ import annotations

import asyncio
from typing import Any

from jupyter_server.gateway.managers import GatewayKernelManager, GatewayMappingKernelManager
from jupyter_server.utils import url_path_join
from tornado import web
from traitlets import default

from .asking import GatewayAway, ask, take_over

LIVE = frozenset({"starting", "idle", "busy"})


class Kernel(GatewayKernelManager):
    """One at the gateway. `chat`: the session whose kernel it is; None of one that was begun by a Jupyter client."""

    chat: str | None = None

    def take(self, kernel_id: str, chat: str | None) -> None:
        """It is there already, so nothing is started."""
        self.kernel_id = kernel_id
        self.kernel_url = url_path_join(self.kernels_url, kernel_id)
        self.chat = chat


class Kernels(GatewayMappingKernelManager):
    """What Lab "shuts down" ends only if Lab began it. Of a chat it lets go."""

    @default("kernel_manager_class")
    def _default_kernel_manager_class(self) -> str:
        return "kernelgw.lab.kernels.Kernel"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Of the instance; Jupyter's own has one for all.
        self._kernels: dict[str, Kernel] = {}  # type: ignore[assignment]
        self._begun: set[str] = set()
        self._named = frozenset(take_over())
        self._one_at_a_time = asyncio.Lock()
        self._was_level = False

    def chats(self) -> dict[str, str]:
        """Names of chats with the ids of their kernels."""
        return {kernel.chat: id_ for id_, kernel in self._kernels.items() if kernel.chat is not None}

    async def level(self) -> None:
        """Knows what the gateway has; or, when that does not answer, what it had. Raises tornado's HTTPError when it
        never answered: to know of nothing would be to say that there is nothing, and Lab would begin kernels."""
        async with self._one_at_a_time:
            try:
                models = await ask("/api/kernels")
            except GatewayAway as error:
                self.log.warning("The gateway does not answer: %s", error)
                if not self._was_level:
                    raise web.HTTPError(503, str(error)) from None
                return
            self._was_level = True
            for model in models:
                if self._is_shown(model):
                    await self._meet(model)
            for id_ in self._kernels.keys() - {model["id"] for model in models}:
                self.remove_kernel(id_)
                self._begun.discard(id_)

    def _is_shown(self, model: dict[str, Any]) -> bool:
        """What was shown stays, also when it falls asleep: Lab would take it for gone."""
        about = model.get("kernelgw", {})
        if model["id"] in self._kernels or about.get("session_id") in self._named:
            return True
        return bool(about.get("chat")) and about.get("state") in LIVE

    async def _meet(self, model: dict[str, Any]) -> Kernel:
        kernel = self._kernels.get(model["id"])
        if kernel is None:
            kernel = self.kernel_manager_factory(parent=self, log=self.log)
            about = model.get("kernelgw", {})
            kernel.take(model["id"], about.get("session_id") if about.get("chat") else None)
            self._kernels[model["id"]] = kernel
        await kernel.refresh_model(model)
        return kernel

    async def find(self, chat: str) -> str:
        """Its kernel's id, also of one that is asleep. Raises RuntimeError, whose words Lab shows."""
        if (found := self.chats().get(chat)) is not None:
            return found
        try:
            models = await ask("/api/kernels")
        except GatewayAway as error:
            raise RuntimeError(f"The gateway does not answer now: {error}") from None
        for model in models:
            about = model.get("kernelgw", {})
            if about.get("chat") and about.get("session_id") == chat:
                await self._meet(model)
                return str(model["id"])
        raise RuntimeError(f"The chat {chat} has ended. A copy of its notebook can be run in a kernel of its own.")

    # what Lab's server asks

    async def list_kernels(self, **kwargs: Any) -> list[dict[str, Any]]:
        await self.level()
        return [kernel.kernel for kernel in self._kernels.values() if kernel.kernel is not None]

    async def kernel_model(self, kernel_id: str) -> dict[str, Any] | None:
        self._check_kernel_id(kernel_id)
        return self._kernels[kernel_id].kernel

    async def start_kernel(self, *, kernel_id: str | None = None, path: str | None = None, **kwargs: Any) -> str:
        if kernel_id is not None:
            await self._meet(await ask(f"/api/kernels/{kernel_id}"))
            return kernel_id
        begun: str = await super().start_kernel(path=path, **kwargs)
        self._begun.add(begun)
        return begun

    async def shutdown_kernel(self, kernel_id: str, now: bool = False, restart: bool = False) -> None:
        """A chat stays where it is, and in the list."""
        self._check_kernel_id(kernel_id)
        if kernel_id in self._begun:
            await super().shutdown_kernel(kernel_id, now=now, restart=restart)
            self._begun.discard(kernel_id)

    async def shutdown_all(self, now: bool = False) -> None:
        """As Lab ends."""
        for id_ in tuple(self._begun):
            try:
                await self.shutdown_kernel(id_, now=now)
            except (web.HTTPError, OSError) as error:
                self.log.warning("The kernel %s could not be ended: %s", id_, error)
