"""Exclusion: a schedule with blackouts: what falls into one is left out, or put off to its end.

PURE. Called like every schedule; made by the loaders for `except:`. Theory: blackouts that touch or overlap are one region. Under SKIP a
fire time inside a region does not exist. Under DEFER it becomes the region's end. That end never falls as the fire time grows, so the
answer to "strictly later than t" is the end for the first fire time of the region around t, or else the first one after t.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .blackout import Blackout
from .errors import ScheduleError
from .instants import Schedule

_MOST_STRETCHES = 50_000
"""So many blackouts on end are taken for an endless one: 68 years of nights and days. The search takes some tenths of a second."""


class OnExcept(Enum):
    """What becomes of a fire time inside a blackout."""

    SKIP = "skip"
    """It does not exist."""
    DEFER = "defer"
    """It becomes the first instant after the blackout; several that meet there are one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Except:
    """`when`, but not in the blackouts `out`.

    Raises: ScheduleError if there is no blackout, or if the blackouts leave no fire time at all.
    """

    when: Schedule
    out: tuple[Blackout, ...]
    on_except: OnExcept = OnExcept.SKIP

    def __post_init__(self) -> None:
        if not self.out:
            raise ScheduleError("no blackout is listed", help='except: [{cron: "* 22-23 * * *"}]')
        try:
            self._search(0)
        except _Endless:
            raise ScheduleError(
                "the blackouts leave no fire time", help="enabled: false pauses a schedule"
            ) from None

    def next_after(self, after_us: int) -> int | None:
        try:
            return self._search(after_us)
        except _Endless:
            return None

    def _search(self, after_us: int) -> int | None:
        if self.on_except is OnExcept.DEFER:
            return self._deferred(after_us)
        budget = _Budget()
        fire = self.when.next_after(after_us)
        while fire is not None and (end := self._end(fire, budget)) > fire:
            fire = self.when.next_after(end - 1)
        return fire

    def _deferred(self, after_us: int) -> int | None:
        budget = _Budget()
        end = self._end(after_us, budget)
        if end > after_us:
            waiting = self.when.next_after(self._begin(after_us, budget) - 1)
            if waiting is None or waiting <= end:
                return None if waiting is None else end
            after_us = end
        fire = self.when.next_after(after_us)
        return None if fire is None else self._end(fire, budget)

    def _end(self, at_us: int, budget: _Budget) -> int:
        """The first instant from `at_us` on that no blackout holds."""
        moved = True
        while moved:
            moved = False
            for window in self.out:
                stretch = window.stretch_at(at_us)
                if stretch is not None:
                    at_us, moved = stretch[1], True
                    budget.spend()
        return at_us

    def _begin(self, at_us: int, budget: _Budget) -> int:
        """The first instant of the region that holds `at_us`."""
        moved = True
        while moved:
            moved = False
            for window in self.out:
                stretch = window.stretch_at(at_us - 1)
                if stretch is not None:
                    at_us, moved = stretch[0], True
                    budget.spend()
        return at_us


class _Endless(Exception):
    """More blackouts on end than any schedule has."""


class _Budget:
    """How many stretches a search may still pass."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = _MOST_STRETCHES

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise _Endless
