"""Blackout: when a schedule must not fire: by a crontab, one span of time, hours of each day, or whole days such as holidays.

PURE. A blackout answers for an instant which stretch of time around it is blacked out; exclusion.py joins stretches that touch. Hours
and days are those of the wall clock: an hour that clocks repeat is blacked out both times, one that they skip is not there at all.
Made by the loaders, for Except.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

from .cron import LongCron
from .crontab import Crontab
from .errors import ScheduleError
from .instants import SECOND_US
from .zone import FIRST_SECOND, LAST_SECOND, Zone, zone_rules

_DAY = 86_400
_MINUTE = 60
_EPOCH = date(1970, 1, 1).toordinal()
_CLOCK = re.compile(r"([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

Stretch = tuple[int, int]
"""From inclusive, to exclusive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CronWindow:
    """Every minute whose wall-clock time an expression names; of six and seven fields every second. Its `dst` has no meaning here.

    Raises: ScheduleError for an expression that names all of them.
    """

    crontab: Crontab
    _runs: tuple[Stretch, ...] = field(init=False, repr=False, compare=False)
    _seconds: tuple[Stretch, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        cron = self.crontab.cron
        minutes = cron.minutes if isinstance(cron, LongCron) else cron
        seconds = _runs(cron.seconds, 1) if isinstance(cron, LongCron) else ((0, _MINUTE),)
        runs = _runs(minutes.times, _MINUTE)
        endless = not isinstance(cron, LongCron) or cron.years is None
        if endless and minutes.every_day and runs == ((0, _DAY),) and seconds == ((0, _MINUTE),):
            raise ScheduleError(
                f'"{self.crontab.expression}" blacks out all time', help="enabled: false pauses a schedule"
            )
        object.__setattr__(self, "_runs", runs)
        object.__setattr__(self, "_seconds", seconds)

    def stretch_at(self, at_us: int) -> Stretch | None:
        """A blacked-out stretch that holds `at_us`, in microseconds; None if it is not blacked out."""
        return _wall_stretch(self.crontab.zone, at_us, self._run)

    def _run(self, local: int) -> Stretch | None:
        day, second = divmod(local, _DAY)
        run = _holding(self._runs, second)
        if run is None or not self.crontab.cron.has_day(day):
            return None
        if self._seconds == ((0, _MINUTE),):
            return day * _DAY + run[0], day * _DAY + run[1]
        part = _holding(self._seconds, second % _MINUTE)
        minute = local - second % _MINUTE
        return None if part is None else (minute + part[0], minute + part[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanWindow:
    """One span of time, from inclusive, to exclusive."""

    from_us: int
    to_us: int

    def __post_init__(self) -> None:
        if self.from_us >= self.to_us:
            raise ScheduleError(
                "a blackout ends before it begins", help="from: the earlier time, to: the later"
            )

    def stretch_at(self, at_us: int) -> Stretch | None:
        """The span if it holds `at_us`."""
        return (self.from_us, self.to_us) if self.from_us <= at_us < self.to_us else None


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyWindow:
    """Each day from `start` to before `end`, wall-clock times such as "22:00"; it passes midnight if the end is the earlier one."""

    start: str
    end: str
    timezone: str = "UTC"
    _start: int = field(init=False, repr=False, compare=False)
    _end: int = field(init=False, repr=False, compare=False)
    _zone: Zone = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        start, end = _clock_time(self.start), _clock_time(self.end)
        if start % _DAY == end % _DAY:
            raise ScheduleError(
                f'a blackout from "{self.start}" to "{self.end}" is all day or never',
                help="from: 22:00, to: 06:00",
            )
        object.__setattr__(self, "_start", start % _DAY)
        object.__setattr__(self, "_end", end)
        object.__setattr__(self, "_zone", zone_rules(self.timezone))

    def stretch_at(self, at_us: int) -> Stretch | None:
        """The window around `at_us`, or as much of it as lies between two clock changes."""
        return _wall_stretch(self._zone, at_us, self._run)

    def _run(self, local: int) -> Stretch | None:
        midnight = local - local % _DAY
        length = (self._end - self._start) % _DAY
        for begin in (midnight + self._start, midnight + self._start - _DAY):
            if begin <= local < begin + length:
                return begin, begin + length
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class DaysWindow:
    """Whole days of the wall clock, as ISO dates: a calendar of holidays."""

    days: tuple[str, ...]
    timezone: str = "UTC"
    _days: frozenset[int] = field(init=False, repr=False, compare=False)
    _zone: Zone = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.days:
            raise ScheduleError("a calendar without days", help="dates such as 2026-12-25")
        object.__setattr__(self, "_days", frozenset(map(_day_number, self.days)))
        object.__setattr__(self, "_zone", zone_rules(self.timezone))

    def stretch_at(self, at_us: int) -> Stretch | None:
        """The day around `at_us`, or as much of it as lies between two clock changes."""
        return _wall_stretch(self._zone, at_us, self._run)

    def _run(self, local: int) -> Stretch | None:
        day = local // _DAY
        return (day * _DAY, (day + 1) * _DAY) if day in self._days else None


Blackout = CronWindow | SpanWindow | DailyWindow | DaysWindow


def _wall_stretch(zone: Zone, at_us: int, run: Callable[[int], Stretch | None]) -> Stretch | None:
    second = at_us // SECOND_US
    if not FIRST_SECOND <= second < LAST_SECOND:
        return None
    bounds, offsets = zone.reach(second)
    at = bisect_right(bounds, second) - 1
    found = run(second + offsets[at])
    if found is None:
        return None
    return (
        max(found[0] - offsets[at], bounds[at]) * SECOND_US,
        min(found[1] - offsets[at], bounds[at + 1]) * SECOND_US,
    )


def _runs(values: tuple[int, ...], unit: int) -> tuple[Stretch, ...]:
    """Sorted values, each `unit` long, as the runs in which they touch."""
    runs: list[Stretch] = []
    for value in values:
        if runs and runs[-1][1] == value:
            runs[-1] = runs[-1][0], value + unit
        else:
            runs.append((value, value + unit))
    return tuple(runs)


def _holding(runs: tuple[Stretch, ...], value: int) -> Stretch | None:
    at = bisect_right(runs, (value, _DAY)) - 1
    return runs[at] if at >= 0 and value < runs[at][1] else None


def _clock_time(text: str) -> int:
    match = _CLOCK.fullmatch(text) if isinstance(text, str) else None
    if match is not None:
        hour, minute, second = (int(part or 0) for part in match.groups())
        found = hour * 3_600 + minute * 60 + second
        if minute < 60 and second < 60 and found <= _DAY:  # noqa: PLR2004 - of a clock
            return found
    raise ScheduleError(f'"{str(text)[:40]}" is not a time of day', help="write 22:00")


def _day_number(text: str) -> int:
    if isinstance(text, str) and _DATE.fullmatch(text):
        try:
            return date.fromisoformat(text).toordinal() - _EPOCH
        except ValueError:
            pass
    raise ScheduleError(f'"{str(text)[:40]}" is not a day', help="write 2026-12-25")
