"""Patience: how long to wait before the next try while broker or store cannot be reached, and which of the tries to speak of. PURE.

The longest pause is short, as it is what a worker lies idle for when the server is back; one line in five seconds is enough for the log.
"""

from __future__ import annotations

FIRST_SECONDS, LONGEST_SECONDS = 0.1, 1.0
QUIET_TRIES = 5
"""Of so many tries with the longest pause one is told."""


class Patience:
    """Pauses that double up to the longest one. Not thread-safe."""

    def __init__(self) -> None:
        self._tries = self._long = 0

    def next(self) -> tuple[float, bool]:
        """After a try that failed: seconds until the next one, and whether to tell anybody."""
        pause = min(FIRST_SECONDS * 2.0 ** min(self._tries, 16), LONGEST_SECONDS)
        growing = pause < LONGEST_SECONDS
        self._long = 0 if growing else self._long + 1
        self._tries += 1
        return pause, growing or self._long % QUIET_TRIES == 1

    def reset(self) -> None:
        """A try succeeded."""
        self._tries = self._long = 0
