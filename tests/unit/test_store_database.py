"""Rows in and out of SQLite: numbers, bounds, pages, searches, deletion; and what its errors are called."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from kernelgw.events.tail import Place
from kernelgw.store.database import Database, Overtaken
from kernelgw.store.engine import Corrupt, Unavailable, make_engine
from kernelgw.store.files import Files
from kernelgw.store.queries import NotThere, one, page
from kernelgw.store.rows import Changes, Known, Row

MOST = 100_000


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = open_database(tmp_path)
    yield made
    made.close()


def open_database(folder: Path, house: str = "here") -> Database:
    made = Database(make_engine(f"sqlite:///{folder}/db"), house, MOST)
    made.prepare()
    return made


def row(id_: str, text: str = "", **given: Any) -> Row:
    facts: Row = {"id": id_, "status": "completed", "language": "python", "error": None, "started_at": "2026"}
    facts |= {"duration_s": 0.5, "state_lost": False, "execution_count": 1}
    outputs = [{"text": text}]
    more = {"code": f"code of {id_}", "outputs": outputs, "summary": facts, "words": text.casefold(), "size": len(text)}
    return {**facts, "first_seq": 1, "last_seq": 2, **more, **given}


def changes(*rows: Row, at: int = 1, fresh: list[str] | None = None) -> Changes:
    ids = [each["id"] for each in rows] if fresh is None else fresh
    return Changes("2026", "idle", None, 1, {}, Place(1, at), at, [*rows], ids)


def ids(database: Database, known: Known, limit: int = 100, before: str | None = None, search: str = "") -> list[str]:
    found = page(database.engine, known.key, limit, before, search, 10)
    return [orjson.loads(item)["id"] for item in found.items]


def test_executions_keep_the_order_in_which_they_were_told_of(database: Database) -> None:
    known = database.write("s", None, changes(row("c"), row("a")))
    # One that waited is told of again, now that it ran.
    known = database.write("s", known, changes(row("b"), row("a"), at=2, fresh=["b"]))
    assert ids(database, known) == ["c", "a", "b"]
    assert database.known() == {"s": known}


def test_pages(database: Database) -> None:
    known = database.write("s", None, changes(*(row(f"e{number}", f"Text {number}%") for number in range(10))))
    assert ids(database, known, 3) == ["e7", "e8", "e9"]
    assert ids(database, known, 3, before="e7") == ["e4", "e5", "e6"]
    assert ids(database, known, 100, before="e3") == ["e0", "e1", "e2"]
    assert ids(database, known, 100, before="e0") == []
    assert ids(database, known, 2, search="TEXT 3%") == ["e3"]
    assert ids(database, known, search="%") == [f"e{number}" for number in range(10)]
    assert ids(database, known, search="text _") == []
    assert ids(database, known, 1, before="e9", search="text") == ["e8"]
    with pytest.raises(NotThere):
        ids(database, known, before="none")
    with pytest.raises(NotThere):
        one(database.engine, known.key, "none")


def test_a_page_says_whether_there_is_more(database: Database) -> None:
    known = database.write("s", None, changes(*(row(f"e{number}") for number in range(4))))
    found = [page(database.engine, known.key, limit, None, "", 10) for limit in (1, 3, 4, 5)]
    assert [(len(each.items), each.more, each.first) for each in found] == [
        (1, True, "e3"),
        (3, True, "e1"),
        (4, False, "e0"),
        (4, False, "e0"),
    ]


@pytest.mark.parametrize("text", ["\0", "a\0b☃\U0001f600", "'\"\\\\%_/", "\r\n\t\x1b[0m"])
def test_any_text_comes_back_as_it_was(database: Database, text: str) -> None:
    known = database.write("s", None, changes(row("a", text, code=text, error={"value": text})))
    item, seqs = one(database.engine, known.key, "a")
    assert orjson.loads(item)["code"] == text
    assert orjson.loads(item)["outputs"] == [{"text": text}]
    assert seqs == (1, 2)
    assert ids(database, known, search=text) == ["a"]


def test_the_oldest_go_when_it_is_too_much(database: Database) -> None:
    known = database.write("s", None, changes(*(row(f"e{number}", "x" * 30_000) for number in range(3))))
    assert ids(database, known) == ["e0", "e1", "e2"]
    known = database.write("s", known, changes(row("e3", "x" * 30_000), at=2))
    assert ids(database, known) == ["e1", "e2", "e3"]
    # One that went is not told of again, whatever happens to it later.
    known = database.write("s", known, changes(row("e0", "y"), at=3, fresh=[]))
    assert ids(database, known) == ["e1", "e2", "e3"]
    known = database.write("s", known, changes(row("e1", "x" * 60_000), at=4, fresh=[]))
    assert ids(database, known) == ["e2", "e3"]
    # The newest stays, however large.
    known = database.write("s", known, changes(row("e4", "x" * 300_000), at=5))
    assert ids(database, known) == ["e4"]
    known = database.write("s", known, changes(row("e5", "x"), at=6))
    assert ids(database, known) == ["e5"]


def test_very_many_small_ones_are_bounded_too(database: Database) -> None:
    known = database.write("s", None, changes(*(row(f"e{number}", "x" * 500) for number in range(1000))))
    assert ids(database, known, 1000) == [f"e{number}" for number in range(800, 1000)]


def test_whoever_knows_less_than_there_is_writes_nothing(database: Database) -> None:
    first = database.write("s", None, changes(row("a")))
    second = database.write("s", first, changes(row("b"), at=2))
    for known in (None, first, Known(99, "2026", Place(1, 2))):
        with pytest.raises(Overtaken):
            database.write("s", known, changes(row("c"), at=3))
    assert ids(database, second) == ["a", "b"]
    database.forget("s")
    with pytest.raises(Overtaken):
        database.write("s", second, changes(row("c"), at=3))


def test_several_gateways_may_share_a_database(database: Database, tmp_path: Path) -> None:
    other = open_database(tmp_path, "elsewhere")
    known = [each.write("s", None, changes(row("a"))) for each in (database, other)]
    assert known[0].key != known[1].key
    assert other.forget("s")
    assert (database.known(), other.known()) == ({"s": known[0]}, {})
    other.close()


def test_only_the_session_that_was_meant_is_forgotten(database: Database) -> None:
    database.write("s", None, changes(row("a")))
    assert not database.forget("s", "another time")
    assert not database.forget("t")
    assert database.forget("s", "2026")
    assert database.known() == {}


def test_what_was_deleted_is_in_no_file(database: Database, tmp_path: Path) -> None:
    canary = "canary"
    known = database.write("s", None, changes(row("a", canary * 20_000, code=canary, words=canary * 20_000)))
    database.write("other", None, changes(row("a", "stays" * 1000)))
    for at in range(2, 9):
        # Also what a longer value left behind.
        known = database.write("s", known, changes(row("a", canary * at * 997, code=canary), at=at, fresh=[]))
    files = [tmp_path / name for name in ("db", "db-wal")]
    assert any(canary.encode() in path.read_bytes() for path in files)
    database.forget("s")
    Files(tmp_path / "db").clean(database.engine)
    assert not [path for path in tmp_path.iterdir() if canary.encode() in path.read_bytes()]
    assert b"stays" in (tmp_path / "db").read_bytes()
    assert (tmp_path / "db-wal").stat().st_size == 0


def test_a_lock_is_told_as_that(database: Database, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match=r"The database says: database is locked\."):
        database.write("s", None, changes(row("a", "secret")))
    assert database.known() == {}
    other.execute("ROLLBACK")
    known = database.write("s", None, changes(row("a")))
    other.execute("BEGIN")
    assert other.execute("SELECT count(*) FROM executions").fetchone() == (1,)
    database.forget("s")
    with pytest.raises(Unavailable, match="Another process reads"):
        Files(tmp_path / "db").clean(database.engine)
    other.close()
    Files(tmp_path / "db").clean(database.engine)
    assert known.place == Place(1, 1)


def test_what_is_no_database_is_told_as_that(tmp_path: Path) -> None:
    (tmp_path / "db").write_bytes(b"not a database at all" * 1000)
    with pytest.raises(Corrupt):
        open_database(tmp_path)
    name = Files(tmp_path / "db").set_aside()
    assert name is not None
    assert (tmp_path / name).read_bytes().startswith(b"not a database")
    open_database(tmp_path).close()


def test_a_long_search_ends(database: Database) -> None:
    rows = [row(f"e{number}", "x" * 90) for number in range(1000)]
    known = database.write("s", None, changes(*rows))
    with pytest.raises(Unavailable, match="interrupted"):
        page(database.engine, known.key, 10, None, "y", -1.0)
    assert ids(database, known, search="y") == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://host/db", "No driver|not mysql"),
        ("sqlite:////no/such/folder/db", "unable to open"),
        ("no url", "cannot be read"),
    ],
)
def test_urls_that_lead_nowhere(url: str, words: str) -> None:
    with pytest.raises(Unavailable, match=words):
        Database(make_engine(url), "here", MOST).prepare()
