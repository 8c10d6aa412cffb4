"""Pace: how long to wait between two looks, where nobody tells what is looked for (decisions K25)."""

from __future__ import annotations

SHORTEST_SECONDS, LONGEST_SECONDS = 0.002, 0.05
SHARE = 9
"""Waiting lasts at least so many times as long as looking did: who looks for ten thousand results must not do nothing else."""


class Pace:
    """From 2 ms to 50 ms, in steps of a half."""

    def __init__(self) -> None:
        self._seconds = SHORTEST_SECONDS

    def reset(self) -> None:
        """Something happened, so more may happen soon."""
        self._seconds = SHORTEST_SECONDS

    def pause(self, looked_seconds: float) -> float:
        """Seconds until the next look, if the last one took so long."""
        seconds, self._seconds = self._seconds, min(self._seconds * 1.5, LONGEST_SECONDS)
        return max(seconds, SHARE * looked_seconds)
