"""Freezing: stop a leader inside its transaction, where it holds the lock on the lease row, or on the whole SQLite file.

On a server the leader is made to wait for the lease row, which we hold; it is stopped, and then its session gets the row. On SQLite it is
stopped at random until one stop finds the file locked.
"""

from __future__ import annotations

import contextlib
import random
import signal
import sqlite3

from sqlalchemy import text

from support.processes import Program, wait_until

from .moment import now_us, wait
from .world import World

TRIES = 2_000
"""Stops at random until one is inside a transaction."""


def freeze(leader: Program, world: World, draw: random.Random, *, patience_seconds: float) -> int | None:
    """Stop `leader` inside its transaction; when that was, or None where it could not be met there."""
    if world.store_kind == "sqlite":
        return _in_file(leader, world, draw)
    return _in_session(leader, world, patience_seconds)


def _in_session(leader: Program, world: World, patience_seconds: float) -> int | None:
    # not innodb_trx: it shows what was so at its last look, if that is less than 0.1 s ago
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        if world.store_kind == "postgres"
        else "SELECT CAST(variable_value AS SIGNED) FROM information_schema.global_status"
        " WHERE variable_name = 'INNODB_ROW_LOCK_CURRENT_WAITS'"
    )
    with world.engine.connect() as holding, world.engine.connect() as looking:
        holding.execute(text("SELECT holder FROM bb_lease FOR UPDATE"))

        def waits() -> bool:
            looking.rollback()
            return bool(looking.execute(text(waiting)).scalar())

        with contextlib.suppress(AssertionError):
            wait_until(waits, patience_seconds)
            begin_us = now_us()
            leader.send(signal.SIGSTOP)
            holding.rollback()
            return begin_us
        holding.rollback()
    return None


def _in_file(leader: Program, world: World, draw: random.Random) -> int | None:
    path = world.engine.url.database
    assert path is not None
    with contextlib.closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        for _ in range(TRIES):
            begin_us = now_us()
            leader.send(signal.SIGSTOP)
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            except sqlite3.OperationalError:
                return begin_us
            leader.send(signal.SIGCONT)
            wait(draw.uniform(0.0, 0.01))
    return None
