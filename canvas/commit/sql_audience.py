"""The audience of a broadcast in a SQL database: the table bb_audience. Everything happens in the caller's transaction.

A queue whose time is over stays known for a day, as what was on its way may still come to it: it is deleted with the rest.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from ..priority import in_order
from ..sql.dialect import dialect_of
from ..sql.engine import now_us
from ..sql.step import Over
from ..sql.tables import audience_table, message_table
from .limits import ABSENT_KEEP_US


def present(connection: Connection, broadcast: str, queue: str, seconds: float) -> None:
    """See base.Commit."""
    now, table = now_us(connection), audience_table
    row = {"broadcast": broadcast, "queue": queue, "until_us": now + round(seconds * 1_000_000)}
    dialect_of(connection).write(connection, [Over(table, [row])])
    over = (table.c.broadcast == broadcast) & (table.c.until_us <= now)
    absent = connection.execute(select(table.c.queue).where(over)).scalars().all()
    if absent:
        connection.execute(delete(message_table).where(message_table.c.queue.in_(in_order(absent))))
        connection.execute(delete(table).where(over, table.c.until_us <= now - ABSENT_KEEP_US))


def audience(connection: Connection, broadcast: str) -> list[str]:
    """See base.Commit."""
    table = audience_table.c
    there = (table.broadcast == broadcast) & (table.until_us > now_us(connection))
    return list(connection.execute(select(table.queue).where(there).order_by(table.queue)).scalars())
