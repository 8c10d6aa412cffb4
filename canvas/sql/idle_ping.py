"""Idle ping: a pooled connection is tried before it is used, if it has not been used for a while.

SQLAlchemy's own `pool_pre_ping` tries it each time, which is one more question for each transaction of a busy worker. What dies within that while
is met by the transaction itself, which raises Unavailable, as it does if the server dies in the middle of it.
"""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError

IDLE_SECONDS = 1.0
_USED = "backbeat.used"


def ping_when_idle(engine: Engine, idle_seconds: float = IDLE_SECONDS) -> None:
    """Connections of this engine that idled for longer than that are tried, and replaced if the server does not answer."""

    def used(_connection: object, record: Any) -> None:
        record.info[_USED] = time.monotonic()

    def look(connection: Any, record: Any, _proxy: object) -> None:
        since = record.info.get(_USED)
        if since is None or time.monotonic() - since <= idle_seconds:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise DisconnectionError(str(error)) from error

    event.listen(engine, "connect", used)
    event.listen(engine, "checkin", used)
    event.listen(engine, "checkout", look)
