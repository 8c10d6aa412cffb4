"""Waker: wait until another process wrote something: NOTIFY on PostgreSQL, SQLite's own change counter, on MySQL a query.

A look at the counter costs a few microseconds, a query as much as the way to the server and back. They come every 2 ms at first and
every 50 ms when nothing happens for long (decisions K25).
"""

from __future__ import annotations

import os
import sqlite3
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ..hesitation import Hesitation
from ..readable import readable
from .dialect import dialect_of
from .engine import unavailable, unreachable
from .step import Tell

SHORTEST_SECONDS, LONGEST_SECONDS = 0.002, 0.05
STALE_SECONDS = 30.0
"""A connection that was not used for so long may have been closed by the server."""

Look = Callable[[Connection], bool]
"""A cheap query: is there what is waited for? It needs no transaction."""


class Waker(Protocol):
    """Waits for a change in the database. Not thread-safe. After Unavailable it is of no use any more, and must be closed."""

    def wait(
        self, timeout: float, wakers: Sequence[int], look: Look, hesitation: Hesitation | None = None
    ) -> list[str]:
        """Wait for a change, for one of the file descriptors `wakers`, or for `timeout` seconds; returns what was told, if anything.

        `look` is for databases that tell nothing by themselves: only what it sees is a change there. It is also for who hesitates after something
        was told, which is no reason to return if it is not seen. Raises Unavailable.
        """
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


def wake_takers(connection: Connection) -> None:
    """There may be a message to take once this transaction is committed."""
    dialect_of(connection).write(connection, [Tell("bb_message", [""])])


def open_waker(engine: Engine, channel: str) -> Waker:
    """A waker for this database; `channel` is a NOTIFY channel."""
    match engine.dialect.name:
        case "postgresql":
            return PostgresWaker(engine, channel)
        case "sqlite":
            return SqliteWaker(engine)
        case _:
            return LookingWaker(engine)


def _own_connection(engine: Engine) -> Any:
    """One that is not the pool's: it listens and commits by itself, so nobody else may get it, and a thread keeps it for long."""
    assert engine.dialect.loaded_dbapi is not None
    try:
        pooled = engine.raw_connection()
    except (engine.dialect.loaded_dbapi.Error, PoolTimeout) as error:
        raise unreachable(error) from error
    connection: Any = pooled.driver_connection
    pooled.detach()
    return connection


def _own_looks(waker: object, engine: Engine) -> tuple[Connection, weakref.finalize[..., Any]]:
    """One of its own for looks outside transactions, and what closes it."""
    connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    connection.detach()  # as above
    # not SQLAlchemy's `close`, which would first ask a server that may be gone
    return connection, _closing(waker, connection.connection.dbapi_connection)


def _closing(waker: object, connection: Any) -> weakref.finalize[..., Any]:
    """Closes the connection when nobody has the waker any more; only here: a fork would end the session of its parent."""
    return weakref.finalize(waker, _close_in, os.getpid(), connection)


def _close_in(pid: int, connection: Any) -> None:
    if os.getpid() == pid:
        connection.close()


class PostgresWaker:
    """LISTEN on a connection of its own."""

    def __init__(self, engine: Engine, channel: str) -> None:
        with unavailable():
            self._connection, self._finish = _own_looks(self, engine)
            self._connection.exec_driver_sql(f"LISTEN {channel}")
        self._driver: Any = self._connection.connection.dbapi_connection
        assert engine.dialect.loaded_dbapi is not None
        self._errors: tuple[type[Exception], ...] = (engine.dialect.loaded_dbapi.Error, OSError)

    def wait(
        self, timeout: float, wakers: Sequence[int], look: Look, hesitation: Hesitation | None = None
    ) -> list[str]:
        deadline = time.monotonic() + timeout
        while True:
            told = self._told(deadline - time.monotonic(), wakers)
            if not told or hesitation is None:
                return told
            if not hesitation.is_wary:
                hesitation.told()
                return told
            if readable(wakers, min(hesitation.seconds, deadline - time.monotonic())):
                return told
            with unavailable():
                if look(self._connection):
                    hesitation.saw()
                    return told

    def _told(self, seconds: float, wakers: Sequence[int]) -> list[str]:
        try:
            told = self._drain()
            if not told:
                readable([self._driver.fileno(), *wakers], seconds)
                told = self._drain()
        except self._errors as error:
            raise unreachable(error) from error
        return told

    def _drain(self) -> list[str]:
        return [notice.payload for notice in self._driver.notifies(timeout=0)]

    def close(self) -> None:
        self._finish()


class SqliteWaker:
    """`PRAGMA data_version` changes when another connection commits."""

    def __init__(self, engine: Engine) -> None:
        self._connection = _own_connection(engine)
        self._finish = _closing(self, self._connection)
        self._version = self._look()
        self._interval = SHORTEST_SECONDS

    def wait(
        self,
        timeout: float,
        wakers: Sequence[int],
        look: Look,  # noqa: ARG002 - not needed
        hesitation: Hesitation | None = None,  # noqa: ARG002 - not needed
    ) -> list[str]:
        deadline = time.monotonic() + timeout
        while True:
            version = self._look()
            if version != self._version:
                self._version, self._interval = version, SHORTEST_SECONDS
                return []
            left = deadline - time.monotonic()
            if left <= 0 or readable(wakers, min(left, self._interval)):
                return []
            self._interval = min(self._interval * 1.2, LONGEST_SECONDS)

    def _look(self) -> int:
        try:
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error as error:
            raise unreachable(error) from error

    def close(self) -> None:
        self._finish()


class LookingWaker:
    """Asks again and again, on a connection of its own outside transactions."""

    def __init__(
        self, engine: Engine, shortest: float = SHORTEST_SECONDS, longest: float = LONGEST_SECONDS
    ) -> None:
        self._engine = engine
        self._shortest, self._longest = shortest, longest
        self._interval = shortest
        self._used_at = 0.0
        self._opened: Connection | None = None

    def wait(
        self,
        timeout: float,
        wakers: Sequence[int],
        look: Look,
        hesitation: Hesitation | None = None,  # noqa: ARG002 - the others look at other times
    ) -> list[str]:
        deadline = time.monotonic() + timeout
        connection = self._connection()
        while True:
            with unavailable():
                found = look(connection)
            self._used_at = time.monotonic()
            if found:
                self._interval = self._shortest
                return []
            left = deadline - self._used_at
            if left <= 0 or readable(wakers, min(left, self._interval)):
                return []
            self._interval = min(self._interval * 1.2, self._longest)

    def _connection(self) -> Connection:
        if time.monotonic() - self._used_at > STALE_SECONDS:
            self.close()
        if self._opened is None:
            with unavailable():
                self._opened, self._finish = _own_looks(self, self._engine)
        return self._opened

    def close(self) -> None:
        if self._opened is not None:
            self._opened = None
            self._finish()
