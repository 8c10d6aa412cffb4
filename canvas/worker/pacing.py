"""Pacing: rate limits as Celery means them: one worker spreads the starts of a task evenly. PURE.

The starts of a task are one interval apart, and each that cannot be now gets the next turn that is free. A turn is kept for as far ahead
as messages are put off; what comes behind is put off to then, and asks again.
"""

from __future__ import annotations

from ..commit.put_off import LONGEST_SECONDS, Wait
from ..rate import Rate


class Pacing:
    """The next free turn of each task, in seconds of a clock that never jumps."""

    def __init__(self) -> None:
        self._free: dict[str, tuple[Rate, float]] = {}

    def wait(self, task: str, rate: Rate, now: float) -> Wait | None:
        """None if a start may be now, and is; else how long the message is to wait."""
        known, free = self._free.get(task, (rate, now))
        if known != rate:
            free = now  # turns of another rate are turns of nobody
        free = max(free, now)
        if free - now > LONGEST_SECONDS:
            return Wait(LONGEST_SECONDS)
        self._free[task] = rate, free + rate.interval
        return Wait(free - now, has_turn=True) if free > now else None
