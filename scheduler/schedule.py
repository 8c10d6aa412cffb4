"""Schedule: when something fires, as one question: `next_after`. Intervals, cron lines, listed times and unions of them.

PURE. Times are whole microseconds since 1970-01-01 UTC (`_us`). Loaders make schedules, `plan` asks them, the store keeps their specs.
The parts: cron.py and cron_field.py read the text, zone.py knows offsets, clock_change.py has the rule for skipped and repeated hours.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from enum import Enum
from typing import Any, Protocol, TypeVar, runtime_checkable

from .clock_change import Dst, next_fire
from .cron import Cron, DayMatch, parse_cron
from .duration import parse_duration
from .errors import ScheduleError
from .zone import Zone, zone_named, zone_rules

__all__ = [
    "AnyOf",
    "Clocked",
    "Crontab",
    "DayMatch",
    "Dst",
    "Interval",
    "Schedule",
    "next_fires",
    "parse_duration",
    "schedule_from_spec",
    "schedule_to_spec",
    "zone_named",
]

_SECOND_US = 1_000_000
_SHORTEST_US = 1_000
_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
        every_us = self.every // _MICROSECOND
        if every_us < _SHORTEST_US:
            raise ScheduleError(f'an interval of "{self.every}" is too short', help="1ms or more")
        object.__setattr__(self, "_every_us", every_us)

    def next_after(self, after_us: int) -> int | None:
        return after_us + self._every_us - (after_us - self.anchor_us) % self._every_us


@dataclass(frozen=True, slots=True, kw_only=True)
class Crontab:
    """Five fields or an @word in the wall-clock time of a zone; Debian cron's meaning (cron.py, clock_change.py).

    An entry whose minute or hour field begins with `*` follows elapsed time through clock changes: nothing in a skipped hour, all of
    a repeated one. A fixed time follows `dst`; several fixed times inside one skipped hour give one fire, right after it.
    Fire times are whole minutes of the wall clock, but for the end of a gap that is none (Liberia 1972).
    Raises: ScheduleError for text that is no such expression, a date that never comes, an unknown zone.
    """

    expression: str
    timezone: str = "UTC"
    dst: Dst = Dst.ONCE
    day_match: DayMatch = DayMatch.ANY
    _cron: Cron = field(init=False, repr=False, compare=False)
    _zone: Zone = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_cron", parse_cron(self.expression, self.day_match))
        object.__setattr__(self, "_zone", zone_rules(self.timezone))

    def next_after(self, after_us: int) -> int | None:
        # Fires are on whole seconds: later than a part of a second is later than the second's begin.
        fire = next_fire(self._cron, self._zone, self.dst, after_us // _SECOND_US)
        return None if fire is None else fire * _SECOND_US


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


def schedule_to_spec(schedule: Schedule) -> dict[str, Any]:
    """The schedule as JSON data; `schedule_from_spec` gives it back. Raises: ScheduleError for a foreign class."""
    match schedule:
        case Interval():
            return {"every_us": schedule.every // _MICROSECOND, "anchor_us": schedule.anchor_us}
        case Crontab():
            return {
                "cron": schedule.expression,
                "timezone": schedule.timezone,
                "dst": schedule.dst.value,
                "day_match": schedule.day_match.value,
            }
        case Clocked():
            return {"at_us": list(schedule.times_us)}
        case AnyOf():
            return {"any": [schedule_to_spec(each) for each in schedule.schedules]}
        case _:
            raise ScheduleError(
                f"a {type(schedule).__name__} cannot be stored", help="Interval, Crontab, Clocked or AnyOf"
            )


def schedule_from_spec(spec: Mapping[str, Any]) -> Schedule:
    """The inverse of `schedule_to_spec`. Raises: ScheduleError for anything that it did not write."""
    match spec:
        case {"every_us": int(every_us), **rest}:
            anchor_us = _rest(rest, {"anchor_us": 0})["anchor_us"]
            if isinstance(anchor_us, int) and not isinstance(every_us, bool) and 0 <= every_us < 10**18:
                return Interval(every=every_us * _MICROSECOND, anchor_us=anchor_us)
        case {"cron": str(expression), **rest}:
            known = _rest(rest, {"timezone": "UTC", "dst": "once", "day_match": "any"})
            return Crontab(
                expression=expression,
                timezone=known["timezone"],
                dst=_member(Dst, known["dst"], "dst"),
                day_match=_member(DayMatch, known["day_match"], "day_match"),
            )
        case {"at_us": [*times], **rest} if not rest and all(type(time) is int for time in times):
            return Clocked(times_us=tuple(times))
        case {"any": [*specs], **rest} if not rest:
            return AnyOf(schedules=tuple(schedule_from_spec(each) for each in specs))
        case _:
            pass
    raise ScheduleError(f"{str(spec)[:80]!r} is not a stored schedule", help="every_us, cron, at_us or any")


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


_E = TypeVar("_E", bound=Enum)


def _member(kind: type[_E], value: object, key: str) -> _E:
    try:
        return kind(value)
    except ValueError:
        choices = ", ".join(str(member.value) for member in kind)
        raise ScheduleError(f'{key} "{value}" is not known', help=f"one of {choices}") from None


def _rest(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(str(key) for key in given.keys() - defaults.keys())
    if unknown:
        raise ScheduleError(
            f'unknown key "{unknown[0]}" in a stored schedule', help=f"one of {', '.join(defaults)}"
        )
    return {**defaults, **given}
