"""Mysql: how MySQL and MariaDB differ from the other databases; a Dialect. What only one of them has is not used."""

from __future__ import annotations

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
    Select,
    Table,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects import mysql

from .one_by_one import OneByOne, is_spared, others
from .ready import ReadyMessages, Values, hold_each, holding
from .tables import message_table


class Mysql(OneByOne):
    """See dialect.Dialect."""

    def clock(self) -> ColumnElement[int]:
        # the difference of two times without a zone: no zone of the session enters
        return literal_column(
            "TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))", BigInteger
        )

    def now_us(self, connection: Connection) -> int:
        return int(connection.execute(select(self.clock())).scalar_one())

    @cache  # noqa: B019 - there is one object of the class
    def missing(self, table: Table) -> Executable:
        # not INSERT IGNORE, which passes over every error
        first, *_ = table.primary_key
        return mysql.insert(table).on_duplicate_key_update({first.name: first})

    @cache  # noqa: B019 - the same
    def over(self, table: Table, names: tuple[str, ...]) -> Executable:
        insert = mysql.insert(table)
        return insert.on_duplicate_key_update({name: insert.inserted[name] for name in others(table, names)})

    @cache  # noqa: B019 - the same
    def over_unless(
        self, key: Column[Any], guard: Column[Any], spared: frozenset[str], names: tuple[str, ...]
    ) -> Executable:
        insert, stands = mysql.insert(key.table), is_spared(guard, spared)
        # one after the other, each sees what those before it have written: the guard comes last
        ordered = [*(name for name in names if name not in (key.name, guard.name)), guard.name]
        values = [(name, func.if_(stands, key.table.c[name], insert.inserted[name])) for name in ordered]
        return insert.on_duplicate_key_update(values)

    def insert_new(self, connection: Connection, table: Table, rows: Sequence[Values]) -> Collection[Any]:
        """Only MariaDB has INSERT ... RETURNING, so they are read again."""
        connection.execute(self.missing(table), list(rows))
        (key,) = table.primary_key
        keys = [row[key.name] for row in rows]
        there = set(map(tuple, self.find(connection, self.reading(table, tuple(rows[0])), key, keys)))
        return {row[key.name] for row in rows if tuple(row.values()) in there}

    @cache  # noqa: B019 - the same
    def reading(self, table: Table, names: tuple[str, ...]) -> Select[Any]:
        """A locking read, as another one would show what the transaction saw first."""
        return select(*(table.c[name] for name in names)).with_for_update()

    def hold(
        self, connection: Connection, queues: Sequence[str], now_us: int, limit: int, hold: Values
    ) -> Sequence[Row[Any]]:
        """By the index, as InnoDB locks all rows that it looks at."""
        table = message_table.c

        def hold_one(ready: ReadyMessages) -> Sequence[Row[Any]]:
            query = ready.query(table.seq, table.queue, table.body)
            query = query.with_hint(message_table, "FORCE INDEX (bb_message_ready)", "mysql")
            found: Sequence[Row[Any]] = connection.execute(query).all()
            if found:
                connection.execute(holding([row.seq for row in found], hold))
            return found

        return hold_each(connection, queues, now_us, limit, hold_one)

    def add_held(self, connection: Connection, rows: Sequence[Values]) -> Sequence[Row[Any]]:
        """Only MariaDB has INSERT ... RETURNING. They are known by their holder and the end of their lease, which no two batches share."""
        connection.execute(message_table.insert(), list(rows))
        table = message_table.c
        batches = {(row["queue"], row["visible_us"], row["holder"]) for row in rows if row["holder"]}
        found: list[Row[Any]] = []
        for queue, visible_us, holder in batches:
            mine = (table.queue == queue) & (table.visible_us == visible_us) & (table.holder == holder)
            query: Any = select(table.seq, table.holder, table.body).where(mine)
            found.extend(connection.execute(query).all())
        return found

    def end_if_frozen(self, connection: Connection) -> None:
        pass  # each session has its limit: bounded_mysql.py
