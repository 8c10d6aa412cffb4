"""The implementations of the Commit seam, each with a store of its own, for the suites that run over all of them."""

from __future__ import annotations

import time
from collections.abc import Callable

from backbeat.canvas.clock import FakeClock
from backbeat.canvas.commit.base import Commit, Limits
from backbeat.canvas.commit.memory import MemoryCommit, MemoryResults, MemoryStore
from backbeat.canvas.commit.sql import SqlCommit
from backbeat.canvas.results.base import Results
from backbeat.canvas.results.sql import SqlResults
from backbeat.canvas.sql.tables import metadata
from sqlalchemy import Engine
from support.flow_world import QUEUES

PATIENT = Limits(max_lost=1_000)
"""The harness kills more workers than any task may take with it."""
HASTY = Limits(max_lost=1_000, lease_seconds=0.06)
"""For stores whose clock cannot be moved."""


class MemoryBackend:
    name = "memory"

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore(self.clock)

    def open(self, worker: str, crash: Callable[[str], None]) -> Commit:
        return MemoryCommit(self.store, worker=worker, queues=QUEUES, limits=PATIENT)

    def results(self) -> Results:
        return MemoryResults(self.store)

    def now_us(self) -> int:
        return self.clock.now_us()

    def pass_lease(self) -> None:
        self.clock.advance(61)

    def clear(self) -> None:
        self.store.state = type(self.store.state)()

    def close(self) -> None:
        pass


class SqlBackend:
    """A database of its own: a SQLite file, or a new database on the PostgreSQL server."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def open(self, worker: str, crash: Callable[[str], None]) -> Commit:
        return SqlCommit(self._engine, worker=worker, queues=QUEUES, limits=HASTY)

    def results(self) -> Results:
        return SqlResults(self._engine)

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def pass_lease(self) -> None:
        """Until what the dead held is visible again; the database's clock cannot be moved."""
        time.sleep(HASTY.lease_seconds * 1.1)

    def clear(self) -> None:
        with self._engine.begin() as connection:
            for table in metadata.sorted_tables:
                connection.execute(table.delete())

    def close(self) -> None:
        self._engine.dispose()
