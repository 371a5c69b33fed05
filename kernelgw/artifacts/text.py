"""All that an execution prints, once that is more than is kept of it: on its way into one content, in a thread."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future

from .contents import Contents, Writer
from .reading import NotKept

# So much is written in one go, and so much may wait for a disk that is slow.
PIECE = 1 << 20
MOST_WAITING = 64 << 20
LATE = "[what came before is not kept any more]\n"


class FullText:
    """`most`: bytes; what comes after is left out, and the text says so at its end. `add` may be called in one thread
    only."""

    def __init__(self, store: Contents, most: int) -> None:
        self._store = store
        self._most = most
        self._writer: Writer | None = None
        self._waiting: list[str] = []
        self._waits = 0
        self._taken = 0
        self._skipped = 0
        self._missing = False
        self._writing: Future[None] | None = None

    @property
    def whole(self) -> bool:
        """Whether nothing is missing of it, once it is finished."""
        return not self._missing and self._taken <= self._most

    def begin(self, texts: Iterable[str], whole: bool = True) -> None:
        """With what there was before, which is in memory anyway. `whole`: whether that was everything."""
        self._missing = not whole
        if not whole:
            self._waiting.append(LATE)
        self._waiting += texts
        self._write()

    def add(self, text: str) -> None:
        """In order; returns at once."""
        if self._waits > MOST_WAITING:
            self._missing = True
            self._skipped += len(text)
            return
        self._note_skipped()
        self._waiting.append(text)
        self._waits += len(text)
        if self._waits >= PIECE and (self._writing is None or self._writing.done()):
            self._write()

    def _note_skipped(self) -> None:
        if self._skipped:
            self._waiting.append(f"\n[{self._skipped:,} characters are missing here: the disk could not keep up]\n")
            self._skipped = 0

    def _write(self) -> None:
        texts, self._waiting, self._waits = self._waiting, [], 0
        self._writing = self._store.threads.submit(self._write_now, texts, self._writing)

    def _write_now(self, texts: list[str], before: Future[None] | None) -> None:
        if before is not None:
            # It is done; what went wrong then is wrong for the whole.
            before.result()
        if self._writer is None:
            self._writer = self._store.writer()
        for piece in _joined(texts):
            data = piece.encode(errors="replace")
            left = self._most - self._taken
            self._taken += len(data)
            if left > 0:
                self._store.check_room(len(data))
                self._writer.write(data[:left])

    def finish(self, links: int) -> tuple[str, int]:
        """In a thread, after the last `add`: its digest and size. `links`: where it is kept, which is closed. Raises
        NotKept."""
        try:
            self._note_skipped()
            before = self._writing
            if before is not None:
                before.exception()
            self._write_now(self._waiting, before)
            assert self._writer is not None
            if self._taken > self._most:
                cut = f"\n[the text goes on here: {self._taken - self._most:,} bytes more were left out]\n"
                self._writer.write(cut.encode())
            return self._writer.keep(links), self._writer.size
        except OSError as error:
            raise NotKept(f"it cannot be stored: {error.strerror or error}") from None
        finally:
            os.close(links)
            self.close()

    def abandon(self) -> None:
        """It will not be finished."""
        self._store.threads.submit(self._close_after, self._writing)

    def _close_after(self, before: Future[None] | None) -> None:
        if before is not None:
            before.exception()
        self.close()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _joined(texts: list[str]) -> Iterator[str]:
    """In pieces of some size, since encoding one holds up every other thread."""
    pieces: list[str] = []
    size = 0
    for text in texts:
        pieces.append(text)
        size += len(text)
        if size >= PIECE:
            yield "".join(pieces)
            pieces, size = [], 0
    yield "".join(pieces)
