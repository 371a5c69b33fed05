"""What the indexer does: brings sessions level with their journals, a piece at a time; forgets what was deleted."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from ..events.tail import Replaced
from ..store import queries
from ..store.database import Database, Overtaken
from ..store.engine import Corrupt, Unavailable, make_engine
from ..store.files import Files
from ..store.rows import Known
from .follower import Follower, is_level

# Read of a journal between two looks at what else there is to do.
STEP_BYTES = 4 << 20
# Sessions that are followed, and bytes that they may take together, before those go that were quiet for longest. Their
# journals are read again when something happens.
MOST_FOLLOWED, MOST_BYTES = 256, 128 << 20
# Of a deleted session: told whether its rows are gone; False when they have to stay for now.
Done = Callable[[bool], None]
Answer = TypeVar("Answer")
log = logging.getLogger("kernelgw.store")


class Worker:
    """`folder`: where the journals are. Methods raise Unavailable; a later `work` does then what was to be done."""

    def __init__(self, url: str, house: str, folder: Path, history_bytes: int, output_bytes: int) -> None:
        self.database = Database(make_engine(url), house, history_bytes)
        self.todo: OrderedDict[str, None] = OrderedDict()
        self._folder = folder
        self._output_bytes = output_bytes
        self._files = Files.of(self.database.engine)
        self._followers: OrderedDict[str, Follower] = OrderedDict()
        self._known: dict[str, Known] = {}
        self._doomed: list[tuple[str, str | None, Done]] = []
        # The file of each journal that has been come to, since somebody last asked.
        self.read: dict[str, int] = {}
        self._prepared = False
        self._unclean = False

    # what there is to do

    def changed(self, ids: list[str]) -> None:
        for id_ in ids:
            self.todo[id_] = None

    def forget(self, id_: str, created_at: str | None, done: Done) -> None:
        self._drop(id_)
        self.todo.pop(id_, None)
        self._doomed.append((id_, created_at, done))

    @property
    def idle(self) -> bool:
        return self._prepared and not (self.todo or self._doomed or self._unclean)

    def work(self) -> None:
        """One piece of it."""
        try:
            if not self._prepared:
                self._prepare()
            elif self._doomed or self._unclean:
                self._forget()
            elif self.todo:
                id_ = next(iter(self.todo))
                if self._advance(id_):
                    # The others have their turn.
                    self.todo.move_to_end(id_)
                else:
                    self.todo.pop(id_, None)
        except Corrupt as error:
            self._begin_anew(error)
        except Unavailable:
            # Whoever waits for something to be gone is not to wait for the store.
            doomed, self._doomed = self._doomed, [(id_, at, lambda _: None) for id_, at, _ in self._doomed]
            _tell(doomed, False)
            raise

    def _prepare(self) -> None:
        self._files.make()
        self.database.prepare()
        self._known = self.database.known()
        self.read |= {id_: known.place.file for id_, known in self._known.items()}
        there = {path.name for path in self._folder.iterdir() if not path.name.startswith("~")}
        for id_, known in self._known.items():
            if id_ not in there:
                self._doomed.append((id_, known.created_at, lambda _: None))
        for id_ in sorted(there):
            if id_ not in self._known or not is_level(self._folder / id_, self._known[id_]):
                self.todo[id_] = None
        self._prepared = True

    def _begin_anew(self, error: Corrupt) -> None:
        """The journals have everything that is new, and much of what is old."""
        self.database.close()
        where = self._files.set_aside()
        if where is None:
            raise Unavailable(str(error))
        log.error("the store is broken (%s): it was set aside as %s and is made anew from the journals", error, where)
        for id_ in [*self._followers]:
            self._drop(id_)
        self._prepared = False

    # journals

    def _advance(self, id_: str) -> bool:
        """Whether there may be more."""
        try:
            follower = self._follow(id_)
            changes = follower.advance(STEP_BYTES)
            if changes is None:
                if not follower.begun and not (self._folder / id_).exists():
                    self._gone(id_)
                return False
            follower.written(self.database.write(id_, follower.known, changes))
        except (Replaced, Overtaken) as error:
            self._drop(id_)
            if isinstance(error, Replaced):
                # The id was given to a new session, while nobody was there to hear of it.
                self.database.forget(id_)
                self._unclean = True
            self._known.pop(id_, None)
            self._known |= self.database.known(id_)
            return True
        except OSError as error:
            log.error("the journal of session %s cannot be read: %s", id_, error)
            self._drop(id_)
            return False
        assert follower.known is not None
        self._known[id_] = follower.known
        self.read[id_] = follower.known.place.file
        return True

    def _follow(self, id_: str) -> Follower:
        if (follower := self._followers.get(id_)) is None:
            follower = self._followers[id_] = Follower(self._folder / id_, self._output_bytes, self._known.get(id_))
        self._followers.move_to_end(id_)
        while len(self._followers) > 1 and (len(self._followers) > MOST_FOLLOWED or self._cost > MOST_BYTES):
            self._drop(next(iter(self._followers)))
        return follower

    @property
    def _cost(self) -> int:
        return sum(follower.cost for follower in self._followers.values())

    def _drop(self, id_: str) -> None:
        if (follower := self._followers.pop(id_, None)) is not None:
            follower.close()

    # deletion

    def _gone(self, id_: str) -> None:
        self._drop(id_)
        if id_ in self._known:
            self._doomed.append((id_, self._known[id_].created_at, lambda _: None))

    def _forget(self) -> None:
        """Of all that are to go; and of the files whatever the database leaves in them."""
        for id_, created_at, _ in self._doomed:
            self._unclean |= self.database.forget(id_, created_at)
            self._known.pop(id_, None)
        self._files.clean(self.database.engine)
        self._unclean = False
        doomed, self._doomed = self._doomed, []
        _tell(doomed, True)

    # questions

    def page(self, session: str, limit: int, before: str | None, search: str, most_s: float) -> queries.Page:
        """See `queries.page`. Also raises NotThere."""
        engine = self.database.engine

        def find(key: int | None) -> queries.Page:
            if key is None:
                return queries.Page([], False)
            return queries.page(engine, key, limit, before, search, most_s)

        return self._ask(session, most_s, find)

    def one(self, session: str, id_: str, most_s: float) -> tuple[bytes, tuple[int, int]]:
        """Raises NotThere."""

        def find(key: int | None) -> tuple[bytes, tuple[int, int]]:
            if key is None:
                raise queries.NotThere
            return queries.one(self.database.engine, key, id_)

        return self._ask(session, most_s, find)

    def _ask(self, session: str, most_s: float, find: Callable[[int | None], Answer]) -> Answer:
        try:
            return find(self._level(session, most_s))
        except Corrupt as error:
            self._begin_anew(error)
            return find(self._level(session, most_s))

    def _level(self, session: str, most_s: float) -> int | None:
        """Brings it level first: nobody is to see the store behind what they were told. Returns the session's key."""
        while not self._prepared:
            self.work()
        for _ in _until(time.monotonic() + most_s):
            if not self._advance(session):
                break
        else:
            raise Unavailable("The store is still reading this session's journal.")
        known = self._known.get(session)
        return known.key if known is not None else None


def _until(end: float) -> Iterator[None]:
    while time.monotonic() < end:
        yield


def _tell(doomed: list[tuple[str, str | None, Done]], gone: bool) -> None:
    for _, _, done in doomed:
        done(gone)


def worker_of(options: dict[str, Any]) -> Worker:
    """From what the gateway says first. Raises Unavailable."""
    sizes = options["history_bytes"], options["output_bytes"]
    return Worker(options["url"], options["house"], Path(options["folder"]), *sizes)
