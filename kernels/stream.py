"""What code in a kernel has as `sys.stdout` and `sys.stderr`."""

from __future__ import annotations

import contextvars
import io
import os
from typing import Any

from jupyter_client.session import extract_header

from .output import Header, Output

# What a pipe takes in one piece.
LARGEST_LINE = 4096


class Stream(io.TextIOBase):
    """sys.stdout or sys.stderr of a kernel."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, output: Output, name: str, fd: int) -> None:
        super().__init__()
        self._output = output
        self.name = name
        self._fd = fd
        self._held = ""
        self._parent: contextvars.ContextVar[Header] = contextvars.ContextVar(f"parent_of_{name}")

    @property
    def parent_header(self) -> Header:
        return self._parent.get(self._output.parent)

    def set_parent(self, parent: dict[str, Any]) -> None:
        header = extract_header(parent)
        self._output.parent = header
        self._parent.set(header)

    def set_thread_parent(self, parent: dict[str, Any]) -> Any:
        return self._parent.set(extract_header(parent))

    def reset_thread_parent(self, token: Any) -> None:
        self._parent.reset(token)

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if text:
            if self._output._pid < 0:
                self._write_as_child(text)
            else:
                self._output.text(self.name, self._parent.get(self._output.parent), text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def _write_as_child(self, text: str) -> None:
        """Whole lines, so that those of several children do not mix."""
        self._held += text
        if "\n" in text or len(self._held) > LARGEST_LINE:
            self.flush()

    def flush(self) -> None:
        if self._output._pid >= 0:
            self._output.flush()
        elif self._held:
            held, self._held = self._held, ""
            os.write(self._fd, held.encode(errors="replace"))

    def fileno(self) -> int:
        return self._fd

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    @property
    def buffer(self) -> Any:
        return _Bytes(self)


class _Bytes(io.RawIOBase):
    """`sys.stdout.buffer`: bytes in, text out."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        raw = bytes(data)
        self._stream.write(raw.decode(errors="replace"))
        return len(raw)
