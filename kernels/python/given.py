"""Standard input that whoever runs a cell gave with it: all that there is, and then its end."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import TextIO


class Given:
    """While a cell runs with one, fd 0 and `sys.stdin` are it, for programs that the cell starts too."""

    def __init__(self) -> None:
        self.stream: TextIO | None = None

    @contextlib.contextmanager
    def reading(self, text: str) -> Iterator[None]:
        before_fd, before = os.dup(0), sys.stdin
        try:
            given_fd = _open(text)
            os.dup2(given_fd, 0)
            os.close(given_fd)
            self.stream = sys.stdin = open(0, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
            yield
        finally:
            os.dup2(before_fd, 0)
            os.close(before_fd)
            self.stream, sys.stdin = None, before

    def line(self, prompt: str) -> str:
        """As `input()` reads where nobody types."""
        if prompt:
            sys.stdout.write(prompt)
        text = sys.stdin.readline()
        if not text:
            raise EOFError("EOF when reading a line")
        return text.removesuffix("\n")


def _open(text: str) -> int:
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
