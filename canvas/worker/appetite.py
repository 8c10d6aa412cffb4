"""Appetite: whether a worker wants messages that it cannot run yet. PURE.

Messages that are sent ahead make short tasks fast, and keep those behind a long one from other workers, which could run them. So they are
wanted until all slots have been taken by the same tasks for a while; to hand back and to ask again for each task would cost more than it gives.
"""

from __future__ import annotations

import math

FULL_SECONDS = 0.5
"""How long no slot may become free before nothing more is wanted. A task that runs for so long can wait for a message for some milliseconds."""


class Appetite:
    """Told in each pass of the loop whether a slot was free; times are monotonic seconds."""

    def __init__(self) -> None:
        self._full_since: float | None = None

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
