"""Every database becomes what the tables say, from whichever step it was left at."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_mock_engine

from kernelgw.store.engine import MIGRATIONS, Unavailable, make_engine, migrate
from kernelgw.store.tables import metadata

VERSIONS = MIGRATIONS / "versions"


def steps() -> list[str]:
    """Oldest first."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return [each.revision for each in ScriptDirectory.from_config(config).walk_revisions()][::-1]


def differences(engine: Engine) -> list[object]:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, metadata))


@pytest.mark.parametrize("start", ["empty", *steps()])
def test_what_the_steps_make_is_what_the_tables_say(tmp_path: Path, start: str) -> None:
    engine = make_engine(f"sqlite:///{tmp_path}/db")
    if start != "empty":
        migrate(engine, start)
    migrate(engine)
    assert differences(engine) == []
    # And once more changes nothing.
    migrate(engine)
    engine.dispose()


def test_steps_follow_one_another_and_are_named_so() -> None:
    files = sorted(path.stem for path in VERSIONS.glob("v*.py"))
    assert [re.match(r"v(\d{4})_[a-z_]+$", name)[1] for name in files] == steps()  # type: ignore[index]
    assert steps() == [f"{number:04d}" for number in range(1, len(steps()) + 1)]


def test_a_database_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path}/db")
    migrate(engine)
    with engine.connect() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    with pytest.raises(Unavailable, match="made by another version"):
        migrate(engine)
    engine.dispose()


def test_postgresql_can_have_the_same_tables() -> None:
    made: list[str] = []
    engine = create_mock_engine("postgresql+psycopg://", lambda text, *_: made.append(str(text)))
    metadata.create_all(engine, checkfirst=False)
    assert len(made) == len(metadata.tables) + sum(len(table.indexes) for table in metadata.tables.values())
