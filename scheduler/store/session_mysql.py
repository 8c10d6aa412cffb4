"""MysqlSessions: the leader writes the numbers of its sessions into the lease row, and whoever takes over from a leader that
shows no life kills them, under the same account.

Numbers are not reused while a server runs, and the time when it was started is part of the text.
"""

from __future__ import annotations

import logging
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import SQLAlchemyError

log = logging.getLogger(__name__)

UPTIME_TOLERANCE_SECONDS = 5


class MysqlSessions:
    """The sessions of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._numbers: dict[int, int] = {}
        self._started = 0
        event.listen(engine, "connect", self._opened)
        event.listen(engine, "close", self._closed)
        event.listen(engine, "invalidate", self._closed)

    def mine(self) -> str:
        try:
            # all may have been cut: the next one is the engine's first
            if self._started == 0 or not self._numbers:
                with self._engine.connect() as conn:
                    self._started = _started(conn)
        except SQLAlchemyError:
            return ""
        numbers = ",".join(map(str, sorted(self._numbers.values())))
        return f"{numbers}@{self._started}" if numbers else ""

    def end(self, sessions: str) -> None:
        numbers, _, started = sessions.partition("@")
        if not numbers or not started.isdigit():
            return
        try:
            with self._engine.connect() as conn:
                if abs(_started(conn) - int(started)) > UPTIME_TOLERANCE_SECONDS:
                    return  # the server was restarted since: these numbers are somebody else's now
                for number in numbers.split(","):
                    _kill(conn, int(number))
        except (SQLAlchemyError, ValueError) as cause:
            log.warning(
                "The old leader's sessions were not ended: %s", cause, extra={"action": "sessions_stay"}
            )

    def _opened(self, connection: Any, _record: object) -> None:
        self._numbers[id(connection)] = connection.thread_id()
        self._started = 0  # asked again: the server may be another one

    def _closed(self, connection: Any, *_: object) -> None:
        self._numbers.pop(id(connection), None)


def _started(conn: Connection) -> int:
    """When the server was started, in seconds, by its own clock."""
    now = conn.exec_driver_sql("SELECT UNIX_TIMESTAMP()").scalar_one()
    uptime = conn.exec_driver_sql("SHOW GLOBAL STATUS LIKE 'Uptime'").one()[1]
    return int(now) - int(uptime)


def _kill(conn: Connection, number: int) -> None:
    try:
        conn.exec_driver_sql(f"KILL CONNECTION {number}")
    except SQLAlchemyError:
        return  # it is gone already, or belongs to another account
    log.error("Ended session %d of the frozen leader", number, extra={"action": "frozen_session_ended"})
