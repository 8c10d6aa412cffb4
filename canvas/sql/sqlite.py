"""Sqlite: how SQLite differs from the other databases; a Dialect. It has the machine's clock, and tells nobody anything."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Executable,
    Row,
    Table,
    bindparam,
    select,
)
from sqlalchemy.dialects import sqlite

from .one_by_one import OneByOne, conflict_unless, others
from .ready import ReadyMessages, Values, hold_each, holding
from .tables import message_table


class Sqlite(OneByOne):
    """See dialect.Dialect."""

    def clock(self) -> ColumnElement[int]:
        return bindparam(None, callable_=_machine_us, type_=BigInteger)

    def now_us(self, connection: Connection) -> int:  # noqa: ARG002 - it need not be asked
        return _machine_us()

    @cache  # noqa: B019 - there is one object of the class
    def missing(self, table: Table) -> Executable:
        return sqlite.insert(table).on_conflict_do_nothing()

    @cache  # noqa: B019 - the same
    def over(self, table: Table, names: tuple[str, ...]) -> Executable:
        insert = sqlite.insert(table)
        values = {name: insert.excluded[name] for name in others(table, names)}
        return insert.on_conflict_do_update(index_elements=list(table.primary_key), set_=values)

    @cache  # noqa: B019 - the same
    def over_unless(
        self, key: Column[Any], guard: Column[Any], spared: frozenset[str], names: tuple[str, ...]
    ) -> Executable:
        return conflict_unless(sqlite.insert(key.table), key, guard, spared, names)

    def insert_new(self, connection: Connection, table: Table, rows: Sequence[Values]) -> Collection[Any]:
        """Nobody else writes while this transaction does."""
        (key,) = table.primary_key
        there = set(connection.execute(select(key).where(key.in_([row[key.name] for row in rows]))).scalars())
        new = [row for row in rows if row[key.name] not in there]
        if new:
            connection.execute(table.insert(), new)
        return {row[key.name] for row in new}

    def hold(
        self, connection: Connection, queues: Sequence[str], now_us: int, limit: int, hold: Values
    ) -> Sequence[Row[Any]]:
        table = message_table.c

        def hold_one(ready: ReadyMessages) -> Sequence[Row[Any]]:
            held = holding(ready.query(table.seq).scalar_subquery(), hold)
            return connection.execute(held.returning(table.seq, table.queue, table.body)).all()

        return hold_each(connection, queues, now_us, limit, hold_one)

    def add_held(self, connection: Connection, rows: Sequence[Values]) -> Sequence[Row[Any]]:
        table = message_table.c
        adding = message_table.insert().returning(table.seq, table.holder, table.body)
        return [row for row in connection.execute(adding, list(rows)) if row.holder]

    def end_if_frozen(self, connection: Connection) -> None:
        pass


def _machine_us() -> int:
    return time.time_ns() // 1000
