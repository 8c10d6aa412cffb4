"""Timekeeping: the clock of the database, and cursors that lie in its future; for SqlStore, inside its transactions."""

from __future__ import annotations

from sqlalchemy import Connection, case, func, select, text

from .tables import Tables

_CLOCKS = {
    "postgresql": "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
    # the difference of two times without a zone: no zone of the session enters
    "mysql": "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))",
}


def database_us(conn: Connection) -> int | None:
    """The server's wall time in microseconds; None for SQLite, which has this machine's."""
    statement = _CLOCKS.get(conn.dialect.name)
    return None if statement is None else int(conn.execute(text(statement)).scalar_one())


def latest_cursor_us(conn: Connection, tables: Tables) -> int:
    """The latest cursor of all entries; 0 when there is none."""
    return int(conn.execute(select(func.max(tables.entry.c.cursor_us))).scalar() or 0)


def rewind(conn: Connection, tables: Tables, now_us: int) -> int:
    """Set cursors that are later than `now_us` back to it; how many. The ledger keeps what was decided from being sent again."""
    entry = tables.entry
    soon = case((entry.c.next_us.is_(None), None), else_=now_us)
    late = entry.update().where(entry.c.cursor_us > now_us).values(cursor_us=now_us, next_us=soon)
    return conn.execute(late).rowcount
