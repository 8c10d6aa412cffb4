"""A connection to PostgreSQL that does not wait for ever.

A server may acknowledge what it receives and answer nothing: a stopped virtual machine behind a proxy, a disk that hangs. TCP's
own limits see nothing wrong then, and libpq has none for an answer. The leader would wait in its loop, deaf to SIGTERM, so each
wait for the server has a bound here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from psycopg import Connection, OperationalError
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

RV = TypeVar("RV")


def connect_bounded(seconds: float) -> Callable[..., Connection[Any]]:
    """A `psycopg.connect` whose connections raise OperationalError when the server takes longer than `seconds` to answer one request."""

    class BoundedConnection(Connection[Any]):
        def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
            try:
                return super().wait(gen, interval, seconds if timeout is None else timeout)
            except OperationalError:
                if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                    self.pgconn.finish()  # the answer may come yet, and would be taken for that to the next request
                raise

    return BoundedConnection.connect
