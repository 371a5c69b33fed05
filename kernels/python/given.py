"""Standard input that whoever runs a cell gave with it: all that there is, and then its end."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import Any, TextIO

from IPython.core.interactiveshell import _modified_open


class Given:
    """While a cell runs with one, fd 0 and `sys.stdin` are it, for programs that the cell starts too."""

    def __init__(self) -> None:
        self.stream: TextIO | None = None

    @contextlib.contextmanager
    def reading(self, text: str, names: dict[str, Any]) -> Iterator[None]:
        """`names`: the user's own."""
        before_fd, before, own_open = os.dup(0), sys.stdin, names.get("open")
        try:
            given_fd = _file(text)
            os.dup2(given_fd, 0)
            os.close(given_fd)
            self.stream = sys.stdin = open(0, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
            if own_open is _modified_open:
                names["open"] = _open
            yield
        finally:
            os.dup2(before_fd, 0)
            os.close(before_fd)
            self.stream, sys.stdin = None, before
            if names.get("open") is _open:
                names["open"] = own_open

    def line(self, prompt: str) -> str:
        """As `input()` reads where nobody types."""
        if prompt:
            sys.stdout.write(prompt)
        text = sys.stdin.readline()
        if not text:
            raise EOFError("EOF when reading a line")
        return text.removesuffix("\n")


def _open(file: Any, *args: Any, **kwargs: Any) -> Any:
    """IPython's `open` refuses standard streams, to keep the kernel from losing them; this one reads a copy."""
    return _modified_open(os.dup(0) if file == 0 and isinstance(file, int) else file, *args, **kwargs)


def _file(text: str) -> int:
    """In memory where that may be had, else in the temporary folder; nothing to read, when there is no room for it."""
    try:
        fd = _anywhere()
        with open(fd, "wb", closefd=False) as file:
            file.write(text.encode(errors="replace"))
        os.lseek(fd, 0, os.SEEK_SET)
    except OSError as error:
        sys.stderr.write(f"kernelgw: there is no room for the standard input that was given: {error.strerror}\n")
        return os.open(os.devnull, os.O_RDONLY)
    return fd


def _anywhere() -> int:
    try:
        return os.memfd_create("stdin")
    except OSError:
        fd, path = tempfile.mkstemp()
        os.unlink(path)
        return fd
