"""Running: the tasks that a worker's pool runs now: what holds them, when their time is over, and what those end with that are killed."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..commit.taken import Taken
from ..killpoint import reach
from ..message import Message
from ..outcome import Failure, Revoked, celery_error
from ..perform import Execute
from ..pools.base import Job, Pool
from ..stamp import stamp_keys
from .task_limits import TaskLimits


@dataclass(slots=True)
class Running:
    """One task that runs, or waits in the pool for that."""

    taken: Taken
    message: Message
    limit: float | None
    """Its hard time limit, in seconds."""
    early: bool
    """It was acknowledged before it ran: it cannot be handed back."""
    fate: Failure | Revoked | None = None
    """What it ends with if it is lost, or had not begun, as it was ended for it."""
    seconds: float = 0.0
    """How long it had run by then."""


class RunningTasks:
    """What `pool` has, and runs or will run next, by the key under which the pool knows it. Used by the worker's thread."""

    def __init__(self, pool: Pool, limits: TaskLimits) -> None:
        self._pool = pool
        self._limits = limits
        self._running: dict[str, Running] = {}
        self._keys = itertools.count()

    def __len__(self) -> int:
        return len(self._running)

    def __iter__(self) -> Iterator[Running]:
        return iter(self._running.values())

    @property
    def busy(self) -> int:
        """How many run now; the others wait in the pool."""
        return sum(self._pool.since(key) is not None for key in self._running)

    def __getitem__(self, key: str) -> Running:
        return self._running[key]

    def items(self) -> Iterator[tuple[str, Running]]:
        """Each with its key."""
        return iter(self._running.items())

    def get(self, key: str) -> Running | None:
        """What has this key, if it still runs."""
        return self._running.get(key)

    def forget(self, key: str) -> None:
        """Its report is dealt with."""
        self._running.pop(key, None)

    def enter(self, executes: Sequence[Execute]) -> list[Job]:
        """The pool has these from now on; returns what is to be submitted for them."""
        jobs = []
        for execute in executes:
            key, delivery = str(next(self._keys)), execute.taken.delivery
            limit = self._limits.hard(execute.message)
            self._running[key] = Running(execute.taken, execute.message, limit, execute.early)
            raw = self._limits.envelope(execute.message, delivery)
            jobs.append(Job(key, raw, delivery.queue, alone=execute.taken.suspect))
        return jobs

    def submit(self, jobs: Sequence[Job]) -> None:
        """Give them to the pool; there must be room for them."""
        reach("worker.submitting")
        self._pool.submit(jobs)
        reach("worker.submitted")

    @property
    def ids(self) -> Collection[str]:
        """Their task ids, and the stamps by which they may be ended."""
        return {key for running in self for key in (running.message.id, *stamp_keys(running.message.stamps))}

    def next_deadline(self) -> float | None:
        """When the first of them must be killed."""
        return min((deadline for _, _, deadline in self._deadlines()), default=None)

    def kill_overdue(self, now: float) -> None:
        """Kill what has reached its hard time limit."""
        for key, running, deadline in self._deadlines():
            if now >= deadline:
                text = f"the task ran longer than its time limit of {running.limit} s"
                failure = Failure(error=celery_error("TimeLimitExceeded", text, running.message.id))
                running.fate, running.seconds = failure, now - deadline + (running.limit or 0)
                self._pool.kill(key)

    def _deadlines(self) -> list[tuple[str, Running, float]]:
        limited = [(k, r, r.limit) for k, r in self._running.items() if r.limit and r.fate is None]
        return [
            (k, r, since + limit) for k, r, limit in limited if (since := self._pool.since(k)) is not None
        ]

    def terminate(self, signums: Mapping[str, int], now: float) -> None:
        """End these tasks, by id, each with its signal."""
        for key, running in self._running.items():
            keys = (running.message.id, *stamp_keys(running.message.stamps))
            signum = next((signums[key] for key in keys if key in signums), None)
            if signum is not None and running.fate is None:
                since = self._pool.since(key)
                running.fate, running.seconds = Revoked(reason="terminated"), now - (since or now)
                self._pool.kill(key, signum)
