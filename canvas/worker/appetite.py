"""Appetite: whether a worker wants messages that it cannot run yet. PURE.

Messages that are sent or taken ahead make short tasks fast, and keep those behind a long one from other workers, which could run them. So they are
wanted until all slots have been taken by the same tasks for a while; to hand back and to ask again for each task would cost more than it gives.
"""

from __future__ import annotations

import math

FULL_SECONDS = 0.5
"""How long no slot may become free before nothing more is wanted. A task that runs for so long can wait for a message for some milliseconds."""


SHORT_SECONDS = 0.02
"""How long tasks may run, on average, for the next one to be taken before a slot is free: then it starts before what ended is stored. Whatever
is urgent, or could start elsewhere, waits no longer for it."""
BATCH_SECONDS = 0.01
"""How long what waits for one slot in the pool may take, on average: behind one that takes longer by itself the pool leaves none."""
PATIENCE_SECONDS = 0.001
"""How long a message may wait while a task runs that is likely to end within that."""
WARY_SECONDS = 1.0
"""How long nothing is taken ahead after a task came with which a worker died before: what is held counts against all of it if this one dies, too."""
_UNKNOWN_SECONDS = 1.0
_WEIGHT = 0.1
"""Of one task in the mean."""


class Appetite:
    """Told in each pass of the loop whether a slot was free; times are monotonic seconds."""

    def __init__(self) -> None:
        self._full_since: float | None = None
        self._run_seconds = _UNKNOWN_SECONDS
        self._wary_until = -math.inf

    @property
    def patience(self) -> float:
        """How long (seconds) what runs is waited for before the broker is: it is likely to end sooner than the broker can be asked."""
        return PATIENCE_SECONDS if self._run_seconds < PATIENCE_SECONDS else 0.0

    def ran(self, seconds: float) -> None:
        """A task has run for so long."""
        self._run_seconds += _WEIGHT * (seconds - self._run_seconds)

    def beware(self, now: float) -> None:
        """A task has been taken that may have ended the worker that had it before."""
        self._wary_until = now + WARY_SECONDS

    def spares(self, now: float) -> bool:
        """Whether a message is wanted for each slot beyond the one that can start at once: tasks are short, and not all slots stay taken."""
        is_busy = self._full_since is not None
        return not is_busy and now >= self._wary_until and self._run_seconds <= SHORT_SECONDS

    def depth(self, now: float) -> int:
        """How many of these may wait for each slot, where they follow each other by themselves: as many as are done soon."""
        return int(BATCH_SECONDS / max(self._run_seconds, 1e-6)) if self.spares(now) else 0

    def look(self, now: float, *, is_free: bool) -> None:
        """Whether a slot is free, or has become free since the last look."""
        if is_free:
            self._full_since = None
        elif self._full_since is None:
            self._full_since = now

    def is_gone(self, now: float) -> bool:
        """True if nothing more is wanted."""
        return self._full_since is not None and now >= self._full_since + FULL_SECONDS

    def next_look(self, now: float) -> float:
        """When it may be gone; infinite if a slot is free, or if it is gone."""
        if self._full_since is None or self.is_gone(now):
            return math.inf
        return self._full_since + FULL_SECONDS
