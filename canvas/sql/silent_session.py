"""Silent sessions: those of PostgreSQL that hold rows and wait for a client that says nothing more.

A client that freezes inside a transaction is ended by `idle_in_transaction_session_timeout`; but not if it freezes in the middle of a
pipeline, which is how psycopg executes one statement many times: PostgreSQL takes such a session for a busy one, and no timeout of its own
holds for it. So who meets its locks ends it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, event, text
from sqlalchemy.exc import SQLAlchemyError

_LOCK_NOT_AVAILABLE = "55P03"
"""What PostgreSQL says where `lock_timeout` is over."""

logger = logging.getLogger(__name__)

_END = text(
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE datname = current_database() AND usename = current_user AND state = 'active'"
    " AND wait_event IN ('ClientRead', 'ClientWrite')"
    " AND state_change < clock_timestamp() - make_interval(secs => :seconds)"
    " AND pid IN (SELECT pid FROM pg_locks WHERE mode IN ('RowExclusiveLock', 'RowShareLock')"
    " AND relation IN (SELECT to_regclass(name) FROM unnest(CAST(:tables AS text[])) AS name))"
)


def end_silent_sessions(engine: Engine, tables: Sequence[str], seconds: float) -> None:
    """Whenever a lock was waited for in vain, end those sessions of this role that hold rows of `tables` and were silent for so long.

    That raises nothing: whoever was kept waiting tries again in any case.
    """

    def failed(context: Any) -> None:
        if getattr(context.original_exception, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
            _end(engine, tables, seconds)

    event.listen(engine, "handle_error", failed)


def _end(engine: Engine, tables: Sequence[str], seconds: float) -> None:
    try:
        with engine.begin() as connection:
            ended = connection.execute(_END, {"seconds": seconds, "tables": list(tables)}).scalar_one()
    except SQLAlchemyError as error:
        logger.warning("Sessions that hold rows and are silent cannot be ended: %s", error)
        return
    if ended:
        logger.warning(
            "%d sessions held rows of %s and were silent for %.2f s: they were ended",
            ended,
            ", ".join(tables),
            seconds,
        )
