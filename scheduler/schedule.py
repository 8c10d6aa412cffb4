"""Schedule: when something fires, as one question: `next_after`. The door to all that decides when; each kind has its module.

PURE. Times are whole microseconds since 1970-01-01 UTC (`_us`). Loaders make schedules, `plan` asks them, the store keeps their specs.
The parts: instants.py is the seam; cron.py and cron_field.py read cron's text, zone.py knows offsets, clock_change.py has the rule for
skipped and repeated hours, exclusion.py and blackout.py take times away. Here is only what a program calls about a bare expression.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

from .blackout import Blackout, CronWindow, DailyWindow, DaysWindow, SpanWindow
from .clock_change import Dst, next_fire
from .cron import DayMatch, parse_cron
from .crontab import Crontab, every_word
from .duration import MonthCount, parse_duration, parse_every
from .errors import ScheduleError
from .exclusion import Except, OnExcept
from .instants import AnyOf, Clocked, Interval, Schedule
from .months import Months
from .rrule import RRule
from .schedule_spec import schedule_from_spec, schedule_to_spec
from .solar import Solar, SolarEvent
from .zone import Zone, zone_named, zone_rules

__all__ = [
    "AnyOf",
    "Blackout",
    "Clocked",
    "CronWindow",
    "Crontab",
    "DailyWindow",
    "DayMatch",
    "DaysWindow",
    "Dst",
    "Except",
    "Interval",
    "MonthCount",
    "Months",
    "OnExcept",
    "RRule",
    "Schedule",
    "Solar",
    "SolarEvent",
    "SpanWindow",
    "every_word",
    "next_fires",
    "parse_duration",
    "parse_every",
    "schedule_from_spec",
    "schedule_to_spec",
    "zone_named",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def next_fires(expression: str, tz: str | tzinfo, start: datetime, n: int) -> list[datetime]:
    """The next `n` fire times of a cron expression, strictly after `start`, as aware datetimes in `tz`; fewer if it ends.

    `tz` is an IANA name, a ZoneInfo, a pytz zone or another tzinfo. `start` is aware, in any zone. Clock changes: `Dst.ONCE`.
    Raises: ScheduleError for a naive `start`, `n` below zero, an unknown zone or a wrong expression.

    >>> [str(fire) for fire in next_fires("30 2 * * *", "Europe/Berlin", datetime(2026, 3, 28, 12, tzinfo=UTC), 2)]
    ['2026-03-29 03:00:00+02:00', '2026-03-30 02:30:00+02:00']
    """
    if not isinstance(start, datetime) or start.utcoffset() is None:
        raise ScheduleError(f'start "{start}" has no time zone', help="datetime(2026, 1, 1, tzinfo=UTC)")
    if isinstance(n, bool) or not isinstance(n, int) or n < 0:
        raise ScheduleError(f'"{n}" is not a number of fire times', help="0, 1, 2 ...")
    cron = parse_cron(expression, DayMatch.ANY)
    zone = _rules_of(tz)
    shown_in = tz if isinstance(tz, tzinfo) else zone_named(tz)
    second: int | None = (start - _EPOCH) // timedelta(seconds=1)
    fires: list[datetime] = []
    while second is not None and len(fires) < n:
        second = next_fire(cron, zone, Dst.ONCE, second)
        if second is not None:
            fires.append(datetime.fromtimestamp(second, shown_in))
    return fires


def _rules_of(tz: str | tzinfo) -> Zone:
    """By name where there is one: pytz knows no rules after 2037, zoneinfo does."""
    if isinstance(tz, str):
        return zone_rules(tz)
    if not isinstance(tz, tzinfo):
        raise ScheduleError(
            f"{tz!r} is not a time zone", help="an IANA name such as Europe/Berlin, or a ZoneInfo"
        )
    name = getattr(tz, "key", None) or getattr(tz, "zone", None)
    return zone_rules(name) if isinstance(name, str) else Zone(tz)
