"""Autoscale: how many tasks a worker should run side by side, by what it has to do. PURE.

It grows as soon as more work is there than can run, by as much as there is; it shrinks to what was needed at most, when for a while less was
needed than it could run. So a gap between two bursts costs no processes, and no burst waits for more than their start.
"""

from __future__ import annotations

IDLE_SECONDS = 30.0
"""How long less must be needed before the pool shrinks."""


class Autoscale:
    """Between `least` and `most`. Times are monotonic seconds."""

    def __init__(self, most: int, least: int, idle_seconds: float = IDLE_SECONDS) -> None:
        if not 1 <= least <= most:
            raise ValueError(f"autoscale {most},{least} cannot be: it is MAX,MIN, and MIN is at least 1")
        self.most = most
        self.least = least
        self._idle_seconds = idle_seconds
        self._since: float | None = None
        """The beginning of the time over which `_peak` counts."""
        self._peak = 0

    def size(self, now: float, size: int, busy: int, waiting: int) -> int:
        """The size that a pool of `size` should have, where `busy` tasks run and `waiting` ones are there that cannot start."""
        needed = busy + waiting
        if needed > size or not self.least <= size <= self.most:
            self._since, self._peak = now, needed
            return min(self.most, max(self.least, size, needed))
        self._since = now if self._since is None else self._since
        self._peak = max(self._peak, needed)
        if now < self._since + self._idle_seconds:
            return size
        wanted = min(size, max(self.least, self._peak))
        self._since, self._peak = now, needed
        return wanted
