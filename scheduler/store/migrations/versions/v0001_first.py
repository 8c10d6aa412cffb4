"""Version 1: lease, entries with their revisions, and the ledger."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic.operations import Operations

# by its full name: Alembic loads this file by its path, where relative names mean nothing
from backbeat.scheduler.store.dialect import mysql_options
from sqlalchemy.dialects.mysql import MEDIUMTEXT

revision = "0001"
down_revision = None

Text = sa.Text().with_variant(MEDIUMTEXT(), "mysql")


def upgrade(op: Operations) -> None:
    """Make the tables of version 1."""
    _registry(op)
    _ledger(op)


def _registry(op: Operations) -> None:
    op.create_table(
        "bb_meta",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("text", Text, nullable=False),
        **_options(op),
    )
    op.create_table(
        "bb_lease",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("holder", sa.String(300), nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("renewal", sa.BigInteger, nullable=False),
        sa.Column("ttl_ms", sa.BigInteger, nullable=False),
        sa.Column("info", Text, nullable=False),
        **_options(op),
    )
    op.create_table(
        "bb_entry",
        sa.Column("name", sa.String(120), primary_key=True),
        sa.Column("rev", sa.Integer, nullable=False),
        sa.Column("cursor_us", sa.BigInteger, nullable=False),
        sa.Column("next_us", sa.BigInteger),
        sa.Column("removed", sa.SmallInteger, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.String(8), nullable=False),
        sa.Column("source", Text, nullable=False),
        sqlite_with_rowid=False,
        **_options(op),
    )
    op.create_index("bb_entry_changed", "bb_entry", ["changed"])
    op.create_table(
        "bb_revision",
        sa.Column("entry", sa.String(120), primary_key=True),
        sa.Column("rev", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("decided_us", sa.BigInteger, nullable=False),
        sa.Column("spec", Text, nullable=False),
        **_options(op),
    )


def _ledger(op: Operations) -> None:
    op.create_table(
        "bb_batch",
        sa.Column("batch_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("from_us", sa.BigInteger, nullable=False),
        sa.Column("to_us", sa.BigInteger, nullable=False),
        sa.Column("decided_us", sa.BigInteger, nullable=False),
        sa.Column("sent_us", sa.BigInteger),
        **_options(op),
    )
    if op.get_bind().dialect.name == "mysql":  # it has no partial indexes
        op.create_index("bb_batch_state", "bb_batch", ["state", "from_us"])
    else:
        is_open = sa.text("state = 1")
        op.create_index(
            "bb_batch_open", "bb_batch", ["from_us"], sqlite_where=is_open, postgresql_where=is_open
        )
    op.create_table(
        "bb_firing",
        sa.Column("due_us", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("entry", sa.String(120), primary_key=True),
        sa.Column("kind", sa.String(8), primary_key=True),
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("task_id", sa.String(36), nullable=False),
        sa.Column("rev", sa.Integer, nullable=False),
        sa.Column("batch_id", sa.BigInteger, nullable=False),
        sa.Column("state", sa.SmallInteger),
        sa.Column("error", Text),
        sqlite_with_rowid=False,
        **_options(op),
    )
    op.create_table(
        "bb_skip",
        sa.Column("from_us", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("entry", sa.String(120), primary_key=True),
        sa.Column("to_us", sa.BigInteger, nullable=False),
        sa.Column("count", sa.BigInteger),
        sa.Column("reason", sa.String(20), nullable=False),
        sa.Column("rev", sa.Integer, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("decided_us", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
        **_options(op),
    )


def _options(op: Operations) -> dict[str, Any]:
    return {f"mysql_{name}": value for name, value in mysql_options(op.get_bind()).items()}
