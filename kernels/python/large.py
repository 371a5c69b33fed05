"""Cells so large that what IPython does to all code, line by line and statement by statement, takes far longer than to
run them."""

from __future__ import annotations

import ast
import gc
import inspect
import warnings
from typing import Any

from ipykernel.compiler import XCachingCompiler
from IPython.core.interactiveshell import InteractiveShell

# In characters; and in statements.
LARGE, MANY = 100_000, 2_000


class Large:
    """What is known of the cell that was looked at last: whether it is Python and nothing else, and whether it awaits.
    None for one that is not large."""

    def __init__(self) -> None:
        self._seen: tuple[int, int] | None = None
        self._awaits: bool | None = None

    def is_python(self, code: str) -> bool:
        return self.awaits(code) is not None

    def awaits(self, code: str) -> bool | None:
        """None as well for what is no Python, or not yet."""
        if len(code) < LARGE:
            return None
        seen = (len(code), hash(code))
        if seen != self._seen:
            self._seen, self._awaits = seen, _awaits(code)
        return self._awaits


def _awaits(code: str) -> bool | None:
    try:
        with warnings.catch_warnings():
            # They are told when it is compiled to be run.
            warnings.simplefilter("ignore")
            flags = compile(code, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True).co_flags
    except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError):
        return None
    return bool(flags & inspect.CO_COROUTINE)


class Compiler(XCachingCompiler):
    """Does not look for garbage at each turn in what is no garbage: nodes, by the million."""

    def ast_parse(self, source: str, *args: Any, **kwargs: Any) -> Any:
        paused = len(source) >= LARGE and gc.isenabled()
        if paused:
            gc.disable()
        try:
            return super().ast_parse(source, *args, **kwargs)
        finally:
            if paused:
                gc.enable()


def as_one(nodes: list[Any]) -> list[Any]:
    """Many statements as one that runs them all, but for the last, which may be to be shown."""
    if len(nodes) < MANY or any(isinstance(each, ast.ImportFrom) and each.module == "__future__" for each in nodes):
        return nodes
    true = ast.copy_location(ast.Constant(True), nodes[0])
    return [ast.copy_location(ast.If(true, nodes[:-1], []), nodes[0]), nodes[-1]]


def changes_nothing(shell: InteractiveShell) -> bool:
    """Whether nobody has added to what IPython does to code before it is parsed."""
    manager = shell.input_transformer_manager
    own = type(manager)()
    return not shell.input_transformers_post and all(
        getattr(manager, name) == getattr(own, name)
        for name in ("cleanup_transforms", "line_transforms", "token_transformers")
    )
