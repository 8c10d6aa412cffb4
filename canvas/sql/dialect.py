"""Dialect: what the databases do differently, in one place: their clocks, upserts, what a statement returns, who wakes whom.

Everything happens in the caller's transaction. Statements that are the same everywhere stand where they are used.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, Protocol

from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    Executable,
    Row,
    Table,
    Update,
    bindparam,
    func,
    literal,
    literal_column,
    select,
    text,
    union_all,
    update,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite

from ..priority import urgency_of
from .tables import message_table

Values = Mapping[str, Any]

BY_KEY = "FORCE INDEX (PRIMARY)"
"""A hint for MySQL: a search that goes another way locks rows that are not wanted, out of their order."""

FROZEN_MS = 1000
"""After it PostgreSQL ends an announcement whose process is frozen: shorter than any lease that matters."""


class Dialect(Protocol):
    """One kind of database. It keeps nothing."""

    def clock(self) -> ColumnElement[int]:
        """The database's time in microseconds whenever a statement runs, in a form that an index can be searched by."""
        ...

    def now_us(self, connection: Connection) -> int:
        """The same, now."""
        ...

    def insert_missing(self, table: Table) -> Executable:
        """An INSERT that passes over rows whose primary key is there, and hides no other error."""
        ...

    def overwrite(self, table: Table, names: tuple[str, ...]) -> Executable:
        """An INSERT of these columns that puts them into the row whose primary key is there."""
        ...

    def hold(self, connection: Connection, ready: ReadyMessages, hold: Values) -> Sequence[Row[Any]]:
        """Write `hold` into the messages that are ready, and that nobody else is about to hold; returns their seq, queue and body.

        `hold_ready` does so for several queues.
        """
        ...

    def add_held(self, connection: Connection, rows: Sequence[Values]) -> Sequence[Row[Any]]:
        """Write messages; returns seq, holder and body of those that are held; perhaps of others that the same holder wrote."""
        ...

    def notify(self, connection: Connection, channel: str, payloads: Iterable[str]) -> None:
        """Tell those who listen, once the transaction is committed; where the database does such a thing."""
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


def heads(connection: Connection, queues: Sequence[str]) -> dict[str, int]:
    """For each queue that has messages when the first of them is there for whoever asks. Costs the same whatever is in them."""
    if not queues:
        return {}
    return {
        row.queue: row.us for row in connection.execute(_heads_query(tuple(queues))) if row.us is not None
    }


@lru_cache(maxsize=64)
def _heads_query(queues: tuple[str, ...]) -> Executable:
    """Made once, as a worker asks it with each take."""
    table = message_table.c
    # one by one: together they would be searched from end to end
    firsts = [
        select(literal(queue).label("queue"), func.min(table.visible_us).label("us")).where(
            table.queue == queue
        )
        for queue in queues
    ]
    return union_all(*firsts)


class ReadyMessages(Struct, frozen=True):
    """The first `limit` messages of a queue whose time has come: those that came first."""

    queue: str
    now_us: int
    limit: int

    def query(self, *columns: ColumnElement[Any]) -> Any:
        """A query for these columns of those that are free, which locks them."""
        table = message_table.c
        query = select(*columns).where(table.queue == self.queue, table.visible_us <= self.now_us)
        query = query.order_by(table.visible_us, table.seq).limit(self.limit)
        return query.with_for_update(skip_locked=True)


def hold_ready(
    connection: Connection, queues: Sequence[str], now_us: int, limit: int, hold: Values
) -> Sequence[Row[Any]]:
    """Dialect.hold for several queues: one by one, the most urgent lanes first, and of these that with the oldest message.

    `queues` are lanes in the order of their urgency.

    A query over several would sort all that is ready, however few are wanted; and InnoDB locks all rows that are sorted.
    """
    dialect, found = dialect_of(connection), list[Row[Any]]()
    for queue in _ripe_queues(connection, queues, now_us):
        found.extend(dialect.hold(connection, ReadyMessages(queue, now_us, limit - len(found)), hold))
        if len(found) >= limit:
            break
    return found


def _ripe_queues(connection: Connection, queues: Sequence[str], now_us: int) -> Sequence[str]:
    if len(queues) == 1:
        return queues
    firsts = heads(connection, queues)
    urgencies = [*dict.fromkeys(map(urgency_of, queues))]
    ripe = [queue for queue, us in firsts.items() if us <= now_us]
    return sorted(ripe, key=lambda queue: (urgencies.index(urgency_of(queue)), firsts[queue]))


def _hold(seqs: Any, hold: Values) -> Update:
    return update(message_table).where(message_table.c.seq.in_(seqs)).values(**hold)


