"""Clock: the one place that reads time and the one place that sleeps.

Wall time (`now_us`) only says which fire times are due. Everything that measures - leases, back-off, polling - uses
`boottime`, which nobody can set and which goes on while the machine is suspended. `FakeClock` is the clock of the tests.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import Protocol

from ..canvas.readable import readable

SECOND_US = 1_000_000


class Clock(Protocol):
    """Time and sleep. `wake` may be called from a signal handler and from any thread; the rest from one thread."""

    def now_us(self) -> int:
        """Wall time in microseconds since 1970-01-01 UTC. It may step in both directions."""

    def boottime(self) -> float:
        """Seconds since some fixed instant of this boot; never steps, and counts suspended time where the system can."""

    def wait(self, seconds: float) -> bool:
        """Sleep for `seconds`, or less when woken; says whether it was woken. A wake before the wait ends it at once."""

    def wake(self) -> None:
        """End the present or the next `wait`. Never blocks, never raises."""


class SystemClock:
    """The real clock. The sleep is a self-pipe: a threading.Event may deadlock when it is set in a signal handler."""

    def __init__(self) -> None:
        # Without CLOCK_BOOTTIME (macOS) a suspended machine believes in its lease for too long; the fence still holds (B11).
        self._clock_id = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        self._ear, self._mouth = os.pipe()
        os.set_blocking(self._ear, False)
        os.set_blocking(self._mouth, False)

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def boottime(self) -> float:
        return time.clock_gettime(self._clock_id)

    def wait(self, seconds: float) -> bool:
        if not readable([self._ear], seconds):
            return False
        with contextlib.suppress(BlockingIOError):
            os.read(self._ear, 4096)
        return True

    def wake(self) -> None:
        with contextlib.suppress(OSError):  # full, it has woken us already; closed, there is nobody to wake
            os.write(self._mouth, b"!")

    def close(self) -> None:
        """Give the pipe back."""
        os.close(self._ear)
        os.close(self._mouth)


class FakeClock:
    """A clock that only moves when told: `wait` jumps, `advance` moves both times, `step_wall` sets the wall clock."""

    def __init__(self, now_us: int = 1_700_000_000 * SECOND_US, boottime: float = 1000.0) -> None:
        self._now_us = now_us
        self._boottime = boottime
        self._woken = False

    def now_us(self) -> int:
        return self._now_us

    def boottime(self) -> float:
        return self._boottime

    def wait(self, seconds: float) -> bool:
        if self._woken:
            self._woken = False
            return True
        self.advance(max(0.0, seconds))
        return False

    def wake(self) -> None:
        self._woken = True

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now_us += round(seconds * SECOND_US)
        self._boottime += seconds

    def step_wall(self, seconds: float) -> None:
        """Somebody sets the wall clock: no time passes."""
        self._now_us += round(seconds * SECOND_US)
