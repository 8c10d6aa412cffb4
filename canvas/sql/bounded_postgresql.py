"""Connections to PostgreSQL that do not wait for ever.

A server may acknowledge what it receives and answer nothing: a stopped virtual machine behind a proxy, a disk that hangs. TCP's
own limits see nothing wrong then, and libpq has none for an answer. Who asks would wait in its loop, deaf to SIGTERM, so each
wait for the server has a bound here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from psycopg import Connection, OperationalError
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy import Engine, event

RV = TypeVar("RV")


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
