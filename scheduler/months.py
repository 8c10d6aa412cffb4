"""Months: calendar months from a local anchor, for `every: 1mo`, `3mo` and `1y`.

PURE. Not an interval: a month has no length. The day is clamped to the month's end, from the anchor's day each time, so a schedule
of the 31st comes on 28 February and on 31 March again. Made by the loaders.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass, field
from datetime import date, datetime

from .clock_change import Dst, next_fire
from .errors import ScheduleError
from .instants import SECOND_US
from .zone import Zone, plain_zone, zone_rules

_DAY = 86_400
_EPOCH = date(1970, 1, 1).toordinal()
_LONGEST = 480
"""40 years: the longest wait that clock_change.py searches, with a margin."""
_YEARS = (2, 9_998)
_LOCAL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2})?)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Months:
    """Every `months` calendar months, counted from `anchor` (local time of the zone) in both directions.

    Raises: ScheduleError for other than 1 to 480 months, an anchor that is no local time, an unknown zone.
    """

    months: int
    anchor: str = "1970-01-01T00:00"
    timezone: str = "UTC"
    dst: Dst = Dst.ONCE
    _grid: MonthGrid = field(init=False, repr=False, compare=False)
    _zone: Zone = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "timezone", plain_zone(self.timezone))
        if type(self.months) is not int or not 1 <= self.months <= _LONGEST:
            raise ScheduleError(f'"{self.months}" months cannot be waited for', help="1mo to 40y")
        local = local_second(self.anchor, "anchor")
        object.__setattr__(self, "_grid", MonthGrid(months=self.months, anchor=local))
        object.__setattr__(self, "_zone", zone_rules(self.timezone))

    def next_after(self, after_us: int) -> int | None:
        fire = next_fire(self._grid, self._zone, self.dst, after_us // SECOND_US)
        return None if fire is None else fire * SECOND_US


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthGrid:
    """The local times of Months, for clock_change. `anchor` is in seconds since 1970-01-01 00:00 of the wall clock."""

    months: int
    anchor: int

    @property
    def wild(self) -> bool:
        """It follows the wall clock."""
        return False

    def next_local(self, local: int) -> int | None:
        """First time of the grid strictly later than `local`; None near the ends of the calendar."""
        begin, second = divmod(self.anchor, _DAY)
        anchor, today = date.fromordinal(begin + _EPOCH), date.fromordinal(local // _DAY + _EPOCH)
        anchor_month = anchor.year * 12 + anchor.month - 1
        passed = (today.year * 12 + today.month - 1 - anchor_month) // self.months
        for step in (passed, passed + 1):
            year, month = divmod(anchor_month + step * self.months, 12)
            if not _YEARS[0] <= year <= _YEARS[1]:
                return None
            day = min(anchor.day, calendar.monthrange(year, month + 1)[1])
            found = (date(year, month + 1, day).toordinal() - _EPOCH) * _DAY + second
            if found > local:
                return found
        return None


def local_second(text: str, key: str) -> int:
    """A local date or time such as 2026-12-01T03:00, in seconds since 1970-01-01 00:00 of the same wall clock.

    Raises: ScheduleError for anything else, also for a time with an offset.
    """
    if isinstance(text, str) and _LOCAL.fullmatch(text):
        try:
            local = datetime.fromisoformat(text.upper())
        except ValueError:  # the 30th of February
            pass
        else:
            return (local.toordinal() - _EPOCH) * _DAY + local.hour * 3_600 + local.minute * 60 + local.second
    raise ScheduleError(f'{key} "{str(text)[:40]}" is not a local time', help="write 2026-12-01T03:00")
