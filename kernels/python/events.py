"""IPython's events, where an interrupt during one is to stop the cell that it came before."""

from __future__ import annotations

from typing import Any

from IPython.core.events import EventManager

BEFORE = "pre_"


class Events(EventManager):
    """IPython's own takes an interrupt for a callback's failure, and then runs the cell that it was meant for."""

    def trigger(self, event: str, *args: Any, **kwargs: Any) -> None:
        if not event.startswith(BEFORE):
            super().trigger(event, *args, **kwargs)
            return
        for callback in self.callbacks[event][:]:
            try:
                callback(*args, **kwargs)
            except Exception:
                print(f"Error in callback {callback} (for {event}):")
                self.shell.showtraceback()
