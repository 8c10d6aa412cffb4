"""Steps one by one, rows as many as the driver sends together: for databases to which a statement costs little, or that have no other way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    Executable,
    Row,
    Select,
    Table,
    bindparam,
    delete,
    literal,
    or_,
)

from .ready import Values
from .step import Add, Drop, Missing, Over, Step, Tell
from .tables import message_table

BY_KEY = "FORCE INDEX (PRIMARY)"
"""A hint for MySQL: a search that goes another way locks rows that are not wanted, out of their order."""
_KEYS: BindParameter[Any] = bindparam("keys", expanding=True)
_DROPPING = delete(message_table).where(
    message_table.c.seq.in_(_KEYS), message_table.c.holder == bindparam("by")
)


class OneByOne(ABC):
    """What dialects have in common that write so; see dialect.Dialect."""

    @abstractmethod
    def now_us(self, connection: Connection) -> int: ...

    @abstractmethod
    def missing(self, table: Table) -> Executable:
        """An INSERT, to be executed with rows, that passes over those whose primary key is there, and hides no other error."""

    @abstractmethod
    def over(self, table: Table, names: tuple[str, ...]) -> Executable:
        """The same, that puts these columns into the row that is there."""

    @abstractmethod
    def over_unless(
        self, key: Column[Any], guard: Column[Any], spared: frozenset[str], names: tuple[str, ...]
    ) -> Executable:
        """The same for the unique column `key`, unless the row that is there is spared."""

    def write(self, connection: Connection, steps: Sequence[Step]) -> None:
        """Nobody can be told anything."""
        for step in steps:
            match step:
                case Add(table, rows) if rows:
                    connection.execute(table.insert(), list(rows))
                case Missing(table, rows) if rows:
                    connection.execute(self.missing(table), list(rows))
                case Over(table, rows) if rows:
                    connection.execute(self.over(table, tuple(rows[0])), list(rows))
                case Drop(holder, seqs) if seqs:
                    drop(connection, holder, seqs)
                case Add() | Missing() | Over() | Drop() | Tell():
                    pass

    def write_unless(
        self,
        connection: Connection,
        rows: Sequence[Values],
        key: Column[Any],
        guard: Column[Any],
        spared: frozenset[str],
    ) -> None:
        connection.execute(self.over_unless(key, guard, spared, tuple(rows[0])), list(rows))

    def find(
        self, connection: Connection, query: Select[Any], key: Column[Any], keys: Collection[Any]
    ) -> Sequence[Row[Any]]:
        return connection.execute(_among(query, key), {"keys": sorted(keys)}).all()

    def find_now(
        self, connection: Connection, query: Select[Any], key: Column[Any], keys: Collection[Any]
    ) -> tuple[int, Sequence[Row[Any]]]:
        return self.now_us(connection), self.find(connection, query, key, keys)


def drop(connection: Connection, holder: str, seqs: Collection[int]) -> None:
    """See step.Drop."""
    connection.execute(_DROPPING, {"by": holder, "keys": sorted(seqs)})


@cache
def _among(query: Select[Any], key: Column[Any]) -> Select[Any]:
    return query.where(key.in_(_KEYS)).order_by(key).with_hint(key.table, BY_KEY, "mysql")


def is_spared(guard: Column[Any], spared: frozenset[str]) -> ColumnElement[bool]:
    """Whether `guard` has one of these values; NULL where it has none. Each is a parameter of its own, as those of many rows cannot expand."""
    return or_(*(guard == literal(each) for each in sorted(spared)))


def conflict_unless(
    insert: Any, key: Column[Any], guard: Column[Any], spared: frozenset[str], names: tuple[str, ...]
) -> Executable:
    """`OneByOne.over_unless` as PostgreSQL and SQLite say it; `insert` is theirs."""
    conflicting: Executable = insert.on_conflict_do_update(
        index_elements=[key],
        set_={name: insert.excluded[name] for name in names if name != key.name},
        where=or_(guard.is_(None), ~is_spared(guard, spared)),
    )
    return conflicting


def others(table: Table, names: Sequence[str]) -> list[str]:
    """Those of these columns that are not of the primary key."""
    return [name for name in names if not table.c[name].primary_key]
