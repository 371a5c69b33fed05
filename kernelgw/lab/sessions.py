"""Lab's sessions: each chat's notebook is connected to its kernel before anybody opens it. Runs inside Lab's server."""

from __future__ import annotations

import asyncio
import posixpath
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jupyter_server.gateway.managers import GatewaySessionManager
from jupyter_server.services.sessions.sessionmanager import ModelName
from tornado import web

from .asking import GatewayAway, ask
from .kernels import Kernels
from .notebooks import Notebooks


class Sessions(GatewaySessionManager):
    kernel_manager: Kernels

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.notebooks = Notebooks(Path(self.contents_manager.root_dir))
        # The file of each chat that was met since Lab was started.
        self._files: dict[str, str] = {}
        self._one_at_a_time = asyncio.Lock()

    async def level(self) -> None:
        """Each chat has its notebook, and the notebook its kernel."""
        await self.kernel_manager.level()
        async with self._one_at_a_time:
            chats = self.kernel_manager.chats()
            # Another chat may be given the name of one that has ended.
            self._files = {chat: file for chat, file in self._files.items() if chat in chats}
            for chat, kernel_id in chats.items():
                met = chat in self._files
                file = self._files.get(chat) or await self._place(chat)
                if file is not None:
                    await self._connect(chat, file, kernel_id, again=not met)

    async def _connect(self, chat: str, file: str, kernel_id: str, again: bool) -> None:
        """`again`: the chat has just come, so whatever its notebook is at is what was there before it."""
        found = self.cursor.execute("SELECT session_id, kernel_id FROM session WHERE path=?", (file,)).fetchone()
        if found is None:
            await self.save_session(self.new_session_id(), path=file, name=chat, type="notebook", kernel_id=kernel_id)
        elif again and found[1] != kernel_id:
            await self.update_session(found[0], kernel_id=kernel_id)

    async def _place(self, chat: str) -> str | None:
        """None of one that has just ended, or when the gateway is away."""
        notebook = await self._so_far(chat)
        if notebook is None:
            return None
        self._files[chat] = self.notebooks.place(chat, notebook)
        return self._files[chat]

    async def _so_far(self, chat: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = await ask(f"/v1/sessions/{quote(chat, safe='')}/notebook")
        except (GatewayAway, web.HTTPError) as error:
            self.log.warning("The chat %s cannot be had as a notebook now: %s", chat, error)
            return None
        return found

    def moved(self, path: str, to: str) -> None:
        """A file has another name; a chat's notebook is the chat's still."""
        self.notebooks.moved(path, to)
        self._files = {chat: to if file == path else file for chat, file in self._files.items()}

    async def renew(self, path: str) -> None:
        """Before a notebook is opened: it is the chat so far, if nobody has changed it."""
        chat = self.notebooks.chat_of(path)
        if chat is None:
            return
        if self.notebooks.is_untouched(path) and (notebook := await self._so_far(chat)) is not None:
            self.notebooks.renew(path, notebook)

    # what Lab's server asks

    async def list_sessions(self) -> list[dict[str, Any]]:
        await self.level()
        found: list[dict[str, Any]] = await super().list_sessions()
        return found

    async def session_exists(self, path: str) -> bool:
        await self.level()
        return bool(await super().session_exists(path))

    async def create_session(
        self, path: str | None = None, name: ModelName | None = None, *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        """A notebook of a chat goes to the chat, and never to a kernel of its own. Lab asks for a session under a path
        that it draws, and says the file's own only afterwards; its name is right from the beginning."""
        if kwargs.get("kernel_id") is None:
            place, called = (posixpath.normpath(f"/{each or ''}").strip("/") for each in (path, name or path))
            chat = self.notebooks.chat_of(posixpath.join(posixpath.dirname(place), posixpath.basename(called)))
            kwargs["kernel_id"] = None if chat is None else await self.kernel_manager.find(chat)
        return await super().create_session(path, name, *args, **kwargs)
