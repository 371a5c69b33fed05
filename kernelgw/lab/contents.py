"""Lab's files: a chat's notebook is brought up to date when it is opened. Runs inside Lab's server."""

from __future__ import annotations

from typing import Any

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager

from .sessions import Sessions


class Contents(AsyncLargeFileManager):
    async def get(self, path: str, content: bool = True, *args: Any, **kwargs: Any) -> dict[str, Any]:
        if content:
            await self._prepare(path.strip("/"))
        found: dict[str, Any] = await super().get(path, content, *args, **kwargs)
        return found

    async def rename_file(self, old_path: str, new_path: str) -> None:
        await super().rename_file(old_path, new_path)
        assert self.parent is not None
        sessions: Sessions = self.parent.session_manager
        sessions.moved(old_path.strip("/"), new_path.strip("/"))

    async def _prepare(self, path: str) -> None:
        assert self.parent is not None
        sessions: Sessions = self.parent.session_manager
        if path:
            await sessions.renew(path)
        else:
            # The folder itself: it shows every chat from the beginning.
            await sessions.level()
