"""The seam between a scenario and a system: open a session, run code in it, look at what came."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

OnText = Callable[[str], None]


class KernelLost(Exception):
    """The system said that the kernel is gone; the message is the reason it gave, empty when it gave none."""


class WrongResult(Exception):
    """What came is not what the code prints or returns. Fails the run: a fast wrong answer is no answer."""


@dataclass(slots=True)
class Outcome:
    """What one cell gave, in the order it came."""

    texts: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    pictures: list[bytes] = field(default_factory=list)
    error: str = ""
    finished: bool = True
    """Whether the end was seen; a relay that drops output may drop that too."""

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def add_output(self, kind: str, content: dict[str, Any], on_text: OnText | None) -> None:
        """Takes the content of a Jupyter IOPub message."""
        if kind == "stream":
            if content["name"] == "stdout":
                self.texts.append(content["text"])
                if on_text is not None:
                    on_text(content["text"])
        elif kind in ("execute_result", "display_data"):
            if kind == "execute_result":
                self.results.append(content["data"].get("text/plain", ""))
            if "image/png" in content["data"]:
                self.pictures.append(decode_png(content["data"]["image/png"]))
        elif kind == "error":
            self.error = f"{content['ename']}: {content['evalue']}"


class Session(Protocol):
    """One chat: a live kernel that keeps its variables."""

    def run(self, code: str, on_text: OnText | None = None, timeout: float = 60.0) -> Outcome:
        """Runs a cell to its end. `timeout` bounds the silence between two messages, not the whole.

        Raises KernelLost when the system tells that the kernel died.
        """

    def pid(self) -> int:
        """The kernel's process id as this machine sees it."""

    def close(self) -> None:
        """Ends the kernel and the connection."""


class System(Protocol):
    name: str
    title: str

    def start(self, folder: Path) -> None:
        """Returns when it can be used. `folder` is its own, empty, with a short path, and goes with the run."""

    def open(self) -> Session:
        """A new session with a kernel of its own, ready to run. What a scenario calls "new session" starts here."""

    def settle(self) -> None:
        """Returns when the system is as ready as it was before the last session: called between samples."""

    def stop(self) -> None:
        """Ends every process that `start` and `open` began."""


def decode_png(text: str) -> bytes:
    return base64.b64decode(text)


def expect_result(outcome: Outcome, wanted: str) -> None:
    if outcome.results != [wanted] or outcome.error:
        raise WrongResult(f"wanted {wanted!r}, got {outcome.results!r} {outcome.error}")


def expect_picture(outcome: Outcome) -> None:
    if not outcome.pictures or not outcome.pictures[0].startswith(b"\x89PNG\r\n") or outcome.error:
        raise WrongResult(f"no picture: {len(outcome.pictures)} came, {outcome.error}")
