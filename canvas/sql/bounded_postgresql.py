"""Connections to PostgreSQL that do not wait for ever, and sessions that keep nobody waiting for ever.

A server may acknowledge what it receives and answer nothing: a stopped virtual machine behind a proxy, a disk that hangs. TCP's
own limits see nothing wrong then, and libpq has none for an answer. Who asks would wait in its loop, deaf to SIGTERM, so each
wait for the server has a bound here.

The other way round a client may freeze, or its host be gone, while its transaction holds rows: the server is told to end such a session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from psycopg import Connection, OperationalError
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection as SqlConnection
from sqlalchemy import Engine, event

RV = TypeVar("RV")
_POOLED = "backbeat.pooled"


def bound_answers(engine: Engine, seconds: float) -> None:
    """The connections of this engine raise OperationalError when the server takes longer than `seconds` to answer one request."""

    class BoundedConnection(Connection[Any]):
        def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
            try:
                return super().wait(gen, interval, seconds if timeout is None else timeout)
            except OperationalError:
                if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                    self.pgconn.finish()  # the answer may come yet, and would be taken for that to the next request
                raise

    def connect(
        _dialect: object, _record: object, args: Sequence[Any], named: dict[str, Any]
    ) -> Connection[Any]:
        return BoundedConnection.connect(*args, **named)

    event.listen(engine, "do_connect", connect)


def bound_sessions(
    engine: Engine, *, lock_seconds: float, idle_seconds: float, statement_seconds: float
) -> None:
    """The server ends a session that idles inside a transaction, and a statement that waits for a lock or runs for longer than that.

    `statement_seconds` is meant to be less than what `bound_answers` allows: then a server that is well ends it, and says so.
    """
    settings = {
        "idle_in_transaction_session_timeout": round(idle_seconds * 1000),
        "lock_timeout": round(lock_seconds * 1000),
        "statement_timeout": round(statement_seconds * 1000),
    }

    def prepare(connection: Any, record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            if cursor.fetchone()[0] != connection.info.backend_pid:
                # A pooler answered the connect. It may give each transaction to another session, which other programs use
                # too: nothing may stay in one, neither settings nor prepared statements.
                record.info[_POOLED] = True
                connection.prepare_threshold = None
            else:
                _set(cursor.execute, settings, "SET")
        connection.commit()

    def begin(conn: SqlConnection) -> None:
        if conn.info.get(_POOLED):
            _set(conn.exec_driver_sql, settings, "SET LOCAL")

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", begin)


def _set(execute: Any, settings: Mapping[str, int], word: str) -> None:
    for name, value in settings.items():
        execute(f"{word} {name} = {value}")
