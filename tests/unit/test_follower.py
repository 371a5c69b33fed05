"""Rows that a journal makes: the same read at once, piece by piece, or again after the reader was lost."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from kernelgw.events.tail import Replaced
from kernelgw.indexer.follower import Follower, is_level
from kernelgw.sessions.execution import Status
from kernelgw.store.database import Database, Overtaken
from kernelgw.store.engine import make_engine
from kernelgw.store.queries import page
from kernelgw.store.rows import Known

from .journals import LIMIT, Writer


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(make_engine(f"sqlite:///{tmp_path}/db"), "here", 128 << 20)
    made.prepare()
    yield made
    made.close()


def follow(database: Database, follower: Follower, most_bytes: int = 1 << 20) -> Known | None:
    """As far as it goes."""
    while (changes := follower.advance(most_bytes)) is not None:
        follower.written(database.write("s", follower.known, changes))
    return follower.known


def stored(database: Database, limit: int = 1000) -> list[Any]:
    (known,) = database.known().values()
    return [orjson.loads(item) for item in page(database.engine, known.key, limit, None, "", 10).items]


def without_outputs(found: list[Any]) -> list[Any]:
    return [{name: value for name, value in each.items() if name != "outputs"} for each in found]


def texts(found: list[Any]) -> list[str]:
    return ["".join(output.get("text", "") for output in each["outputs"]) for each in found]


@pytest.mark.parametrize("most", [1, 1 << 20])
def test_rows_are_what_was_told(tmp_path: Path, database: Database, most: int) -> None:
    writer, follower = Writer(tmp_path / "s"), Follower(tmp_path / "s", LIMIT)
    assert follow(database, follower, most) is not None
    writer.run("1", "a", "b")
    follow(database, follower, most)
    running = writer.begin("2")
    writer.print("so far", running)
    known = follow(database, follower, most)
    assert known is not None
    assert is_level(tmp_path / "s", known)
    # Of what runs there are no outputs: whoever has it running has them.
    assert [each["status"] for each in stored(database)] == ["completed", "running"]
    assert texts(stored(database)) == ["ab", ""]
    writer.print(", and on", running)
    writer.end(running, Status.FAILED)
    assert not is_level(tmp_path / "s", known)
    follow(database, follower, most)
    assert without_outputs(stored(database)) == writer.told
    assert texts(stored(database)) == ["ab", "so far, and on"]


def test_what_comes_late_is_added(tmp_path: Path, database: Database) -> None:
    writer = Writer(tmp_path / "s")
    first = writer.run("1", "a")
    follow(database, Follower(tmp_path / "s", LIMIT))
    writer.run("2")
    writer.print("late", late_execution_id=first.id)
    # By a reader that has to read again what the other one knew.
    (known,) = database.known().values()
    follow(database, Follower(tmp_path / "s", LIMIT, known))
    assert texts(stored(database)) == ["alate", ""]
    assert without_outputs(stored(database)) == writer.told


def test_a_later_cell_changes_what_an_earlier_one_shows(tmp_path: Path, database: Database) -> None:
    writer = Writer(tmp_path / "s")
    first = writer.begin("1")
    writer.event("output.display", first, data={"text/plain": "old"}, metadata={}, display_id="d")
    writer.end(first)
    follow(database, Follower(tmp_path / "s", LIMIT))
    second = writer.begin("2")
    writer.event("output.update", second, data={"text/plain": "new"}, metadata={}, display_id="d")
    writer.end(second)
    (known,) = database.known().values()
    follow(database, Follower(tmp_path / "s", LIMIT, known))
    assert stored(database)[0]["outputs"][0]["data"] == {"text/plain": "new"}


def test_lost_readers_make_no_difference(tmp_path: Path, database: Database) -> None:
    chance = random.Random(1)
    writer = Writer(tmp_path / "s", limit=1 << 20)
    follower = Follower(tmp_path / "s", LIMIT)
    for number in range(200):
        execution = writer.begin(f"cell {number}")
        for _ in range(3):
            writer.print("x" * chance.randrange(3000), execution)
            if chance.random() < 0.2:
                changes = follower.advance(chance.choice((1, 5000, 1 << 20)))
                if changes is not None and chance.random() < 0.7:
                    follower.written(database.write("s", follower.known, changes))
            if chance.random() < 0.05:
                follower = Follower(tmp_path / "s", LIMIT, database.known().get("s"))
        writer.end(execution)
    follow(database, follower)
    assert without_outputs(stored(database)) == writer.told


def test_two_readers_do_not_get_into_each_others_way(tmp_path: Path, database: Database) -> None:
    writer = Writer(tmp_path / "s")
    one, other = Follower(tmp_path / "s", LIMIT), Follower(tmp_path / "s", LIMIT)
    writer.run("1")
    follow(database, one)
    changes = other.advance(1 << 20)
    assert changes is not None
    with pytest.raises(Overtaken):
        database.write("s", other.known, changes)
    assert without_outputs(stored(database)) == writer.told


def test_a_journal_of_another_session_is_not_taken_for_its_own(tmp_path: Path, database: Database) -> None:
    Writer(tmp_path / "s").run("1")
    known = follow(database, Follower(tmp_path / "s", LIMIT))
    (tmp_path / "s").rename(tmp_path / "~gone")
    Writer(tmp_path / "s", "2026-01-05T11:00:00+00:00").run("2")
    with pytest.raises(Replaced):
        Follower(tmp_path / "s", LIMIT, known).advance(1 << 20)


def test_what_the_journal_had_no_longer_is_told(tmp_path: Path, database: Database) -> None:
    writer = Writer(tmp_path / "s", limit=200_000)
    follower = Follower(tmp_path / "s", LIMIT)
    execution = writer.begin("1")
    writer.print("first ", execution)
    follow(database, follower)
    for _ in range(100):
        writer.print("x" * 10_000, execution)
    writer.end(execution)
    follow(database, follower)
    (text,) = texts(stored(database))
    assert text.startswith("first ")
    assert "left out here: the journal did not have them any more" in text
    assert text.endswith("x" * 10_000)


def test_a_large_output_is_stored_in_part_and_says_so(tmp_path: Path, database: Database) -> None:
    writer = Writer(tmp_path / "s")
    writer.run("1", *["x" * 1000] * 100)
    follow(database, Follower(tmp_path / "s", 20_000))
    (text,) = texts(stored(database))
    assert len(text) < 22_000
    assert "bytes of output left out here: the limit is 20,000" in text


def test_a_session_that_wanted_less_has_less(tmp_path: Path, database: Database) -> None:
    wishes = {"limits": {"output_bytes": 20_000}, "env": {"NAME": "secret"}}
    Writer(tmp_path / "s", wishes=wishes).run("1", *["x" * 1000] * 100)
    follow(database, Follower(tmp_path / "s", LIMIT))
    assert "the limit is 20,000" in texts(stored(database))[0]
    with database.engine.connect() as connection:
        wished = orjson.loads(connection.exec_driver_sql("select wishes from sessions").scalar_one())
    # What variables hold is nobody's business.
    assert wished == {**wishes, "env": ["NAME"]}


def test_artifacts_and_ends(tmp_path: Path, database: Database) -> None:
    writer = Writer(tmp_path / "s")
    execution = writer.begin("1")
    made = {"id": "ab" * 32, "name": "plot.png", "type": "image/png", "size": 5, "url": "/v1/…"}
    told = {**made, "created_at": "2026-01-01T00:00:00+00:00", "more": "of a later version"}
    writer.event("artifact.created", execution, **told)
    writer.event("session.state", state="dead", reason="It ran out of memory.")
    writer.end(execution, Status.KILLED)
    follow(database, Follower(tmp_path / "s", LIMIT))
    with database.engine.connect() as connection:
        (artifact,) = connection.exec_driver_sql("select id, name, type, size, url, execution_id from artifacts").all()
        (end,) = connection.exec_driver_sql("select state, reason from ends").all()
        state = connection.exec_driver_sql("select state, reason from sessions").one()
    assert tuple(artifact) == (*made.values(), execution.id)
    assert tuple(end) == tuple(state) == ("dead", "It ran out of memory.")


def test_deleted_artifacts_go_and_may_come_again(tmp_path: Path, database: Database) -> None:
    writer = Writer(tmp_path / "s")
    execution = writer.begin("1")
    follower = Follower(tmp_path / "s", LIMIT)

    def made(id_: str) -> None:
        facts = {"name": "n", "type": "t", "size": 5, "url": "/", "created_at": "2026-01-01T00:00:00+00:00"}
        writer.event("artifact.created", execution, id=id_, **facts)

    def left() -> list[str]:
        writer.journal.flush()
        follow(database, follower)
        with database.engine.connect() as connection:
            return [*connection.exec_driver_sql("select id from artifacts order by seq").scalars()]

    made("a")
    made("b")
    writer.event("artifact.deleted", id="a", reason="asked for")
    assert left() == ["b"]
    writer.event("artifact.deleted", id="b", reason="asked for")
    made("b")
    made("c")
    assert left() == ["b", "c"]
