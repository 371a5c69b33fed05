"""What kernels there can be, by the names that Jupyter's clients use: each an environment and a language of ours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..environments import EnvironmentInvalid, EnvironmentMissing, declared, find
from ..languages import PYTHON, Language
from ..sessions.registry import Registry
from ..sessions.session import Session

# The name by which clients know Python in the default environment.
DEFAULT = "python3"


@dataclass(frozen=True)
class Spec:
    name: str
    title: str
    environment: str
    language: Language

    def as_json(self) -> dict[str, Any]:
        described = {
            "argv": ["kernelgw"],
            "display_name": self.title,
            "language": self.language.known_as,
            "interrupt_mode": "message",
            "env": {},
            "metadata": {"debugger": self.language.name == PYTHON},
        }
        return {"name": self.name, "spec": described, "resources": {}}


class Specs:
    """Of one gateway."""

    def __init__(self, house: Registry) -> None:
        self._house = house
        self._default = house.settings.environment

    def all(self) -> dict[str, Spec]:
        """Where two would have one name, it is the environment's."""
        python = self._house.language(PYTHON, self._default)
        found = {DEFAULT: Spec(DEFAULT, f"{python.title} 3 (kernelgw)", self._default, python)}
        others = list(self._environments())
        for name in others:
            found[name] = Spec(name, f"{python.title} 3 ({name})", name, python)
        for environment in (self._default, *others):
            for language in self._house.languages(environment):
                name = self._name(environment, language)
                spec = Spec(name, f"{language.title} (kernelgw)", environment, language)
                if language.name != PYTHON:
                    found.setdefault(name, spec)
        return found

    def as_json(self) -> dict[str, Any]:
        return {"default": DEFAULT, "kernelspecs": {name: spec.as_json() for name, spec in self.all().items()}}

    def wishes(self, name: str | None) -> dict[str, Any]:
        """For a session that begins by this name. One that is not known is taken for an environment."""
        if name in (None, "", DEFAULT):
            return {"environment": self._default}
        known = self.all().get(str(name))
        if known is None:
            return {"environment": name}
        return {"environment": known.environment, "language": known.language.name}

    def name_of(self, session: Session) -> str:
        return self._name(session.plan.environment, session.main.language)

    def _name(self, environment: str, language: Language) -> str:
        if language.name == PYTHON:
            return DEFAULT if environment == self._default else environment
        if self._house.languages(self._default).find(language.name) is not None:
            return language.name
        return f"{language.name}-{environment}"

    def _environments(self) -> Iterator[str]:
        """Those that are built, besides the default one."""
        data_dir = self._house.settings.data_dir
        for name in sorted(declared(data_dir)):
            try:
                if name not in (self._default, DEFAULT):
                    find(name, data_dir)
                    yield name
            except (EnvironmentMissing, EnvironmentInvalid):
                continue
