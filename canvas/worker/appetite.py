"""Appetite: whether a worker wants messages that it cannot run yet. PURE.

Messages that are sent or taken ahead make short tasks fast, and keep those behind a long one from other workers, which could run them. So they are
wanted until all slots have been taken by the same tasks for a while; to hand back and to ask again for each task would cost more than it gives.
"""

from __future__ import annotations

import math

FULL_SECONDS = 0.5
"""How long no slot may become free before nothing more is wanted. A task that runs for so long can wait for a message for some milliseconds."""


AHEAD_SECONDS = 0.02
"""For how long, by what tasks took until now, there may be something to start without asking. The next task is given to a slot that becomes
free before what ended is stored, and more than one is stored at once; whatever is urgent, or could start elsewhere, waits no longer for it."""
MOST_AHEAD = 64
_UNKNOWN_SECONDS = 1.0
_WEIGHT = 0.1
"""Of one task in the mean."""


class Appetite:
    """Told in each pass of the loop whether a slot was free; times are monotonic seconds."""

    def __init__(self) -> None:
        self._full_since: float | None = None
        self._run_seconds = _UNKNOWN_SECONDS

    def ran(self, seconds: float) -> None:
        """A task has run for so long."""
        self._run_seconds += _WEIGHT * (seconds - self._run_seconds)

    def ahead(self, slots: int) -> int:
        """How many messages are wanted beyond those that can start at once; none while all `slots` stay taken."""
        if self._full_since is not None:
            return 0
        return min(
            MOST_AHEAD, int(slots * AHEAD_SECONDS / max(self._run_seconds, AHEAD_SECONDS / MOST_AHEAD))
        )

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
