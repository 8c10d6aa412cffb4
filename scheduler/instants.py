"""Instants: the seam between what fires and what decides, and the schedules that need no calendar: Interval, Clocked, AnyOf.

PURE. Times are whole microseconds since 1970-01-01 UTC (`_us`). Crontab, Months, RRule, Solar and Except have modules of their own;
everybody else imports all of them from schedule.py.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol, runtime_checkable

from .errors import ScheduleError

SECOND_US = 1_000_000
MICROSECOND = timedelta(microseconds=1)
_SHORTEST_US = 1_000


@runtime_checkable
class Schedule(Protocol):
    """When something fires. A value: equal schedules give equal answers, on every host and at any time."""

    def next_after(self, after_us: int) -> int | None:
        """First fire time STRICTLY later than `after_us`; None: never again. Any thread, bounded work, no side effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Every `every` on a fixed grid, anchor + k * period, in both directions: lateness and restarts do not move it.

    Raises: ScheduleError for less than a millisecond.
    """

    every: timedelta
    anchor_us: int = 0
    _every_us: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        every_us = self.every // MICROSECOND
        if every_us < _SHORTEST_US:
            raise ScheduleError(f'an interval of "{self.every}" is too short', help="1ms or more")
        object.__setattr__(self, "_every_us", every_us)

    def next_after(self, after_us: int) -> int | None:
        return after_us + self._every_us - (after_us - self.anchor_us) % self._every_us


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocked:
    """Listed instants, in any order; at least one."""

    times_us: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.times_us:
            raise ScheduleError("no time is listed", help="at: 2026-12-01T03:00")
        object.__setattr__(self, "times_us", tuple(sorted(set(self.times_us))))

    def next_after(self, after_us: int) -> int | None:
        later = bisect_right(self.times_us, after_us)
        return self.times_us[later] if later < len(self.times_us) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyOf:
    """Whenever one of several schedules fires; a time that several of them share counts once."""

    schedules: tuple[Schedule, ...]

    def __post_init__(self) -> None:
        if not self.schedules:
            raise ScheduleError(
                "no schedule is listed", help='cron: ["25 9 * * mon-fri", "55 15 * * mon-fri"]'
            )

    def next_after(self, after_us: int) -> int | None:
        fires = (schedule.next_after(after_us) for schedule in self.schedules)
        return min((fire for fire in fires if fire is not None), default=None)
