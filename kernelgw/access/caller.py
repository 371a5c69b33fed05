"""Who is calling, as far as it matters: what they may do, and at which sessions. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from ..errors import NotAllowed

READING = frozenset({"GET", "HEAD"})
# Of our own interface, what helps a developer at a chat: all that only looks, and the stop button.
SESSION = re.compile(r"/v1/sessions/([^/]+)(/.*)?")
STOP = re.compile(r"(/kernels/[^/]+)?/interrupt")
# Where it stands in the scope of a request; and that it does not hold any more, when the request is cut off for that.
CALLER, REVOKED = "kernelgw.caller", "kernelgw.revoked"
# Tells nothing of any session.
ABOUT = frozenset({"/docs", "/openapi.json"})
# Stands below Jupyter's door, and is none of it: it runs code.
EXECUTE = "/api/execute"


class Scope(StrEnum):
    FULL = "full"
    DEBUG = "debug"


@dataclass(frozen=True, slots=True)
class Caller:
    """`session`: the only one that they may see, or None for all of them. `owner`: whose things theirs are; "" for all
    who may do everything."""

    scope: Scope
    session: str | None = None
    owner: str = ""

    def sees(self, session: str) -> bool:
        return self.session is None or self.session == session

    @property
    def manages(self) -> bool:
        """Whether they may do what ends or begins something for others: sessions, their variables, keys."""
        return self.scope is Scope.FULL

    def check(self, method: str, path: str) -> None:
        """Jupyter's door looks closer by itself. Raises NotAllowed."""
        jupyter = (path == "/api" or path.startswith("/api/")) and not (path + "/").startswith(EXECUTE + "/")
        if self.manages or jupyter:
            return
        found = SESSION.fullmatch(path)
        if found is not None and self.sees(found[1]):
            if method in READING or (method == "POST" and STOP.fullmatch(found[2] or "")):
                return
        elif method in READING and (path in ABOUT or (path == "/v1/sessions" and self.session is None)):
            return
        what = "" if self.session is None else f" of the session {self.session}"
        raise NotAllowed(f"This key is for debugging{what} alone; it is not for {method} {path[:200]}.")


EVERYTHING = Caller(Scope.FULL)
