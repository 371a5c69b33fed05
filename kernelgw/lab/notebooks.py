"""Chats as notebooks in a folder. What somebody changed is never written again; what nobody did is kept up to date."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

JSON = dict[str, Any]
# Lab neither shows nor serves what begins with a dot.
RECORD = ".kernelgw.json"


class Notebooks:
    """Remembers beside them which file is which chat's, and what it was when it was written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def place(self, chat: str, notebook: JSON) -> str:
        """Writes the chat so far, and returns the name of its file: the first that nobody changed. One that somebody
        did change is taken when nothing of the chat is missing in it."""
        for name in _names(chat):
            if self._is_ours(name, chat):
                self._write(name, chat, notebook)
                return name
            if self.chat_of(name) == chat and _sources(notebook) <= _sources(self._read(name)):
                return name
        raise AssertionError("there is always a further name")

    def renew(self, name: str, notebook: JSON) -> None:
        """The same file, unless somebody changed it or it is gone."""
        chat = self.chat_of(name)
        if chat is not None and self.is_untouched(name):
            self._write(name, chat, notebook)

    def chat_of(self, name: str) -> str | None:
        """Whose notebook it is, changed or not."""
        entry = self._record().get(name)
        return None if entry is None else str(entry["chat"])

    def moved(self, name: str, to: str) -> None:
        """Somebody called it otherwise; it is the chat's still."""
        record = self._record()
        if (entry := record.pop(name, None)) is not None:
            self._put(RECORD, json.dumps({**record, to: entry}, indent=1))

    def is_untouched(self, name: str) -> bool:
        entry = self._record().get(name)
        return entry is not None and self._digest(name) == entry["digest"]

    def _is_ours(self, name: str, chat: str) -> bool:
        """Whether the chat may be written there."""
        return self._digest(name) is None or (self.chat_of(name) == chat and self.is_untouched(name))

    def _write(self, name: str, chat: str, notebook: JSON) -> None:
        text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
        digest = hashlib.sha256(text.encode()).hexdigest()
        # Else it looks changed on disk to whoever has it open.
        if self._digest(name) != digest:
            self._put(name, text)
        self._put(RECORD, json.dumps({**self._record(), name: {"chat": chat, "digest": digest}}, indent=1))

    def _put(self, name: str, text: str) -> None:
        """Whole or not at all."""
        draft = self._folder / f".{name}.draft"
        draft.touch(0o600)
        draft.write_text(text, encoding="utf-8")
        draft.replace(self._folder / name)

    def _digest(self, name: str) -> str | None:
        """None when there is no such file; "" for what cannot be read as one."""
        try:
            return hashlib.sha256((self._folder / name).read_bytes()).hexdigest()
        except FileNotFoundError:
            return None
        except OSError:
            return ""

    def _record(self) -> dict[str, JSON]:
        return self._read(RECORD)

    def _read(self, name: str) -> JSON:
        with contextlib.suppress(OSError, ValueError):
            found = json.loads((self._folder / name).read_text(encoding="utf-8"))
            if isinstance(found, dict):
                return found
        return {}


def folder_at(path: Path) -> Path:
    """For this user alone: chats are in it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(path, os.W_OK):
        raise PermissionError(13, "Permission denied", str(path))
    return path


def _names(chat: str) -> Iterator[str]:
    # A session's id may begin with a dot, which would hide the file.
    stem = f"_{chat}" if chat.startswith(".") else chat
    yield f"{stem}.ipynb"
    yield from (f"{stem} ({number}).ipynb" for number in count(2))


def _sources(notebook: JSON) -> set[str]:
    found = set()
    for cell in notebook.get("cells", ()):
        source = cell.get("source", "")
        text = source if isinstance(source, str) else "".join(source)
        found.add(text.strip())
    return found - {""}
