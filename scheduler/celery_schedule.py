"""CelerySchedule: a schedule as Celery projects write it, as one of ours, with what does not mean quite the same.

PURE. Celery's objects are known by their attributes, since Celery need not be installed: `run_every` (schedule), `minute` (crontab),
`event` (solar), `clocked_time` (django-celery-beat). canvas.schedules has the same shapes. Called by app_source.py and by the importers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from .celery_field import CRON_ORDER, cron_text
from .errors import ScheduleError
from .schedule import Clocked, Crontab, DayMatch, Interval, RRule, Schedule, Solar
from .zone import zone_name

_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONDAY = "2024-01-01T00:00:00"
_UNITS = (
    (timedelta(days=1), "day", "0 0 * * *"),
    (timedelta(hours=1), "hour", "0 * * * *"),
    (timedelta(minutes=1), "minute", "* * * * *"),
)
"""What `relative` rounds to, longest first, and the crontab of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Translated:
    """Our schedule, and sentences about where it differs from Celery's."""

    when: Schedule
    notes: tuple[str, ...] = ()


def translated(given: object, *, zone: str, relative: bool = False) -> Translated:
    """What a Celery schedule means here; `zone` is the app's, `relative` the entry's.

    Raises: ScheduleError for a class of its own, and for values that no schedule has.
    """
    if isinstance(given, bool):
        raise ScheduleError(f"{given!r} is not a schedule", help="seconds, a timedelta or crontab(...)")
    if isinstance(given, int | float | timedelta):
        return interval(given, zone=zone, relative=relative)
    fields = {kind.name: _field(given, kind.name) for kind in CRON_ORDER}
    if all(field is not None for field in fields.values()):
        return crontab(fields, zone=_own_zone(given) or zone)
    if hasattr(given, "run_every"):
        return interval(given.run_every, zone=zone, relative=bool(getattr(given, "relative", False)))
    if all(hasattr(given, name) for name in ("event", "lat", "lon")):
        place: Any = given
        return Translated(
            when=Solar(event=str(place.event), latitude=float(place.lat), longitude=float(place.lon))
        )
    moment = getattr(given, "clocked_time", None)
    if isinstance(moment, datetime):
        return clocked(moment)
    kind = type(given)
    raise ScheduleError(
        f"{kind.__module__}.{kind.__qualname__} is a schedule class of its own",
        help="write its times as every:, cron:, at: or rrule: in schedules.yaml",
    )


def crontab(fields: Mapping[str, object], *, zone: str) -> Translated:
    """A crontab of Celery's five arguments; its day fields are both restrictions, where cron's add up."""
    texts = {kind.name: cron_text(kind, fields[kind.name]) for kind in CRON_ORDER}
    both = texts["day_of_month"] != "*" and texts["day_of_week"] != "*"
    when = Crontab(
        expression=" ".join(texts[kind.name] for kind in CRON_ORDER),
        timezone=zone,
        day_match=DayMatch.ALL if both else DayMatch.ANY,
    )
    note = "day_match: all, since Celery runs on days that match day of month and weekday; a crontab file says either"
    return Translated(when=when, notes=(note,) if both else ())


def interval(every: object, *, zone: str, relative: bool = False) -> Translated:
    """An interval. Celery counts from the last run, and from its own start when there is none; ours is a grid."""
    if isinstance(every, bool) or not isinstance(every, int | float | timedelta):
        raise ScheduleError(f"{every!r:.80} is not a length of time", help="seconds or a timedelta")
    try:
        length = every if isinstance(every, timedelta) else timedelta(seconds=every)
    except (OverflowError, ValueError) as error:
        raise ScheduleError(
            f"{every!r:.80} is not a length of time: {error}", help="seconds or a timedelta"
        ) from error
    if relative:
        for unit, noun, expression in _UNITS:
            if length >= unit:
                return _rounded(length, unit, noun, expression, zone)
    return Translated(
        when=Interval(every=length),
        notes=(
            "interval: Celery counts from its last run, so that lateness and restarts move it; here it keeps to whole multiples since 1970 UTC",
        ),
    )


def clocked(moment: datetime) -> Translated:
    """One instant. Raises ScheduleError for a naive datetime."""
    if moment.tzinfo is None:
        raise ScheduleError(f"clocked_time {moment} has no time zone", help="an aware datetime")
    return Translated(when=Clocked(times_us=((moment - _EPOCH) // _MICROSECOND,)))


def _rounded(length: timedelta, unit: timedelta, noun: str, expression: str, zone: str) -> Translated:
    """`relative`: Celery cuts the next run down to whole units of the wall clock, and with it the rest of the length."""
    count = length // unit
    notes = []
    if length % unit:
        notes.append(
            f"relative: Celery cuts {length} down to whole {noun}s, so that it ran every {count} {noun}(s); so written"
        )
    if count == 1:
        return Translated(when=Crontab(expression=expression, timezone=zone), notes=tuple(notes))
    if unit == timedelta(days=1):
        notes.append(
            f"relative: at midnight every {count} days from Monday 2024-01-01 on; Celery counts from its own start"
        )
        rule = f"FREQ=DAILY;INTERVAL={count}"
        return Translated(when=RRule(rule=rule, start=_MONDAY, timezone=zone), notes=tuple(notes))
    notes.append(
        f"relative: Celery starts at a whole {noun} after its own start; here it keeps to whole multiples since 1970 UTC"
    )
    return Translated(when=Interval(every=count * unit), notes=tuple(notes))


def _field(given: object, name: str) -> object:
    """Celery keeps what was written beside what it made of it."""
    return getattr(given, f"_orig_{name}", getattr(given, name, None))


def _own_zone(given: object) -> str | None:
    """The zone of a crontab that has one, as django-celery-beat's; Celery's own property of that name asks the app."""
    zone = getattr(given, "__dict__", {}).get("tz")
    return None if zone is None else zone_name(zone)
