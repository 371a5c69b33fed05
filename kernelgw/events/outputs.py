"""An execution's outputs as a notebook would show them, from the same events that readers get. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .translate import Happening

# Of what may be kept, the share for the beginning; the rest is for the newest.
HEAD_SHARE = 0.25
STREAM = "output.stream"
# Pieces of text that are larger than such a part of the limit are cut rather than left out whole.
STEPS = 32
# What an output costs beside its content. So many of them may be kept as would fill the limit by that alone.
OVERHEAD = 400
FEW_ITEMS = 1000


@dataclass(slots=True, weakref_slot=True, eq=False)
class Item:
    """A piece of a stream, or one display, result or error. Replaced in place by display updates."""

    seq: int
    kind: str
    data: dict[str, Any]
    size: int
    owner: Outputs | None = None
    in_head: bool = False


class Outputs:
    """Grows by `apply`. Beyond `limit` bytes the middle goes, and a line of text says how much."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._most_items = max(FEW_ITEMS, limit // OVERHEAD)
        self._head: list[Item] = []
        self._tail: deque[Item] = deque()
        self._head_size = 0
        self._tail_size = 0
        self._dropped = 0
        self._dropped_any = False
        self._clear_next = False
        # Called after each change; set once their execution is over, when changes are no longer expected.
        self.changed: Callable[[], None] | None = None
        # Asked, when text is about to be left out, for what takes all of it, from the beginning; and what became of it.
        self.spill: Callable[[list[str]], Callable[[str], None] | None] | None = None
        self._sink: Callable[[str], None] | None = None
        self.whole_text = ""

    @property
    def size(self) -> int:
        """Bytes kept, roughly."""
        return self._head_size + self._tail_size

    @property
    def cost(self) -> int:
        """Bytes of memory that they take, roughly."""
        return self.size + OVERHEAD * self._count_items()

    def apply(self, seq: int, happening: Happening) -> Item | None:
        """Takes one event in; returns the new item when it made one (so that a display id can find it)."""
        kind = happening.type
        if kind == "output.clear":
            if happening.data["wait"]:
                self._clear_next = True
            else:
                self.clear()
            return None
        if kind not in _OUTPUT_TYPES:
            return None
        if self._clear_next:
            self.clear()
        item = Item(seq, kind, happening.data, happening.size, self)
        self._keep(item)
        self._tell()
        return item

    def update(self, item: Item, happening: Happening) -> None:
        """What `update_display_data` does to an earlier display."""
        self._count(item, happening.size - item.size)
        item.size = happening.size
        item.data = {**item.data, **{name: happening.data.get(name) for name in ("data", "metadata", "artifacts")}}
        self._trim()
        self._tell()

    def _tell(self) -> None:
        if self.changed is not None:
            self.changed()

    def _keep(self, item: Item) -> None:
        if self._sink is not None and item.kind == STREAM:
            self._sink(item.data["text"])
        if not self._tail and len(self._head) < self._most_items * HEAD_SHARE:
            room = int(self.limit * HEAD_SHARE) - self._head_size
            if item.size <= room:
                self._put(item, in_head=True)
                return
            if item.kind == STREAM and room > 0:
                self._put(_cut(item, room), in_head=True)
        self._put(item, in_head=False)
        self._trim()

    def _put(self, item: Item, in_head: bool) -> None:
        item.in_head = in_head
        (self._head if in_head else self._tail).append(item)
        self._count(item, item.size)

    def _count(self, item: Item, size: int) -> None:
        if item.in_head:
            self._head_size += size
        else:
            self._tail_size += size

    def _trim(self) -> None:
        while self._tail and (self.size > self.limit or self._count_items() > self._most_items):
            oldest = self._tail[0]
            if oldest.kind == STREAM:
                self._spill()
                if self._count_items() <= self._most_items and self._shorten(oldest):
                    break
            if len(self._tail) == 1:
                break
            self._drop(self._tail.popleft())
        # Only displays that grew by updates can make the beginning too large.
        most = self.limit * HEAD_SHARE
        while self.size > self.limit and self._head_size > most and self._count_items() > 1:
            self._drop(self._head.pop())

    def _count_items(self) -> int:
        return len(self._head) + len(self._tail)

    def _shorten(self, item: Item) -> bool:
        """Of text that is much by itself the end is kept, also when it is all that there is. Not by a little each time,
        since each time it is copied."""
        step = self.limit // STEPS
        size = max(self.size - self.limit, step)
        if item.size <= size + step:
            return False
        self._count(item, -item.size)
        left_out = _cut(item, size)
        self._count(item, item.size)
        self._count_dropped(left_out)
        return True

    def _spill(self) -> None:
        """Nothing is left out yet: all text there was is here."""
        if self.spill is None:
            return
        texts = [item.data["text"] for item in (*self._head, *self._tail) if item.kind == STREAM]
        self._sink, self.spill = self.spill(texts), None

    def _drop(self, item: Item) -> None:
        self._count(item, -item.size)
        self._count_dropped(item)
        item.owner = None

    def _count_dropped(self, item: Item) -> None:
        self._dropped += item.size
        self._dropped_any = True

    def clear(self) -> None:
        for item in (*self._head, *self._tail):
            item.owner = None
        self._head.clear()
        self._tail.clear()
        self._head_size = self._tail_size = self._dropped = 0
        self._dropped_any = False
        self._clear_next = False
        self._tell()

    def seal(self) -> None:
        """No more of its text is taken elsewhere; what comes late is kept as far as there is room."""
        self.spill = self._sink = None

    def release(self) -> None:
        """They are shown as they are, and no update finds them: what holds them is all that keeps them in memory."""
        self.changed = None
        for item in (*self._head, *self._tail):
            item.owner = None

    def as_json(self) -> list[dict[str, Any]]:
        """nbformat outputs, each with the `seq` of its first event."""
        return list(self._merged())

    def _merged(self) -> Iterator[dict[str, Any]]:
        pieces: list[str] = []
        stream: dict[str, Any] | None = None
        for item in self._items():
            if item.kind == STREAM:
                if stream is None or stream["name"] != item.data["name"]:
                    if stream is not None:
                        yield {**stream, "text": "".join(pieces)}
                    pieces = []
                    stream = {"seq": item.seq, "output_type": "stream", "name": item.data["name"]}
                pieces.append(item.data["text"])
                continue
            if stream is not None:
                yield {**stream, "text": "".join(pieces)}
                stream = None
            yield _nbformat(item)
        if stream is not None:
            yield {**stream, "text": "".join(pieces)}

    def _items(self) -> Iterator[Item]:
        yield from self._head
        if self._dropped_any:
            whole = f"; {self.whole_text}" if self.whole_text else ""
            text = f"\n[{self._dropped:,} bytes of output left out here: the limit is {self.limit:,}{whole}]\n"
            # Of one event the beginning may stand before it and the end after it: then all three have its number.
            before, after = (each[place].seq if each else 0 for each, place in ((self._head, -1), (self._tail, 0)))
            seq = max(before, after - 1) if after else before + 1
            yield Item(seq, STREAM, {"name": "stderr", "text": text}, len(text))
        yield from self._tail


