"""Clock: the only place where canvas reads the time."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What time it is, in microseconds since 1970 UTC. Thread-safe."""

    def now_us(self) -> int:
        """The wall clock."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_us(self) -> int:
        return time.time_ns() // 1000


class FakeClock:
    """A clock that stands still until it is moved: for tests, and for what runs without waiting (stage.py)."""

    def __init__(self, now_us: int = 1_750_000_000_000_000) -> None:
        self._now_us = now_us

    def now_us(self) -> int:
        return self._now_us

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self._now_us += round(seconds * 1_000_000)

    def advance_to(self, now_us: int) -> None:
        """Move the clock forward to this moment; a clock that is there already, or beyond, stays."""
        self._now_us = max(self._now_us, now_us)
