"""The pools that there are: one for each environment and language that somebody has asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from ..environments import EnvironmentInvalid, EnvironmentMissing, EnvironmentUnknown, declared, find
from ..errors import EnvironmentNotBuilt, UnknownEnvironment
from ..kernel.launcher import Launcher, Terms
from ..languages import DEFAULT, Language
from ..sandbox.policy import Limits
from ..settings import Settings
from .pool import Pool

# Warm kernels of a language that is not the default one, once it was used.
OF_OTHERS = 1


class Pools:
    """Only the default environment keeps warm kernels. `room`: whether there is any for one more."""

    def __init__(self, settings: Settings, launcher: Launcher, room: Callable[[], bool]) -> None:
        self._settings = settings
        self._launcher = launcher
        self._room = room
        self._starting = asyncio.Semaphore(settings.max_starting)
        # By environment, and the kernel of the language.
        self._all: dict[tuple[str, str], Pool] = {}

    def find(self, environment: str, language: Language = DEFAULT) -> Pool:
        """Raises UnknownEnvironment, EnvironmentNotBuilt."""
        found = self._all.get((environment, language.kernel))
        if found is not None:
            return found
        data_dir: Path = self._settings.data_dir
        try:
            built = find(environment, data_dir)
        except EnvironmentUnknown as error:
            names = sorted(declared(data_dir))
            raise UnknownEnvironment(str(error), environments=names) from None
        except (EnvironmentMissing, EnvironmentInvalid) as error:
            raise EnvironmentNotBuilt(str(error)) from None
        size = self._warm(environment) if language.kernel == DEFAULT.kernel else 0
        pool = Pool(self._launcher, built, size, self._starting, Terms(Limits.of(self._settings)), language)
        pool.room = self._room
        self._all[environment, language.kernel] = pool
        return pool

    def use(self, environment: str, language: Language) -> Pool:
        """The same, for a session that begins: others may begin with that language too. Raises as `find`."""
        pool = self.find(environment, language)
        pool.size = max(pool.size, min(OF_OTHERS, self._warm(environment)))
        return pool

    def _warm(self, environment: str) -> int:
        return self._settings.pool_size if environment == self._settings.environment else 0

    @property
    def ready(self) -> int:
        """Warm kernels that there are."""
        return sum(pool.ready for pool in self._all.values())

    @property
    def size(self) -> int:
        """Those that there should be."""
        return sum(pool.size for pool in self._all.values())

    @property
    def promised(self) -> int:
        """Bytes of disk."""
        return sum(pool.ready * pool.terms.limits.workspace_bytes for pool in self._all.values())

    def refill(self) -> None:
        for pool in self._all.values():
            pool.refill()

    async def close(self) -> None:
        await asyncio.gather(*(pool.close() for pool in self._all.values()))
