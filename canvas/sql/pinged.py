"""Pinged: pooled connections are asked whether they are still there, before they are used, unless they were used just before.

SQLAlchemy's own `pool_pre_ping` asks each time, which is one more way to the server and back for each of the transactions of a busy worker.
One that breaks just then is met by whoever uses it, as one that breaks a moment later.
"""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import InvalidatePoolError

FRESH_SECONDS = 0.1
"""Shorter than any server takes to start again."""
_USED = "backbeat.used"


def ping_before_use(engine: Engine) -> None:
    """Connections of this engine that do not answer are replaced, and with them all that are older."""
    dialect = engine.dialect

    def checkin(_connection: Any, record: Any) -> None:
        record.info[_USED] = time.monotonic()

    def checkout(connection: Any, record: Any, _proxy: Any) -> None:
        used = record.info.get(_USED)
        if used is None or time.monotonic() - used < FRESH_SECONDS:  # or it is new
            return
        assert dialect.loaded_dbapi is not None
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            if not dialect.is_disconnect(error, connection, None):
                raise
            raise InvalidatePoolError from error

    event.listen(engine, "checkin", checkin)
    event.listen(engine, "checkout", checkout)
