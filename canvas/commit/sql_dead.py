"""Dead letters in a SQL database: the table bb_dead. Everything happens in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, select

from ..sql.tables import dead_table
from .dead_letter import DeadLetter, KeptLetter


def bury(connection: Connection, dead: DeadLetter, now_us: int) -> None:
    """Keep it."""
    row = {"at_us": now_us, "task_id": dead.task_id, "reason": dead.reason, "message": dead.raw}
    connection.execute(dead_table.insert(), {**row, "queue": dead.queue})


def newest(connection: Connection, limit: int, before: str) -> list[KeptLetter]:
    """The newest ones; see dead_letter.DeadLetters."""
    query = select(dead_table).order_by(dead_table.c.seq.desc()).limit(limit)
    if before:
        query = query.where(dead_table.c.seq < int(before))
    return [_kept(row) for row in connection.execute(query)]


def find(connection: Connection, key: str) -> KeptLetter | None:
    """The one of this key."""
    row = connection.execute(select(dead_table).where(dead_table.c.seq == _seq(key))).first()
    return None if row is None else _kept(row)


def drop(connection: Connection, keys: Sequence[str]) -> int:
    """Delete them; how many there were."""
    return connection.execute(delete(dead_table).where(dead_table.c.seq.in_(map(_seq, keys)))).rowcount


def _seq(key: str) -> int:
    return int(key) if key.isdecimal() and len(key) < 19 else -1  # noqa: PLR2004 - what fits the column


def _kept(row: Any) -> KeptLetter:
    return KeptLetter(str(row.seq), row.at_us, DeadLetter(row.reason, row.message, row.task_id, row.queue))
