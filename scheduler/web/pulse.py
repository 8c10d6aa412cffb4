"""Pulse: for how long a lease has not been renewed, as far as we have looked: its row holds no time, as clocks of hosts differ. PURE.

Thread-safe by replacing its memory whole.
"""

from __future__ import annotations

from ..store.base import Lease


class Pulse:
    """Told of each look at the leases. Times are seconds of a clock that only goes on."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int, float]] = {}

    def age_seconds(self, name: str, lease: Lease, now: float) -> float:
        """Since when the row is as it is, or since our first look at it."""
        known = self._seen.get(name)
        if known is None or known[:2] != (lease.epoch, lease.renewal):
            known = (lease.epoch, lease.renewal, now)
            self._seen = {**self._seen, name: known}
        return now - known[2]
