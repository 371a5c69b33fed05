"""Sessions, executions, artifacts, ends."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _key() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _session(table: str) -> tuple[sa.Column[int], sa.ForeignKeyConstraint]:
    constraint = sa.ForeignKeyConstraint(["session"], ["sessions.key"], name=f"fk_{table}_session", ondelete="CASCADE")
    return sa.Column("session", _key(), nullable=False), constraint


def upgrade() -> None:
    _sessions()
    _executions()
    _artifacts()
    _ends()


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("key", _key(), autoincrement=True, nullable=False),
        sa.Column("house", sa.String(64), nullable=False),
        sa.Column("id", sa.String(128), nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("wishes", sa.Text()),
        sa.Column("told", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("place_file", sa.BigInteger(), nullable=False),
        sa.Column("place_offset", sa.BigInteger(), nullable=False),
        sa.Column("place_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_sessions"),
        sa.UniqueConstraint("house", "id", name="uq_sessions_house"),
    )


def _executions() -> None:
    op.create_table(
        "executions",
        *_session("executions"),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(128), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("language", sa.String(128), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("started_at", sa.String(40)),
        sa.Column("duration_s", sa.Float()),
        sa.Column("state_lost", sa.Boolean(), nullable=False),
        sa.Column("execution_count", sa.Integer()),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("outputs", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("session", "number", name="pk_executions"),
        sa.UniqueConstraint("session", "id", name="uq_executions_session"),
    )


def _artifacts() -> None:
    op.create_table(
        "artifacts",
        *_session("artifacts"),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("execution_id", sa.String(128)),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("session", "seq", name="pk_artifacts"),
    )
    op.create_index("ix_artifacts_id", "artifacts", ["id"])


def _ends() -> None:
    op.create_table(
        "ends",
        *_session("ends"),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.PrimaryKeyConstraint("session", "seq", name="pk_ends"),
    )
