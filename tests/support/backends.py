"""The implementations of the Commit seam, each with a store of its own, for the suites that run over all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from backbeat.canvas.celery_place import GROUP_TABLE, TASK_TABLE, CeleryPlace
from backbeat.canvas.clock import FakeClock
from backbeat.canvas.commit.base import Commit
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.commit.memory import MemoryCommit
from backbeat.canvas.commit.memory_results import MemoryResults
from backbeat.canvas.commit.memory_store import MemoryStore
from backbeat.canvas.commit.redis import RedisCommit
from backbeat.canvas.commit.role import Role
from backbeat.canvas.commit.sql import SqlCommit
from backbeat.canvas.redis_client import open_redis
from backbeat.canvas.results.base import Results
from backbeat.canvas.results.redis import RedisResults
from backbeat.canvas.results.sql import SqlResults
from backbeat.canvas.sql.tables import metadata
from msgspec.structs import replace
from sqlalchemy import Engine

from support.flow_world import QUEUES

PATIENT = Limits(max_lost=1_000)
"""The harness kills more workers than any task may take with it."""
HASTY = Limits(max_lost=1_000, lease_seconds=0.06)
"""For stores whose clock cannot be moved."""


def calm(where: str) -> None:
    """Nobody dies here."""


class MemoryBackend:
    patience_seconds = 0.0
    """How long something may take that happens by itself."""

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.store = MemoryStore(self.clock)

    def open(
        self,
        worker: str,
        crash: Callable[[str], None] = calm,
        *,
        role: Role = Role.WHOLE,
        limits: Limits = PATIENT,
        queues: Sequence[str] = QUEUES,
        **known: Any,
    ) -> Commit:
        return MemoryCommit(self.store, worker=worker, queues=queues, limits=limits, role=role, **known)

    def results(self, *, is_whole: bool = True, **_: Any) -> Results:
        """Results in memory stay, and are not compressed, whatever the rest says."""
        return MemoryResults(self.store, is_whole=is_whole)

    def now_us(self) -> int:
        return self.clock.now_us()

    def pass_lease(self) -> None:
        self.clock.advance(61)

    def clear(self) -> None:
        self.store.state = type(self.store.state)()

    def close(self) -> None:
        pass


class SqlBackend:
    """A database of its own: a SQLite file, or a new database on the PostgreSQL or the MariaDB server."""

    patience_seconds = 60.0

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def open(
        self,
        worker: str,
        crash: Callable[[str], None] = calm,
        *,
        role: Role = Role.WHOLE,
        limits: Limits = HASTY,
        queues: Sequence[str] = QUEUES,
        **known: Any,
    ) -> Commit:
        return SqlCommit(self._engine, worker=worker, queues=queues, limits=limits, role=role, **known)

    def results(self, *, is_whole: bool = True, **known: Any) -> Results:
        return SqlResults(self._engine, is_whole=is_whole, **known)

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


class CelerySqlBackend(SqlBackend):
    """The same with results in Celery's tables, too."""

    def open(self, worker: str, *rest: Any, limits: Limits = HASTY, **known: Any) -> Commit:
        return super().open(worker, *rest, limits=replace(limits, celery=CeleryPlace()), **known)

    def results(self, **known: Any) -> Results:
        return super().results(celery=CeleryPlace(), **known)

    def clear(self) -> None:
        super().clear()
        with self._engine.begin() as connection:
            for name in (TASK_TABLE, GROUP_TABLE):
                connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")


class RedisBackend:
    """Keys with a prefix of their own on a Redis server."""

    patience_seconds = 60.0

    def __init__(self, url: str, prefix: str) -> None:
        self._client = open_redis(url)
        self._prefix = prefix

    def open(
        self,
        worker: str,
        crash: Callable[[str], None] = calm,
        *,
        role: Role = Role.WHOLE,
        limits: Limits = HASTY,
        queues: Sequence[str] = QUEUES,
        **known: Any,
    ) -> Commit:
        known |= {"limits": limits, "role": role, "prefix": self._prefix}
        return RedisCommit(self._client, worker=worker, queues=queues, **known)

    def results(self, *, is_whole: bool = True, **known: Any) -> Results:
        return RedisResults(self._client, prefix=self._prefix, is_whole=is_whole, **known)

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def pass_lease(self) -> None:
        """Until what the dead held is overdue; the server's clock cannot be moved."""
        time.sleep(HASTY.lease_seconds * 1.1)

    def clear(self) -> None:
        for key in self._client.scan_iter(match=f"{self._prefix}*", count=1_000):
            self._client.delete(key)

    def close(self) -> None:
        self.clear()
        self._client.close()
