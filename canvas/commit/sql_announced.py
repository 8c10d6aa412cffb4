"""Announcements in a SQL database: the table bb_announced. Everything happens in the caller's transaction."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select, update

from ..sql.dialect import dialect_of
from ..sql.engine import now_us
from ..sql.step import Missing
from ..sql.tables import announced_table


def announce(connection: Connection, name: str, value: str, seconds: float) -> str:
    """Keep `value` under `name`, unless another value is kept there; the one that stands. See base.Commit."""
    dialect_of(connection).end_if_frozen(connection)  # it holds the row that the next one needs
    now, table = now_us(connection), announced_table
    until = now + round(seconds * 1_000_000)
    connection.execute(delete(table).where(table.c.name == name, table.c.until_us <= now))
    row = {"name": name, "value": value, "until_us": until}
    dialect_of(connection).write(connection, [Missing(table, [row])])
    mine = (table.c.name == name) & (table.c.value == value)
    connection.execute(update(table).where(mine).values(until_us=until))
    return str(connection.execute(select(table.c.value).where(table.c.name == name)).scalar_one())
