"""Which folder a notebook's kernel may have as its workspace. Pure but for following links."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


class NotLent(ValueError):
    """The folder holds what no kernel may read; the message says what, and what to do."""


def kept(folder: Path, private: Iterable[Path], programs: Iterable[Path]) -> tuple[str, ...]:
    """Names in `folder`, which has no links in its path, that the kernel may read and not change: those below which
    `programs` lie, that is, what runs outside of any sandbox. Raises NotLent when one of `private` is in there."""
    for place in private:
        if place.resolve().is_relative_to(folder):
            raise NotLent(
                f"{folder} cannot be a kernel's workspace: {place} is in it, and whoever runs code could read that. "
                'Keep the notebook in a folder of its own, or install a kernelspec with --workspace "empty".'
            )
    inside = [place for each in programs if (place := each.resolve()).is_relative_to(folder)]
    if folder in inside:
        raise NotLent(f"{folder} cannot be a kernel's workspace: programs that run outside of sandboxes lie in it.")
    return tuple(sorted({place.relative_to(folder).parts[0] for place in inside}))
