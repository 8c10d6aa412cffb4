"""Outbox: canvases that a user's transaction wrote into its own database, to be sent by another broker once it has committed.

A row is there if and only if the transaction committed. Its writer sends it at once and deletes it; a relay sends those that are
older than two seconds, as their writer is dead or could not reach the broker. Who sends a row holds it for a lease, by `due_us`, so
that others leave it alone; sending it twice all the same does no harm, as all ids are in it.

The table is the user's to keep (`app.create_outbox`), in SQLite, PostgreSQL or MariaDB; it is near empty, so it needs no index.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    delete,
    inspect,
    select,
    update,
)
from sqlalchemy.dialects.mysql import LONGTEXT
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.schema import CreateTable

from ..errors import ImproperlyConfigured
from ..url_text import error_text
from .engine import ANSWER_SECONDS, now_us, sql_url, unavailable, warn_unless_verified

WRITER_SECONDS = 2.0
"""How long a row is left to its writer (decisions K1)."""
RELAY_SECONDS = 30.0
"""How long a relay has for the rows that it took."""
LONGEST_PAUSE_SECONDS = 300.0
"""The longest time between two tries of a row that the broker refuses."""

_LIMITS: dict[str, dict[str, Any]] = {
    "pysqlite": {"timeout": 5},
    "psycopg": {"connect_timeout": 4},
    "pymysql": {"connect_timeout": 4, "read_timeout": ANSWER_SECONDS, "write_timeout": ANSWER_SECONDS},
}
"""By driver: how long a database may take that is busy, silent or away."""


class Row(Struct, frozen=True):
    """One canvas to be sent. `tries`: how often it was refused."""

    seq: int
    canvas: str
    tries: int


@cache
def outbox_table(name: str) -> Table:
    """The table; `holder` is whoever wrote it or took it last."""
    return Table(
        name,
        MetaData(),
        Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("due_us", BigInteger, nullable=False),
        Column("holder", String(64), nullable=False),
        Column("tries", Integer, nullable=False),
        Column("canvas", Text().with_variant(LONGTEXT, "mysql", "mariadb"), nullable=False),
        mysql_engine="InnoDB",
        mariadb_engine="InnoDB",
    )


def create_outbox(engine: Engine, name: str) -> None:
    """Make the table if it is missing. Of two programs that do so at once, one meets a table that is there."""
    table = outbox_table(name)
    try:
        table.create(engine, checkfirst=True)
    except (IntegrityError, OperationalError, ProgrammingError):
        if not inspect(engine).has_table(name):
            raise


def open_outbox_engine(url: str) -> Engine:
    """An engine for a user's database, of which nothing is changed: of SQLite files neither journal nor locking."""
    try:
        parsed = sql_url(url) or make_url(url)
        if parsed.drivername in ("mysql", "mariadb"):
            parsed = parsed.set(drivername="mysql+pymysql")
        engine = create_engine(
            parsed, pool_pre_ping=True, connect_args=_LIMITS.get(parsed.get_driver_name(), {})
        )
    except (ArgumentError, ModuleNotFoundError, ValueError) as error:
        raise ImproperlyConfigured(
            f"outbox_url does not name a database that can be used: {error_text(error, url)}"
        ) from None
    warn_unless_verified(engine.url)
    if engine.driver == "psycopg":
        from .bounded_postgresql import bound_answers

        bound_answers(engine, ANSWER_SECONDS)
    return engine


def write(connection: Connection, table: Table, canvas: str, holder: str) -> None:
    """Put a canvas into the outbox, in the connection's own transaction."""
    if connection.dialect.name == "sqlite":
        # in this transaction: a second connection would wait for its lock; there it costs nothing when the table is there
        connection.execute(CreateTable(table, if_not_exists=True))
    due_us = now_us(connection) + round(WRITER_SECONDS * 1_000_000)
    connection.execute(
        table.insert().inline(), {"due_us": due_us, "holder": holder, "tries": 0, "canvas": canvas}
    )


class Outbox:
    """The rows of one database, as they have been committed. Raises Unavailable."""

    def __init__(self, engine: Engine, table: Table) -> None:
        self._engine = engine
        self._table = table

    def exists(self) -> bool:
        """Whether there is a table yet."""
        with unavailable():
            return inspect(self._engine).has_table(self._table.name)

    def written_by(self, holder: str) -> list[Row]:
        """What `holder` wrote, if its transaction has committed and nobody else has taken it."""
        with unavailable(), self._engine.connect() as connection:
            return self._held(connection, holder)

    def renew(self, holder: str) -> None:
        """Leave the rows of `holder` to it for a while longer."""
        table = self._table
        with unavailable(), self._engine.begin() as connection:
            until = now_us(connection) + round(WRITER_SECONDS * 1_000_000)
            connection.execute(update(table).where(table.c.holder == holder).values(due_us=until))

    def take_due(self, holder: str, limit: int) -> list[Row]:
        """Up to `limit` rows whose time has come, held for `holder`, which must be a new name each time; oldest first."""
        table = self._table
        with unavailable(), self._engine.connect() as connection:
            now = now_us(connection)
            due = select(table.c.seq).where(table.c.due_us <= now).order_by(table.c.seq).limit(limit)
            seqs = connection.execute(due).scalars().all()
            connection.rollback()
            if not seqs:
                return []
            # a change under a condition: of two relays that saw the same rows one gets each
            until = now + round(RELAY_SECONDS * 1_000_000)
            taking = update(table).where(table.c.seq.in_(seqs), table.c.due_us <= now)
            connection.execute(taking.values(due_us=until, holder=holder))
            connection.commit()
            return self._held(connection, holder)

    def delete(self, rows: Sequence[Row]) -> None:
        """These are sent."""
        if rows:
            with unavailable(), self._engine.begin() as connection:
                seqs = [row.seq for row in rows]
                connection.execute(delete(self._table).where(self._table.c.seq.in_(seqs)))

    def postpone(self, row: Row) -> float:
        """This one was refused: it is tried again after a pause, which grows; returns the pause in seconds."""
        table, pause = self._table, min(LONGEST_PAUSE_SECONDS, 2.0 ** min(row.tries + 1, 16))
        with unavailable(), self._engine.begin() as connection:
            until = now_us(connection) + round(pause * 1_000_000)
            later = update(table).where(table.c.seq == row.seq)
            connection.execute(later.values(due_us=until, tries=row.tries + 1))
        return pause

    def free(self, holder: str) -> None:
        """`holder` could not send what it took: others may, now."""
        table = self._table
        with unavailable(), self._engine.begin() as connection:
            connection.execute(update(table).where(table.c.holder == holder).values(due_us=0))

    def _held(self, connection: Connection, holder: str) -> list[Row]:
        table = self._table
        query = select(table.c.seq, table.c.canvas, table.c.tries).where(table.c.holder == holder)
        return [Row(*row) for row in connection.execute(query.order_by(table.c.seq))]
