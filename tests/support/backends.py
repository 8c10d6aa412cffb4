"""The implementations of the Commit seam, each with a store of its own, for the suites that run over all of them."""

from __future__ import annotations

from collections.abc import Callable

from backbeat.canvas.clock import FakeClock
from backbeat.canvas.commit.base import Commit, Limits
from backbeat.canvas.commit.memory import MemoryCommit, MemoryResults, MemoryStore
from backbeat.canvas.results.base import Results
from support.flow_world import QUEUES

PATIENT = Limits(max_lost=1_000)
"""The harness kills more workers than any task may take with it."""


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

    def close(self) -> None:
        pass
