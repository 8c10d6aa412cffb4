"""Hesitation: who came for a message that another had already taken lets the others go first the next time.

What wakes one of those who wait for a queue wakes all of them, and all but one come in vain. Who came for nothing looks first the next time, as what it
was told of may have been for another queue. Who saw a message and did not get it waits a moment before that look, longer the more often that
was so: by then somebody has taken it. Whoever got something comes at once the next time: so one that is alone never waits, and where many are
idle the same one serves what trickles in, until it has too much to do. Random by a half ("equal jitter" of M. Brooker, Exponential Backoff and
Jitter, AWS Architecture Blog, 2015), so that they do not come all at once. See ADR 31.
"""

from __future__ import annotations

import random

FIRST_SECONDS = 0.001


class Hesitation:
    """How one that waits for messages comes for them. Not thread-safe."""

    def __init__(self, longest_seconds: float) -> None:
        self._longest_seconds = longest_seconds
        self._was_told = self._saw = False
        self._vain = 0
        self.is_wary = False
        """Whether it looks first."""

    @property
    def seconds(self) -> float:
        """The pause before that look."""
        if not self._vain:
            return 0.0
        pause = min(FIRST_SECONDS * 2.0 ** min(self._vain, 16), self._longest_seconds)
        return pause * random.uniform(0.5, 1)  # noqa: S311 - nothing is to be guessed

    def told(self) -> None:
        """There may be a message."""
        self._was_told = True

    def saw(self) -> None:
        """There is a message."""
        self._saw = True

    def took(self, count: int) -> None:
        """It asked for messages, and got so many."""
        if count:
            self._vain, self.is_wary = 0, False
        elif self._saw or self._was_told:  # nobody said that there would be something else
            self._vain += self._saw
            self.is_wary = True
        self._was_told = self._saw = False
