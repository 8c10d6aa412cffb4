"""Timeline: the one clock of a simulated world, and what is going to happen; machines have wall clocks of their own on it.

`run_until` may be called from inside of what happens: that is how the world goes on while one process stands still in the middle of a
step. Times are whole microseconds, so that a run is the same on every machine.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

SECOND_US = 1_000_000
LASTS_US = 45 * SECOND_US
"""A wall clock that is set back sooner than this was not followed by anybody."""


class Timeline:
    """What happens at which instant, in the order in which it was put down."""

    def __init__(self, start_us: int) -> None:
        self.start_us = start_us
        self.now_us = start_us
        self._line: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    @property
    def next_us(self) -> int | None:
        """When the next thing happens."""
        return self._line[0][0] if self._line else None

    def at(self, at_us: int, happens: Callable[[], None]) -> None:
        """Let something happen at an instant, or now if that has passed."""
        heapq.heappush(self._line, (at_us, next(self._numbers), happens))

    def within(self, seconds: float, happens: Callable[[], None]) -> None:
        """Let something happen in so many seconds."""
        self.at(self.now_us + round(seconds * SECOND_US), happens)

    def pass_to(self, at_us: int) -> None:
        """Let time pass; it never runs backward."""
        self.now_us = max(self.now_us, at_us)

    def happen(self) -> None:
        """Let the next thing happen."""
        at_us, _, happens = heapq.heappop(self._line)
        self.pass_to(at_us)
        happens()


class Machine:
    """A host: its wall clock may be wrong, and somebody may set it."""

    def __init__(self, timeline: Timeline, offset_us: int = 0) -> None:
        self._timeline = timeline
        self._steps = [(timeline.start_us, offset_us)]
        self._ahead_us = offset_us

    @property
    def offset_us(self) -> int:
        """How far the wall clock is ahead of the true time."""
        return self._steps[-1][1]

    def set(self, offset_us: int) -> None:
        """Somebody sets the wall clock."""
        self._ahead_us = max(self._ahead_us, offset_us)
        self._steps.append((self._timeline.now_us, offset_us))

    def now_us(self) -> int:
        return self._timeline.now_us + self.offset_us

    def boottime(self) -> float:
        return 1_000.0 + (self._timeline.now_us - self._timeline.start_us) / SECOND_US

    def latest_us(self) -> int:
        """What a clock would show that was only ever set forward, with this one."""
        return self._timeline.now_us + self._ahead_us

    def first_us(self, wall_us: int) -> int:
        """The true time at which the wall clock first showed `wall_us`, but for settings that did not last."""
        for number, (at_us, offset_us) in enumerate(self._steps):
            until_us = self._steps[number + 1][0] if number + 1 < len(self._steps) else 1 << 62
            if until_us - at_us > LASTS_US and wall_us - offset_us < until_us:
                return max(at_us, wall_us - offset_us)
        raise AssertionError("the last step lasts for ever")


class MachineClock:
    """The Clock of one process on a machine. The world does the sleeping: it calls `step` when the time has come."""

    def __init__(self, machine: Machine, woken: Callable[[], None]) -> None:
        self._woken = woken
        self.now_us = machine.now_us
        self.boottime = machine.boottime

    def wait(self, seconds: float) -> bool:
        raise AssertionError(f"a process of a simulation waited for {seconds} s by itself")

    def wake(self) -> None:
        self._woken()
