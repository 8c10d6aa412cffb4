"""Postgresql: how PostgreSQL differs from the other databases; a Dialect.

All that is written is one statement, with one parameter for each column, however many rows there are (array.py): the way to the server and back
is what costs most. And its text stays the same, so that its plan is kept; but that plan may have been made when a table was small, so nothing
is written here in a form by which a whole table could be read, or an index in which there is much that is dead.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import cache
from typing import Any

from msgspec.structs import replace
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Executable,
    Integer,
    Row,
    Select,
    String,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    delete,
    func,
    literal_column,
    select,
    text,
    true,
)
from sqlalchemy.dialects import postgresql

from .array import array_text
from .one_by_one import conflict_unless, drop, others
from .ready import Values, ranks
from .step import Add, Drop, Missing, Over, Step, Tell
from .tables import message_table

FROZEN_MS = 1000
"""After it an announcement whose process is frozen is ended: shorter than any lease that matters."""
ROWS_AT_ONCE = 5_000
"""Of a table in one statement: what takes long is ended by the server (engine.ANSWER_SECONDS)."""
_PLACE: ColumnElement[Any] = literal_column("bb_message.ctid")
"""Where a message is kept: it is found there without any index."""

_Shape = tuple[type[Step], Table | None, tuple[str, ...]]
"""Of a step: all that the text of its statement depends on."""


class Postgresql:
    """See dialect.Dialect."""

    def clock(self) -> ColumnElement[int]:
        now = literal_column("(extract(epoch FROM clock_timestamp()) * 1000000)::bigint", BigInteger)
        return select(now).scalar_subquery()  # the function by itself changes from row to row

    def now_us(self, connection: Connection) -> int:
        return int(connection.execute(_NOW).scalar_one())

    def write(self, connection: Connection, steps: Sequence[Step]) -> None:
        for some in _portions(steps):
            row = connection.execute(_writing(tuple(map(_shape, some))), _all_parameters(some)).one()
            for step, done in zip(some, row, strict=True):
                # one that is renewed at this very moment is not where it was when the statement began
                if isinstance(step, Drop) and done < len(step.seqs):
                    drop(connection, step.holder, step.seqs)

    def write_unless(
        self,
        connection: Connection,
        rows: Sequence[Values],
        key: Column[Any],
        guard: Column[Any],
        spared: frozenset[str],
    ) -> None:
        """Row by row: no text of an array holds bytes or times."""
        connection.execute(_overwriting(key, guard, spared, tuple(rows[0])), list(rows))

    def insert_new(self, connection: Connection, table: Table, rows: Sequence[Values]) -> Collection[Any]:
        return set(connection.execute(_inserting_new(table, tuple(rows[0])), _arrays(rows)).scalars())

    def find(
        self, connection: Connection, query: Select[Any], key: Column[Any], keys: Collection[Any]
    ) -> Sequence[Row[Any]]:
        return connection.execute(_finding(query, key), {"keys": array_text(sorted(keys))}).all()

    def find_now(
        self, connection: Connection, query: Select[Any], key: Column[Any], keys: Collection[Any]
    ) -> tuple[int, Sequence[Row[Any]]]:
        rows = connection.execute(_finding_now(query, key), {"keys": array_text(sorted(keys))}).all()
        # where none is found there is one that has nothing but the time
        return int(rows[0].now_us), [row for row in rows if row.wanted_key is not None]

    def hold(
        self, connection: Connection, queues: Sequence[str], now_us: int, limit: int, hold: Values
    ) -> Sequence[Row[Any]]:
        lanes = {"queues": array_text(queues), "ranks": array_text(ranks(queues))}
        return connection.execute(_HOLDING, {**lanes, "now_us": now_us, "most": limit, **hold}).all()

    def add_held(self, connection: Connection, rows: Sequence[Values]) -> Sequence[Row[Any]]:
        added = connection.execute(_adding_messages(tuple(rows[0])), _arrays(rows))
        return [row for row in added if row.holder]

    def end_if_frozen(self, connection: Connection) -> None:
        # SET LOCAL is right behind a pooler, too
        connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = {FROZEN_MS}")


_NOW = select(Postgresql().clock())
_HOLDING = text("""
UPDATE bb_message SET visible_us = :visible_us, holder = :holder WHERE ctid = ANY (ARRAY(
    SELECT free.place FROM (
        SELECT lane.queue FROM unnest(
            (SELECT CAST(CAST(:queues AS text) AS text[])), (SELECT CAST(CAST(:ranks AS text) AS integer[]))
        ) AS lane (queue, rank)
        CROSS JOIN LATERAL (SELECT min(visible_us) AS us FROM bb_message WHERE queue = lane.queue) AS head
        WHERE head.us <= (SELECT CAST(:now_us AS bigint)) ORDER BY lane.rank, head.us
    ) AS ripe CROSS JOIN LATERAL (
        SELECT ctid AS place FROM bb_message WHERE queue = ripe.queue AND visible_us <= (SELECT CAST(:now_us AS bigint))
        ORDER BY visible_us, seq LIMIT (SELECT CAST(:most AS bigint)) FOR UPDATE SKIP LOCKED
    ) AS free LIMIT (SELECT CAST(:most AS bigint))
)) RETURNING seq, queue, body
""")
"""Lane by lane, as the subquery orders them, and row by row: no more is looked at, and locked, than is wanted. What has changed since the statement
began is not where it was then, and is left to who comes next.
"""


def _array(name: str, type_: Any) -> ColumnElement[Any]:
    """A parameter, as an array; it is a text until the server has it, whatever the driver makes of arrays."""
    array = postgresql.ARRAY(Text if isinstance(type_, String) else type_)
    return _hidden(cast(bindparam(name, type_=Text), array))


def _hidden(value: ColumnElement[Any]) -> ColumnElement[Any]:
    """A value that a plan cannot depend on: else the server may find it worth while to make a plan for each."""
    return select(value).scalar_subquery()


def _arrays(rows: Sequence[Values]) -> dict[str, str]:
    return {name: array_text([row[name] for row in rows]) for name in rows[0]}


def _inserting(table: Table, names: tuple[str, ...], prefix: str = "") -> Any:
    arrays = [_array(prefix + name, table.c[name].type) for name in names]
    rows = func.unnest(*arrays).table_valued(*names, name="new").render_derived()
    columns = select(*(rows.c[name] for name in names))
    return postgresql.insert(table).from_select(list(names), columns, include_defaults=False)


@cache
def _inserting_new(table: Table, names: tuple[str, ...]) -> Executable:
    inserting: Executable = _inserting(table, names).on_conflict_do_nothing().returning(*table.primary_key)
    return inserting


@cache
def _overwriting(
    key: Column[Any], guard: Column[Any], spared: frozenset[str], names: tuple[str, ...]
) -> Executable:
    return conflict_unless(postgresql.insert(key.table), key, guard, spared, names)


@cache
def _adding_messages(names: tuple[str, ...]) -> Executable:
    table = message_table.c
    adding: Executable = _inserting(message_table, names).returning(table.seq, table.holder, table.body)
    return adding


@cache
def _finding(query: Select[Any], key: Column[Any], keys: str = "keys") -> Select[Any]:
    """Key by key, in their order."""
    wanted = func.unnest(_array(keys, key.type)).table_valued("key", name="wanted").render_derived()
    found = query.where(key == wanted.c.key).limit(literal_column("1", Integer)).lateral("found")
    return select(*found.c).select_from(wanted.join(found, true()))


@cache
def _finding_now(query: Select[Any], key: Column[Any]) -> Select[Any]:
    found = _finding(query.add_columns(key.label("wanted_key")), key).subquery("found")
    now = select(Postgresql().clock().label("now_us")).subquery("now")
    return select(now.c.now_us, *found.c).select_from(now.outerjoin(found, true()))


def _dropping(prefix: str) -> Any:
    """By their places. What they are held by is compared in a form that no index serves."""
    is_mine = message_table.c.holder.is_not_distinct_from(_hidden(bindparam(f"{prefix}holder", type_=Text)))
    mine = select(_PLACE.label("place")).where(is_mine).with_for_update()
    places = func.array(_finding(mine, message_table.c.seq, f"{prefix}seqs").scalar_subquery())
    return delete(message_table).where(any_(places) == _PLACE).returning(message_table.c.seq)


# --- steps -----------------------------------------------------------------------------------------------------------------------


@cache
def _writing(shapes: tuple[_Shape, ...]) -> Executable:
    """One statement for steps of these shapes; it returns a number for each: of the messages that were deleted."""
    parts, counts = [], list[ColumnElement[int]]()
    for number, shape in enumerate(shapes):
        prefix = _prefix(number)
        kind, table, names = shape
        if kind is Tell:
            told = func.unnest(_array(f"{prefix}payloads", Text())).table_valued("payload").render_derived()
            telling = func.pg_notify(bindparam(f"{prefix}channel", type_=Text), told.c.payload)
            counts.append(select(func.count(telling)).select_from(told).scalar_subquery())
        elif kind is Drop:
            part = _dropping(prefix).cte(f"step_{number}")
            counts.append(select(func.count()).select_from(part).scalar_subquery())
        else:
            assert table is not None
            parts.append(_upserting(kind, table, names, prefix).cte(f"step_{number}"))
            counts.append(literal_column("0"))
    columns = [count.label(f"done_{number}") for number, count in enumerate(counts)]
    return select(*columns).add_cte(*parts)


def _upserting(kind: type[Step], table: Table, names: tuple[str, ...], prefix: str) -> Any:
    insert = _inserting(table, names, prefix)
    if kind is Missing:
        return insert.on_conflict_do_nothing()
    if kind is Over:
        values = {name: insert.excluded[name] for name in others(table, names)}
        return insert.on_conflict_do_update(index_elements=list(table.primary_key), set_=values)
    return insert


def _portions(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """The steps that are anything, with so many rows at once."""
    first = 0
    while some := [part for step in steps if (part := _part(step, first)) is not None]:
        yield some
        first += ROWS_AT_ONCE


def _part(step: Step, first: int) -> Step | None:
    last = first + ROWS_AT_ONCE
    match step:
        case Add() | Missing() | Over():
            rows = step.rows[first:last]
            return replace(step, rows=rows) if rows else None
        case Drop(_, seqs):
            some = sorted(seqs)[first:last]
            return replace(step, seqs=some) if some else None
        case Tell(_, payloads):
            told = list(payloads)[first:last]
            return replace(step, payloads=told) if told else None


def _all_parameters(steps: Sequence[Step]) -> dict[str, str]:
    return {
        f"{_prefix(number)}{name}": value
        for number, step in enumerate(steps)
        for name, value in _parameters(step).items()
    }


def _prefix(number: int) -> str:
    return f"step_{number}_"


def _shape(step: Step) -> _Shape:
    match step:
        case Add(table, rows) | Missing(table, rows) | Over(table, rows):
            return type(step), table, tuple(rows[0])
        case Drop() | Tell():
            return type(step), None, ()


def _parameters(step: Step) -> dict[str, str]:
    match step:
        case Drop(holder, seqs):
            return {"holder": holder, "seqs": array_text(sorted(seqs))}
        case Tell(channel, payloads):
            return {"channel": channel, "payloads": array_text(payloads)}
        case Add() | Missing() | Over():
            return _arrays(step.rows)
