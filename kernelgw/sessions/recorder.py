"""Writes what a kernel says into the log and into the outputs that a notebook would show."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any
from weakref import ref

from ..events.log import EventLog
from ..events.outputs import Item, update
from ..events.translate import Happening, translate
from ..kernel.wire import Message, TooComplex, Undecodable
from . import hints
from .execution import Execution

Error = dict[str, Any]
MOST_DISPLAY_IDS = 10_000
# A longer one is shown, but no update finds it.
LONGEST_DISPLAY_ID = 256
# Displays that share an id and are all updated together; of more, the newest.
MOST_OF_ONE_ID = 100
# Messages of which a reader would miss something.
SHOWN = frozenset({"stream", "display_data", "update_display_data", "execute_result", "error"})


class Recorder:
    """One session's. A display id reaches displays of earlier executions too, until the kernel ends."""

    def __init__(
        self,
        log: EventLog,
        hint: Callable[[Error, str], str | None] = lambda _error, _language: None,
        once: bool = False,
    ) -> None:
        self._log = log
        self._hint = hint
        # Whether the session is over with its one execution.
        self.once = once
        # Weakly: an output that its execution no longer keeps must not be kept here.
        self._displays: OrderedDict[str, deque[ref[Item]]] = OrderedDict()

    def message(self, execution: Execution | None, message: Message) -> None:
        """An iopub message, if it makes an event."""
        try:
            happening = translate(message.msg_type, message.content)
        except Undecodable as error:
            if message.msg_type not in SHOWN:
                raise
            why = f"it has {error}" if isinstance(error, TooComplex) else f"it cannot be read: {error}"
            text = f"[an output was left out: {why}]\n"
            happening = Happening("output.stream", {"name": "stderr", "text": text}, len(text))
        if happening is not None:
            self.output(execution, happening)

    def output(self, execution: Execution | None, happening: Happening) -> None:
        if happening.type == "output.error":
            self.advise(happening.data, execution)
        if execution is not None and not execution.finished:
            event = self._log.append(happening.type, happening.data, execution.id, happening.size)
        else:
            # From a thread that outlived its cell: the cell is over, so it is the session's, and says whose.
            if execution is not None:
                happening.data["late_execution_id"] = execution.id
            event = self._log.append(happening.type, happening.data, None, happening.size)
        self.apply(event.seq, execution, happening)

    def apply(self, seq: int, execution: Execution | None, happening: Happening) -> None:
        """Changes the outputs as a notebook would."""
        if happening.type == "output.update":
            for reference in self._displays.get(happening.data.get("display_id", ""), ()):
                if (shown := reference()) is not None:
                    update(shown, happening)
        elif execution is not None:
            item = execution.outputs.apply(seq, happening)
            display_id = happening.data.get("display_id", "")
            if item is not None and 0 < len(display_id) <= LONGEST_DISPLAY_ID:
                self._remember(display_id, item)

    def advise(self, error: Error, execution: Execution | None) -> None:
        """Adds what to do about an error, where something can be said of it."""
        advice = hints.stopped(execution, error["name"], once=self.once) if execution is not None else None
        if advice := advice or self._hint(error, execution.language if execution is not None else ""):
            error["hint"] = advice

    def forget_displays(self) -> None:
        self._displays.clear()

    def _remember(self, display_id: str, item: Item) -> None:
        self._displays.setdefault(display_id, deque(maxlen=MOST_OF_ONE_ID)).append(ref(item))
        while len(self._displays) > MOST_DISPLAY_IDS:
            self._displays.popitem(last=False)
