"""Version 5: room for what became of tasks: bb_task_run, bb_gap.

Two tables are added that older beats do not know, and do not miss.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic.operations import Operations

# by its full name: Alembic loads this file by its path, where relative names mean nothing
from backbeat.scheduler.store.dialect import mysql_options
from sqlalchemy.dialects.mysql import MEDIUMTEXT

revision = "0005"
down_revision = "0004"

Text = sa.Text().with_variant(MEDIUMTEXT(), "mysql")
NARROWED = ("state", "name", "entry", "worker", "queue", "root", "parent")
"""What lists are narrowed by: each has an index."""


def upgrade(op: Operations) -> None:
    """Add what version 5 has; a crash may have left some of it there."""
    there = set(sa.inspect(op.get_bind()).get_table_names())
    options: dict[str, Any] = {f"mysql_{name}": value for name, value in mysql_options(op.get_bind()).items()}
    if "bb_task_run" not in there:
        _task_run(op, options)
    if "bb_gap" not in there:
        op.create_table(
            "bb_gap",
            sa.Column("from_us", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("to_us", sa.BigInteger, nullable=False),
            sa.Column("reason", sa.String(200), nullable=False),
            **options,
        )


def _task_run(op: Operations, options: dict[str, Any]) -> None:
    named = ("name", "queue", "worker", "entry", "root_id", "parent_id")
    long = ("args", "kwargs", "result", "error", "traceback", "attempts")
    instants = ("due_us", "sent_us", "received_us", "started_us", "ended_us", "look_us")
    narrowed = [
        sa.Index(f"bb_task_run_{name}", name if name not in ("root", "parent") else f"{name}_id", "at_us")
        for name in NARROWED
    ]
    op.create_table(
        "bb_task_run",
        sa.Column("id", sa.String(255), primary_key=True),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        *(sa.Column(name, sa.String(255), nullable=False) for name in named),
        *(sa.Column(name, Text, nullable=False) for name in long),
        sa.Column("is_whole", sa.SmallInteger, nullable=False),
        sa.Column("retries", sa.Integer, nullable=False),
        sa.Column("eta", sa.String(40), nullable=False),
        sa.Column("expires", sa.String(40), nullable=False),
        *(sa.Column(name, sa.BigInteger) for name in instants),
        sa.Column("seconds", sa.Float),
        sa.Index("bb_task_run_at", "at_us", "id"),
        sa.Index("bb_task_run_look", "look_us"),
        *narrowed,
        **options,
    )
