"""Version 4: what somebody outside is to be told of schedules, in a table of its own; nothing else is changed."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic.operations import Operations

# by its full name: Alembic loads this file by its path, where relative names mean nothing
from backbeat.scheduler.store.dialect import mysql_options
from sqlalchemy.dialects.mysql import MEDIUMTEXT

revision = "0004"
down_revision = "0003"

Text = sa.Text().with_variant(MEDIUMTEXT(), "mysql")


def upgrade(op: Operations) -> None:
    """Add what version 4 has; a crash may have left it there."""
    if "bb_webhook" in sa.inspect(op.get_bind()).get_table_names():
        return
    options: dict[str, Any] = {f"mysql_{name}": value for name, value in mysql_options(op.get_bind()).items()}
    op.create_table(
        "bb_webhook",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("event", sa.String(20), nullable=False),
        sa.Column("entry", sa.String(120), nullable=False),
        sa.Column("url", Text, nullable=False),
        sa.Column("body", Text, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("next_us", sa.BigInteger, nullable=False),
        sa.Column("error", Text, nullable=False),
        sa.Index("bb_webhook_state", "state", "next_us"),
        **options,
    )