def update(item: Item, happening: Happening) -> None:
    """Changes a display, wherever it is kept; one that was dropped or cleared stays so."""
    if item.owner is not None:
        item.owner.update(item, happening)


def _cut(item: Item, size: int) -> Item:
    """Takes its first `size` bytes, roughly, off a piece of a stream; returns them as another."""
    text: str = item.data["text"]
    place = max(1, len(text) * size // item.size)
    first = Item(item.seq, item.kind, {**item.data, "text": text[:place]}, size, item.owner)
    item.data = {**item.data, "text": text[place:]}
    item.size -= size
    return first


def _nbformat(item: Item) -> dict[str, Any]:
    data = item.data
    if item.kind == "output.error":
        return {
            "seq": item.seq,
            "output_type": "error",
            "ename": data["name"],
            "evalue": data["value"],
            "traceback": data["traceback"],
        }
    output: dict[str, Any] = {"seq": item.seq, "output_type": "display_data"}
    if item.kind == "output.result":
        output["output_type"] = "execute_result"
        output["execution_count"] = data.get("execution_count")
    output["data"] = data["data"]
    output["metadata"] = data["metadata"]
    if data.get("artifacts"):
        output["artifacts"] = data["artifacts"]
    return output


_OUTPUT_TYPES = frozenset({"output.stream", "output.display", "output.result", "output.error"})
