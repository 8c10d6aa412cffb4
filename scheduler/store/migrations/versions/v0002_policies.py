"""Version 2: room for policies: runs and the newest run of an entry, overrides, backfills, the audit trail.

Everything is added and nothing changed, with defaults: beats of version 1 that still run are not disturbed. Each step looks
whether it was done: on MySQL a table changes outside any transaction, so that a crash may leave half of this.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic.operations import Operations

# by its full name: Alembic loads this file by its path, where relative names mean nothing
from backbeat.scheduler.store.dialect import mysql_options
from sqlalchemy.dialects.mysql import MEDIUMTEXT

revision = "0002"
down_revision = "0001"

Text = sa.Text().with_variant(MEDIUMTEXT(), "mysql")


def upgrade(op: Operations) -> None:
    """Add what version 2 has."""
    _add(op, "bb_entry", sa.Column("runs", sa.BigInteger, nullable=False, server_default="0"))
    _add(op, "bb_entry", sa.Column("latest_id", sa.String(36), nullable=False, server_default=""))
    _add(op, "bb_entry", sa.Column("latest_us", sa.BigInteger, nullable=False, server_default="0"))
    _add(op, "bb_entry", sa.Column("defined", Text))
    _add(op, "bb_entry", sa.Column("override", Text))
    _add(op, "bb_firing", sa.Column("cancels", sa.String(36)))
    _add(op, "bb_skip", sa.Column("detail", Text))
    there = set(sa.inspect(op.get_bind()).get_table_names())
    if "bb_backfill" not in there:
        _backfill(op)
    if "bb_audit" not in there:
        _audit(op)


def _add(op: Operations, table: str, column: sa.Column[object]) -> None:
    if column.name not in {each["name"] for each in sa.inspect(op.get_bind()).get_columns(table)}:
        op.add_column(table, column)


def _backfill(op: Operations) -> None:
    op.create_table(
        "bb_backfill",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("entry", sa.String(120), nullable=False),
        sa.Column("from_us", sa.BigInteger, nullable=False),
        sa.Column("to_us", sa.BigInteger, nullable=False),
        sa.Column("cursor_us", sa.BigInteger, nullable=False),
        sa.Column("rate", sa.Float),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("decided", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("reason", Text, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Index("bb_backfill_state", "state"),
        **_options(op),
    )


def _audit(op: Operations) -> None:
    op.create_table(
        "bb_audit",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("target", sa.String(120), nullable=False),
        sa.Column("detail", Text, nullable=False),
        sa.Index("bb_audit_target", "target", "seq"),
        **_options(op),
    )


def _options(op: Operations) -> dict[str, Any]:
    return {f"mysql_{name}": value for name, value in mysql_options(op.get_bind()).items()}
