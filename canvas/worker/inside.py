"""Inside: what a worker's own thread can tell of what the worker has, and do to it, when remote control asks (see errands.py)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from ..commit.base import Commit
from ..commit.taken import Taken
from ..errors import ImproperlyConfigured
from ..limit import TimeLimits
from ..message import CONTROL_QUEUE, Message, iso_of_us
from ..pools.base import Pool
from .running import Running, RunningTasks
from .task_info import Info, info_of
from .task_limits import TaskLimits


class Inside:
    """Of the worker that has these. `serves` are the queues that it takes from."""

    def __init__(
        self, commit: Commit, pool: Pool, running: RunningTasks, taken: Iterable[Taken], limits: TaskLimits
    ) -> None:
        self._commit = commit
        self._pool = pool
        self._running = running
        self._taken = taken
        self._limits = limits
        self.queues: Sequence[str] = ()
        """Those that are served."""

    # --- telling -------------------------------------------------------------------------------------------------------------

    def active(self, hostname: str) -> list[Info]:
        """What runs."""
        found = []
        for key, running in self._running.items():
            since = self._pool.since(key)
            if since is not None:
                began = time.time() - (time.monotonic() - since)
                found.append(self._info(running, hostname, began=began, pid=self._pool.pid_of(key)))
        return found

    def reserved(self, hostname: str) -> list[Info]:
        """What is here, in the pool or before it, and has not begun."""
        waiting = [
            self._info(r, hostname) for key, r in self._running.items() if self._pool.since(key) is None
        ]
        taken = [(item.message, item.delivery.queue) for item in self._taken if item.message is not None]
        return [*waiting, *(info_of(message, hostname, queue=queue) for message, queue in taken)]

    def scheduled(self, hostname: str, limit: int) -> list[dict[str, Any]]:
        """What waits for its time in the queues that are served, the earliest first."""
        return [
            _scheduled(waiting.message, waiting.due_us, hostname)
            for waiting in self._commit.scheduled(limit)
            if waiting.message.queue in self.queues
        ]

    def revoked(self, limit: int) -> list[str]:
        """Ids, and keys of stamps, that shall not run."""
        return [*self._commit.revoked(limit)]

    @property
    def pids(self) -> Sequence[int]:
        """The processes in which tasks run."""
        return self._pool.pids

    # --- doing ---------------------------------------------------------------------------------------------------------------

    def revoke(self, ids: Sequence[str], signum: int | None = None) -> None:
        """See to it that these do not start; with a signal, end those that run."""
        self._commit.revoke(ids, signum)

    def serve(self, queue: str) -> None:
        """Take from one more queue."""
        if queue not in self.queues:
            self._serve([*self.queues, queue])

    def serve_no_more(self, queue: str) -> None:
        """Take from one queue less. Raises ImproperlyConfigured for the one by which all workers get what is theirs."""
        if queue == CONTROL_QUEUE:
            raise ImproperlyConfigured(
                f"queue {queue} brings what goes on in canvases: every worker serves it"
            )
        self._serve([each for each in self.queues if each != queue])

    def set_limits(self, task: str, limits: TimeLimits) -> None:
        """Of runs that begin from now on. Raises ImproperlyConfigured where the pool cannot keep them."""
        missing = self._pool.limits.missing(limits)
        if missing:
            raise ImproperlyConfigured(f"this worker's pool cannot keep a {' and a '.join(missing)}")
        self._limits.set(task, limits)

    def _serve(self, queues: Sequence[str]) -> None:
        self._commit.serve(queues)
        self.queues = queues

    @staticmethod
    def _info(running: Running, hostname: str, **known: Any) -> Info:
        queue = running.taken.delivery.queue
        return info_of(running.message, hostname, queue=queue, acknowledged=running.early, **known)


def _scheduled(message: Message, due_us: int, hostname: str) -> dict[str, Any]:
    return {
        "eta": iso_of_us(due_us),
        "priority": message.priority or 0,
        "request": info_of(message, hostname, queue=message.queue),
    }
