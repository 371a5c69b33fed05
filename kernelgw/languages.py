"""The languages that sessions speak: what each is called, and what speaks it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

PYTHON, JAVASCRIPT, TYPESCRIPT, BASH = "python", "javascript", "typescript", "bash"


@dataclass(frozen=True)
class Language:
    """`kernel`: the name of the kernel that a session runs it in, unless another is asked for; languages that share one
    share its variables. `driver`: what a kernel of it becomes, from the table in kernels/drivers.py, with `options`."""

    name: str
    title: str
    kernel: str
    driver: str
    aliases: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def known_as(self) -> str:
        """As Jupyter's clients and notebooks name it: several kernels of others may speak one."""
        return str(self.options.get("language", self.name))


# Models and people write these; ours come first where two have the same.
OWN = (
    Language(PYTHON, "Python", PYTHON, "python", ("py", "python3", "ipython", "ipython3"), (".py",)),
    Language(
        name=JAVASCRIPT,
        title="JavaScript",
        kernel=JAVASCRIPT,
        driver="javascript",
        aliases=("js", "node", "nodejs", "mjs", "cjs", "jsx"),
        suffixes=(".js", ".mjs", ".cjs"),
    ),
    Language(
        name=TYPESCRIPT,
        title="TypeScript",
        kernel=JAVASCRIPT,
        driver="javascript",
        aliases=("ts", "mts", "cts", "tsx"),
        suffixes=(".ts", ".mts", ".cts"),
    ),
    Language(
        name=BASH,
        title="Bash",
        kernel=BASH,
        driver="bash",
        aliases=("sh", "shell", "zsh", "console", "terminal", "shellscript"),
        suffixes=(".sh", ".bash"),
    ),
)
DEFAULT = OWN[0]


def driver(language: Language, memory_bytes: int) -> dict[str, Any]:
    """What a kernel of it is told to be. `memory_bytes`: what the session may have, all its programs together."""
    return {"driver": language.driver, "options": {**language.options, "memory_bytes": memory_bytes}}


class Languages:
    """What a gateway offers, by name and alias."""

    def __init__(self, further: tuple[Language, ...] = ()) -> None:
        ours = {name: each for each in OWN for name in (each.name, *each.aliases)}
        # One that is called as ours are could only be had by mistake.
        others = [each for each in further if each.name.lower() not in ours]
        self._all = {each.name: each for each in (*OWN, *others)}
        self._known = {alias: each for each in others for alias in each.aliases} | self._all | ours

    def find(self, name: str) -> Language | None:
        """By a name or an alias, in whatever case."""
        return self._known.get(name.strip().lower()) or self._all.get(name)

    def __iter__(self) -> Iterator[Language]:
        return iter(self._all[name] for name in self.names)

    def of_file(self, name: str) -> Language | None:
        """By how its name ends."""
        return next((each for each in self._all.values() if name.lower().endswith(each.suffixes)), None)

    @property
    def names(self) -> list[str]:
        return sorted(self._all)
