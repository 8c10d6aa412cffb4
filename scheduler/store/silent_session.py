"""Silent sessions: those of PostgreSQL that hold rows of the store and wait for a client that says nothing more.

A leader that freezes inside a transaction is ended by `idle_in_transaction_session_timeout`; but not if it freezes in the middle of a
pipeline, which is how psycopg executes one statement many times: PostgreSQL takes such a session for a busy one, and no timeout of its own
holds for it. So who meets its locks ends it.
"""

from __future__ import annotations

import logging

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

LOCK_NOT_AVAILABLE = "55P03"
"""What PostgreSQL says where `lock_timeout` is over."""

logger = logging.getLogger(__name__)

_END = text(
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE datname = current_database() AND usename = current_user AND state = 'active'"
    " AND wait_event IN ('ClientRead', 'ClientWrite')"
    " AND state_change < clock_timestamp() - make_interval(secs => :seconds)"
    " AND pid IN (SELECT pid FROM pg_locks WHERE mode IN ('RowExclusiveLock', 'RowShareLock') AND relation IN"
    " (to_regclass('bb_lease'), to_regclass('bb_entry'), to_regclass('bb_batch'), to_regclass('bb_firing')))"
)


def end_silent_sessions(engine: Engine, seconds: float) -> None:
    """End those of this role that have been silent for so long. It raises nothing: whoever was kept waiting tries again in any case."""
    try:
        with engine.begin() as connection:
            ended = connection.execute(_END, {"seconds": seconds}).scalar_one()
    except SQLAlchemyError as error:
        logger.warning("Sessions that hold the store's rows and are silent cannot be ended: %s", error)
        return
    if ended:
        logger.warning(
            "%d sessions held rows of the store and were silent for %.2f s: they were ended", ended, seconds
        )
