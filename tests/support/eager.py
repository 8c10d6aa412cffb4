"""A whole fleet in the test's own thread: an app on a memory store whose clock stands still, and a worker that runs when told to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backbeat.canvas import App
from backbeat.canvas.clock import FakeClock
from backbeat.canvas.commit.base import Commit
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.commit.memory import MemoryCommit
from backbeat.canvas.commit.memory_results import MemoryResults
from backbeat.canvas.commit.memory_store import MemoryStore
from backbeat.canvas.commit.taken import Taken
from backbeat.canvas.execute import Requeued, execute
from backbeat.canvas.perform import Execute, Performer
from backbeat.canvas.results.base import Results
from msgspec.structs import replace

HOSTNAME = "celery@test"


def connect(app: App, open_client: Callable[[], Commit], open_results: Callable[[], Results]) -> None:
    """Let an app reach these, in place of what its URLs lead to."""
    app._connections._open_client, app._connections._open_results = open_client, open_results
    app._connections.close()


class Fleet:
    """`app` is a real App; `drain` is a worker that takes, runs and commits until there is nothing left to take."""

    def __init__(self, **settings: Any) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore(self.clock)
        self.app = App("proj", broker="memory://", set_as_current=False, **settings)
        connect(self.app, lambda: self.open("client"), lambda: MemoryResults(self.store))
        self.executed: list[str] = []

    def open(self, worker: str, *queues: str, **known: Any) -> MemoryCommit:
        return MemoryCommit(self.store, worker=worker, queues=queues, limits=Limits(), **known)

    def put(self, queue: str, text: str) -> None:
        """Anybody's text, as it lies in a queue."""
        self.store.state.mail.put(queue, text)

    def performer(self, commit: MemoryCommit) -> Performer:
        results = MemoryResults(self.store)
        return Performer(commit, results, now_us=self.clock.now_us, queue_of=self.app.queue_of)

    def drain(self, *queues: str, limit: int = 1_000) -> int:
        """Run what can be run now, from `queues` or from all; returns how many messages were taken."""
        commit = self.open("worker", *(queues or self._queues()))
        performer = self.performer(commit)
        count = 0
        while count < limit and (taken := performer.commit([], take=1)):
            count += 1
            self._work(performer, commit, taken[0])
            if not queues:
                commit = self.open("worker", *self._queues())
                performer = self.performer(commit)
        return count

    def pass_time(self, seconds: float) -> None:
        """Move the clock and run what has come due."""
        self.clock.advance(seconds)
        self.drain()

    def sweep(self) -> None:
        """What every worker does from time to time."""
        commit = self.open("sweeper", *self._queues())
        performer = self.performer(commit)
        for record in commit.sweep():
            performer.settle_interrupted(record)

    def _queues(self) -> list[str]:
        return sorted({*self.store.state.mail.queues(), "celery", "backbeat"})

    def _work(self, performer: Performer, commit: MemoryCommit, taken: Taken) -> None:
        route = performer.route(taken)
        if isinstance(route, Execute):
            message = replace(route.message)
            self.executed.append(message.task)
            try:
                outcome = execute(message, self.app.tasks, HOSTNAME, now_us=self.clock.now_us)
            except Requeued:
                commit.release([taken])
                return
            route = performer.ended(taken, route.message, outcome)
        performer.commit([route])


class Shop(Fleet):
    """A fleet with one task."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)

        @self.app.task(name="add")
        def add(x: Any, y: Any = 0) -> Any:
            return x + y

        self.add = add
