"""Room: how much more a worker may take than it has: what can start, what may wait for that in its pool, and what the pool can still grow by."""

from __future__ import annotations

import time
from collections.abc import Sized

from ..perform import Performer
from ..pools.base import Pool
from .appetite import Appetite
from .running import RunningTasks
from .sizing import Sizing


class Room:
    """Of one worker, which has `taken` messages that have not started, and whose store gets `at_once` outcomes. `is_kept_free`: it takes none that
    would run before what the last one came to is stored.
    """

    def __init__(
        self,
        pool: Pool,
        running: RunningTasks,
        taken: Sized,
        performer: Performer,
        appetite: Appetite,
        sizing: Sizing,
        *,
        at_once: int,
        is_kept_free: bool,
    ) -> None:
        self._pool = pool
        self._running = running
        self._taken = taken
        self._performer = performer
        self._appetite = appetite
        self._sizing = sizing
        self._at_once = at_once
        self._is_kept_free = is_kept_free

    @property
    def places(self) -> int:
        """How many more messages may be taken. Where none waits in the pool one is kept here for each slot."""
        depth = self.depth
        places = self._pool.room(depth)
        is_queued = depth and self._pool.queue_limit
        if not is_queued and not self._is_kept_free and self._appetite.spares(time.monotonic()):
            places += len(self._running) + self._pool.free
        places += self._sizing.headroom  # what comes is what it grows by
        return max(0, places - len(self._taken) - len(self._performer.left))

    @property
    def is_there(self) -> bool:
        """Whether one more task could start, at once or as the pool can grow."""
        return self._pool.free > 0 or self._sizing.headroom > 0

    @property
    def depth(self) -> int:
        """How many tasks may wait for each slot. What ends while the store is busy comes to it together."""
        return min(self._appetite.depth(time.monotonic()), self._at_once // self._pool.size)
