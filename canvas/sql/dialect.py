"""Dialect: what the databases do differently, in one place: their clocks, upserts, what a statement returns, who wakes whom.

Each kind has a file of its own. Everything happens in the caller's transaction. Statements that are the same everywhere stand where they are used.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol

from sqlalchemy import Column, ColumnElement, Connection, Engine, Row, Select, Table

from .mysql import Mysql
from .postgresql import Postgresql
from .ready import Values
from .sqlite import Sqlite
from .step import Step


class Dialect(Protocol):
    """One kind of database. It keeps nothing."""

    def clock(self) -> ColumnElement[int]:
        """The database's time in microseconds whenever a statement runs, in a form that an index can be searched by."""
        ...

    def now_us(self, connection: Connection) -> int:
        """The same, now."""
        ...

    def write(self, connection: Connection, steps: Sequence[Step]) -> None:
        """Do these, in any order; no two of them are about the same row. Those without rows are nothing."""
        ...

    def write_unless(
        self,
        connection: Connection,
        rows: Sequence[Values],
        key: Column[Any],
        guard: Column[Any],
        spared: frozenset[str],
    ) -> None:
        """Write rows of the table of `key`, which is unique; where one has the key, into that, unless its `guard` has one of the values `spared`.

        All rows have the same columns, these two among them. `spared` has a value; there are few such sets.
        """
        ...

    def insert_new(self, connection: Connection, table: Table, rows: Sequence[Values]) -> Collection[Any]:
        """Write rows as `Missing`; returns the primary keys, of one column, of those that it wrote, and perhaps of others that were there in the same words."""
        ...

    def find(
        self, connection: Connection, query: Select[Any], key: Column[Any], keys: Collection[Any]
    ) -> Sequence[Row[Any]]:
        """The rows of one table with these primary keys; a `query` that locks does so in their order. There are few queries, made once."""
        ...

    def find_now(
        self, connection: Connection, query: Select[Any], key: Column[Any], keys: Collection[Any]
    ) -> tuple[int, Sequence[Row[Any]]]:
        """The same; and the database's time in microseconds, by about then."""
        ...

    def hold(
        self, connection: Connection, queues: Sequence[str], now_us: int, limit: int, hold: Values
    ) -> Sequence[Row[Any]]:
        """Write `hold` into messages that are ready, and that nobody else is about to hold; returns their seq, queue and body.

        `queues` are lanes in the order of their urgency: the most urgent ones come first, and of these that with the oldest message.
        """
        ...

    def add_held(self, connection: Connection, rows: Sequence[Values]) -> Sequence[Row[Any]]:
        """Write messages; returns seq, holder and body of those that are held; perhaps of others that the same holder wrote."""
        ...

    def end_if_frozen(self, connection: Connection) -> None:
        """Let the server end this transaction soon if its process is frozen, where it can and does not anyway."""
        ...


def dialect_of(place: Connection | Engine) -> Dialect:
    """The dialect of a connection or an engine; KeyError for a database that our tables cannot be in."""
    return _DIALECTS[family_of(place)]


def family_of(place: Connection | Engine) -> str:
    """The kind of its database. A user's engine may have SQLAlchemy's second name for MySQL."""
    name = place.dialect.name
    return "mysql" if name == "mariadb" else name


_DIALECTS: dict[str, Dialect] = {
    "postgresql": Postgresql(),
    "sqlite": Sqlite(),
    "mysql": Mysql(),
}