class _Returning:
    """Databases where INSERT and UPDATE return rows, and where a conflict is named."""

    insert: Any

    @cache  # noqa: B019 - there is one object of each class
    def insert_missing(self, table: Table) -> Executable:
        statement: Executable = self.insert(table).on_conflict_do_nothing()
        return statement

    @cache  # noqa: B019 - the same
    def overwrite(self, table: Table, names: tuple[str, ...]) -> Executable:
        insert = self.insert(table)
        keys = [column.name for column in table.primary_key]
        values = {name: insert.excluded[name] for name in _others(table, names)}
        statement: Executable = insert.on_conflict_do_update(index_elements=keys, set_=values)
        return statement

    def hold(self, connection: Connection, ready: ReadyMessages, hold: Values) -> Sequence[Row[Any]]:
        table = message_table.c
        holding = _hold(ready.query(table.seq).scalar_subquery(), hold)
        return connection.execute(holding.returning(table.seq, table.queue, table.body)).all()

    def add_held(self, connection: Connection, rows: Sequence[Values]) -> Sequence[Row[Any]]:
        table = message_table.c
        adding = message_table.insert().returning(table.seq, table.holder, table.body)
        return [row for row in connection.execute(adding, list(rows)) if row.holder]

    def end_if_frozen(self, connection: Connection) -> None:
        pass


_NOTIFY = text("SELECT pg_notify(:channel, payload) FROM unnest(CAST(:payloads AS text[])) AS payload")


class _Postgresql(_Returning):
    insert = staticmethod(postgresql.insert)

    def clock(self) -> ColumnElement[int]:
        now = literal_column("(extract(epoch FROM clock_timestamp()) * 1000000)::bigint", BigInteger)
        return select(now).scalar_subquery()  # the function by itself changes from row to row

    def now_us(self, connection: Connection) -> int:
        return _ask_clock(self, connection)

    def notify(self, connection: Connection, channel: str, payloads: Iterable[str]) -> None:
        if texts := list(payloads):
            connection.execute(_NOTIFY, {"channel": channel, "payloads": texts})

    def end_if_frozen(self, connection: Connection) -> None:
        # SET LOCAL is right behind a pooler, too
        connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = {FROZEN_MS}")


class _Sqlite(_Returning):
    insert = staticmethod(sqlite.insert)

    def clock(self) -> ColumnElement[int]:
        """It has the machine's."""
        return bindparam(None, callable_=_machine_us, type_=BigInteger)

    def now_us(self, connection: Connection) -> int:  # noqa: ARG002 - it need not be asked
        return _machine_us()

    def notify(self, connection: Connection, channel: str, payloads: Iterable[str]) -> None:
        pass


class _Mysql:
    """MySQL and MariaDB. What only one of them has is not used."""

    def clock(self) -> ColumnElement[int]:
        # the difference of two times without a zone: no zone of the session enters
        return literal_column(
            "TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))", BigInteger
        )

    def now_us(self, connection: Connection) -> int:
        return _ask_clock(self, connection)

    @cache  # noqa: B019 - there is one object of each class
    def insert_missing(self, table: Table) -> Executable:
        # not INSERT IGNORE, which passes over every error
        first, *_ = table.primary_key
        return mysql.insert(table).on_duplicate_key_update({first.name: first})

    @cache  # noqa: B019 - the same
    def overwrite(self, table: Table, names: tuple[str, ...]) -> Executable:
        insert = mysql.insert(table)
        return insert.on_duplicate_key_update({name: insert.inserted[name] for name in _others(table, names)})

    def hold(self, connection: Connection, ready: ReadyMessages, hold: Values) -> Sequence[Row[Any]]:
        """By the index, as InnoDB locks all rows that it looks at."""
        table = message_table.c
        query = ready.query(table.seq, table.queue, table.body)
        query = query.with_hint(message_table, "FORCE INDEX (bb_message_ready)", "mysql")
        found = connection.execute(query).all()
        if found:
            connection.execute(_hold([row.seq for row in found], hold))
        return found

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

    def notify(self, connection: Connection, channel: str, payloads: Iterable[str]) -> None:
        pass

    def end_if_frozen(self, connection: Connection) -> None:
        pass  # each session has its limit: bounded_mysql.py


def _machine_us() -> int:
    return time.time_ns() // 1000


def _ask_clock(dialect: Dialect, connection: Connection) -> int:
    return int(connection.execute(select(dialect.clock())).scalar_one())


def _others(table: Table, names: Iterable[str]) -> list[str]:
    return [name for name in names if not table.c[name].primary_key]


_DIALECTS: dict[str, Dialect] = {
    "postgresql": _Postgresql(),
    "sqlite": _Sqlite(),
    "mysql": _Mysql(),
}
