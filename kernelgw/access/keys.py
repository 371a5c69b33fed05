"""Keys beside the gateway's own token: for less than everything, and for as long as they are needed."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import KeyNotFound, TooManyKeys
from ..settings import BadSetting
from .caller import Caller, Scope

PREFIX = "kgw_"
MOST_KEYS = 1000


@dataclass(frozen=True, slots=True)
class Key:
    """What is kept of one: enough to know it again, and not what it is. Times are seconds since 1970."""

    id: str
    digest: str
    scope: Scope
    name: str = ""
    session_id: str | None = None
    created_at: float = 0.0
    expires_at: float | None = None

    @property
    def caller(self) -> Caller:
        return Caller(self.scope, self.session_id, "" if self.scope is Scope.FULL else self.id)

    @property
    def expired(self) -> bool:
        return self.expires_at is not None and time.time() >= self.expires_at


class Keys:
    """All that there are. `path`: where they outlive the gateway, readable to its user alone; None to keep nothing.

    Making it raises BadSetting when that file is none of ours.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        # By what is kept of their secrets.
        self._keys: dict[str, Key] = {} if path is None else _read(path)
        self._guests: dict[str, set[asyncio.Future[None]]] = {}

    def make(self, scope: Scope, name: str, session_id: str | None, expires_s: float | None) -> tuple[Key, str]:
        """The key, and what its holder presents, which is told once. Raises TooManyKeys."""
        self._sweep()
        if len(self._keys) >= MOST_KEYS:
            raise TooManyKeys(f"There are {MOST_KEYS} keys already.")
        now = time.time()
        secret = PREFIX + secrets.token_urlsafe(24)
        expires_at = None if expires_s is None else now + expires_s
        key = Key(secrets.token_hex(8), _digest(secret), scope, name, session_id, now, expires_at)
        self._keys[key.digest] = key
        self._write()
        return key, secret

    def all(self) -> list[Key]:
        return [key for key in self._keys.values() if not key.expired]

    def revoke(self, id_: str) -> None:
        """Also for who is connected by it. Raises KeyNotFound."""
        found = next((key for key in self._keys.values() if key.id == id_), None)
        if found is None:
            raise KeyNotFound(f"There is no key {id_[:100]!r}.")
        del self._keys[found.digest]
        self._write()
        for guest in self._guests.pop(id_, ()):
            if not guest.done():
                guest.set_result(None)

    def forget(self, session_id: str) -> None:
        """The session has ended; one that is begun later under its name is another."""
        for key in [each for each in self._keys.values() if each.session_id == session_id]:
            self.revoke(key.id)

    def find(self, presented: str) -> Key | None:
        """Whose it is. Takes the same time for all that are wrong, since nobody can choose a digest."""
        found = self._keys.get(_digest(presented)) if presented.startswith(PREFIX) else None
        return None if found is None or found.expired else found

    @contextlib.contextmanager
    def over(self, key: Key) -> Iterator[asyncio.Future[None]]:
        """Done as soon as the key does not hold any more."""
        loop = asyncio.get_running_loop()
        guest = loop.create_future()
        guests = self._guests.setdefault(key.id, set())
        guests.add(guest)
        timer = None if key.expires_at is None else loop.call_later(key.expires_at - time.time(), _end, guest)
        try:
            yield guest
        finally:
            if timer is not None:
                timer.cancel()
            guests.discard(guest)
            if not guests and self._guests.get(key.id) is guests:
                del self._guests[key.id]

    def _sweep(self) -> None:
        self._keys = {digest: key for digest, key in self._keys.items() if not key.expired}

    def _write(self) -> None:
        """All or nothing: a file that is cut short would let nobody in."""
        if self._path is None:
            return
        beside = self._path.with_suffix(".new")
        beside.unlink(missing_ok=True)
        self._path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        beside.touch(0o600)
        beside.write_text(json.dumps([asdict(key) for key in self._keys.values()]))
        beside.replace(self._path)


def _read(path: Path) -> dict[str, Key]:
    try:
        found = [Key(**{**fields, "scope": Scope(fields["scope"])}) for fields in json.loads(path.read_text())]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadSetting(f"{path} cannot be read ({error}): mend it, or remove it, and no key holds any more") from None
    return {key.digest: key for key in found}


def _end(guest: asyncio.Future[None]) -> None:
    if not guest.done():
        guest.set_result(None)


def as_json(key: Key) -> dict[str, Any]:
    """As it may be seen."""
    facts = asdict(key)
    del facts["digest"]
    return facts


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
