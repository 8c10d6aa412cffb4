"""SqlHint: the crash hint of a server: a lock that lives as long as its session, PostgreSQL's advisory lock or GET_LOCK.

Measured: the server frees it 2 to 9 ms after kill -9 (reliability 1.1). It is held and asked for on a connection of its own
that is never inside a transaction; nobody ever waits for it. A pooler in transaction mode gives each statement to any session,
so that the lock would belong to nobody: where that shows, nothing is held, and a warning says so.
"""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

log = logging.getLogger(__name__)

AT_ONCE_SECONDS = 0.5
"""A connection that fails sooner than this had died before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The statements of one kind of server; `%s` is the key."""

    hold: str
    release: str
    holds: str
    """Whether this session has the lock."""
    is_free: str
    session: str


# The transaction-scoped form ends with its own statement, and shared ones do not meet each other: it only asks.
_POSTGRESQL = Dialect(
    hold="SELECT pg_try_advisory_lock(%s)",
    release="SELECT pg_advisory_unlock(%s)",
    holds="SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
    " AND mode = 'ExclusiveLock' AND (classid::bigint << 32 | objid::bigint) = %s)",
    is_free="SELECT pg_try_advisory_xact_lock_shared(%s)",
    session="SELECT pg_backend_pid()",
)
_MYSQL = Dialect(
    hold="SELECT GET_LOCK(%s, 0)",
    release="SELECT RELEASE_LOCK(%s)",
    holds="SELECT IS_USED_LOCK(%s) = CONNECTION_ID()",
    is_free="SELECT IS_FREE_LOCK(%s)",
    session="SELECT CONNECTION_ID()",
)


class SqlHint:
    """Locks of sessions of `engine`, which is this hint's own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sql = _POSTGRESQL if engine.dialect.name == "postgresql" else _MYSQL
        self._conn: Connection | None = None
        self._held: str | None = None
        self._pooled = False

    def hold(self, key: str) -> bool:
        """See Hint. A connection that turns out to be dead is made anew at once: after an outage a leader that has its lease
        back would else have no hint until its next renewal, and be followed by its lease alone."""
        for _ in range(2):
            was_open, begun = self._conn is not None, time.monotonic()
            try:
                return not self._pooled and (self._holds(key) or self._take(key))
            except SQLAlchemyError as cause:
                self._failed(cause)
            if not was_open or time.monotonic() - begun > AT_ONCE_SECONDS:
                break  # the server is away, or answers nothing
        return False

    def is_free(self, key: str) -> bool:
        try:
            return self._ask(self._sql.is_free, key)
        except SQLAlchemyError as cause:
            self._failed(cause)
            return False

    def drop(self) -> None:
        if self._held is None:
            return
        try:
            self._ask(self._sql.release, self._held)
        except SQLAlchemyError as cause:
            self._failed(cause)
        self._held = None

    def close(self) -> None:
        self.drop()
        self._close_connection()
        self._engine.dispose()

    def _holds(self, key: str) -> bool:
        return self._held == key and self._ask(self._sql.holds, key)

    def _take(self, key: str) -> bool:
        if self._held is not None:
            self._close_connection()  # with it goes what it held
        if self._is_pooled():
            self._pooled = True
            log.warning(
                "The store is reached through a pooler that shares its sessions: a leader that crashes is noticed by its"
                " lease alone. Give the beat a direct connection, or one in session mode",
                extra={"action": "hint_off"},
            )
            self._close_connection()
            return False
        self._held = key if self._ask(self._sql.hold, key) else None
        return self._held is not None

    def _ask(self, statement: str, key: str) -> bool:
        answer = self._connection().exec_driver_sql(statement, (self._number(key),)).scalar()
        return bool(answer)

    def _number(self, key: str) -> int | str:
        """PostgreSQL's keys are numbers of 64 bits, MySQL's are names on the whole server."""
        if self._sql is _MYSQL:
            return f"backbeat-{key}"[:64]
        return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big", signed=True)

    def _connection(self) -> Connection:
        if self._conn is None:
            self._conn = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        return self._conn

    def _is_pooled(self) -> bool:
        """Whether sessions are shared: one connection has two, or two connections have one."""
        mine = self._connection()
        first = mine.exec_driver_sql(self._sql.session).scalar()
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            other = conn.exec_driver_sql(self._sql.session).scalar()
            conn.invalidate()
        return other == first or mine.exec_driver_sql(self._sql.session).scalar() != first

    def _failed(self, cause: SQLAlchemyError) -> None:
        log.debug("No answer about the hint: %s", cause, extra={"action": "hint_failed"})
        self._held = None
        self._close_connection()

    def _close_connection(self) -> None:
        conn, self._conn, self._held = self._conn, None, None
        if conn is not None:
            conn.invalidate()
            conn.close()
