"""ScheduleSpec: schedules as JSON data and back, for the store.

PURE. What it writes, later versions read: keys are added, never renamed, and what has its usual value may be left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeVar

from .blackout import Blackout, CronWindow, DailyWindow, DaysWindow, SpanWindow
from .clock_change import Dst
from .cron import DayMatch
from .crontab import Crontab
from .errors import ScheduleError
from .exclusion import Except, OnExcept
from .instants import MICROSECOND, AnyOf, Clocked, Interval, Schedule
from .months import Months
from .rrule import RRule
from .solar import Solar

_LONGEST_US = 10**18


def schedule_to_spec(schedule: Schedule) -> dict[str, Any]:
    """The schedule as JSON data; `schedule_from_spec` gives it back. Raises: ScheduleError for a foreign class."""
    match schedule:
        case Interval():
            return {"every_us": schedule.every // MICROSECOND, "anchor_us": schedule.anchor_us}
        case Crontab():
            return _crontab_spec(schedule)
        case Clocked():
            return {"at_us": list(schedule.times_us)}
        case AnyOf():
            return {"any": [schedule_to_spec(each) for each in schedule.schedules]}
        case Months():
            return {"months": schedule.months, "anchor": schedule.anchor, **_zone_spec(schedule)}
        case RRule():
            return {"rrule": schedule.rule, "start": schedule.start, **_zone_spec(schedule)}
        case Solar():
            return {"solar": schedule.event, "latitude": schedule.latitude, "longitude": schedule.longitude}
        case Except():
            return {
                "except": [_blackout_spec(each) for each in schedule.out],
                "when": schedule_to_spec(schedule.when),
                "on_except": schedule.on_except.value,
            }
        case _:
            raise ScheduleError(
                f"a {type(schedule).__name__} cannot be stored", help="a class of schedule.py"
            )


def schedule_from_spec(spec: Mapping[str, Any]) -> Schedule:
    """The inverse of `schedule_to_spec`. Raises: ScheduleError for anything that it did not write."""
    match spec:
        case {"every_us": int(every_us), **rest}:
            anchor_us = _rest(rest, {"anchor_us": 0})["anchor_us"]
            if isinstance(anchor_us, int) and type(every_us) is int and 0 <= every_us < _LONGEST_US:
                return Interval(every=every_us * MICROSECOND, anchor_us=anchor_us)
        case {"cron": str()}:
            return _crontab(spec)
        case {"at_us": [*times], **rest} if not rest and all(type(time) is int for time in times):
            return Clocked(times_us=tuple(times))
        case {"any": [*specs], **rest} if not rest:
            return AnyOf(schedules=tuple(schedule_from_spec(each) for each in specs))
        case {"months": int(months), "anchor": str(anchor), **rest}:
            return Months(months=months, anchor=anchor, **_zone(rest))
        case {"rrule": str(rule), "start": str(start), **rest}:
            return RRule(rule=rule, start=start, **_zone(rest))
        case {"solar": str(event), "latitude": latitude, "longitude": longitude, **rest} if not rest:
            return Solar(event=event, latitude=latitude, longitude=longitude)
        case {"except": [*out], "when": when, **rest}:
            on_except = _member(OnExcept, _rest(rest, {"on_except": "skip"})["on_except"], "on_except")
            return Except(
                when=schedule_from_spec(when), out=tuple(_blackout(each) for each in out), on_except=on_except
            )
        case _:
            pass
    raise ScheduleError(
        f"{str(spec)[:80]!r} is not a stored schedule",
        help="every_us, cron, at_us, any, months, rrule, solar or except",
    )


def _crontab_spec(crontab: Crontab) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "cron": crontab.expression,
        "timezone": crontab.timezone,
        "dst": crontab.dst.value,
        "day_match": crontab.day_match.value,
    }
    if crontab.fields != 5:  # noqa: PLR2004 - what older versions knew, and read
        spec["fields"] = crontab.fields
    if crontab.hash_key:
        spec["hash_key"] = crontab.hash_key
    return spec


def _crontab(spec: Mapping[str, Any]) -> Crontab:
    usual = {"cron": "", "timezone": "UTC", "dst": "once", "day_match": "any", "fields": 5, "hash_key": ""}
    known = _rest(spec, usual)
    if not isinstance(known["hash_key"], str):
        raise ScheduleError(f"{str(spec)[:80]!r} is not a stored crontab", help="hash_key is a text")
    return Crontab(
        expression=known["cron"],
        timezone=known["timezone"],
        dst=_member(Dst, known["dst"], "dst"),
        day_match=_member(DayMatch, known["day_match"], "day_match"),
        fields=known["fields"],
        hash_key=known["hash_key"],
    )


def _blackout_spec(blackout: Blackout) -> dict[str, Any]:
    match blackout:
        case CronWindow():
            return _crontab_spec(blackout.crontab)
        case SpanWindow():
            return {"from_us": blackout.from_us, "to_us": blackout.to_us}
        case DailyWindow():
            return {"daily": [blackout.start, blackout.end], "timezone": blackout.timezone}
        case DaysWindow():
            return {"days": list(blackout.days), "timezone": blackout.timezone}


def _blackout(spec: Any) -> Blackout:
    match spec:
        case {"cron": str()}:
            return CronWindow(crontab=_crontab(spec))
        case {"from_us": int(from_us), "to_us": int(to_us), **rest} if not rest:
            return SpanWindow(from_us=from_us, to_us=to_us)
        case {"daily": [str(start), str(end)], **rest}:
            return DailyWindow(start=start, end=end, timezone=_window_zone(rest))
        case {"days": [*days], **rest} if all(isinstance(day, str) for day in days):
            return DaysWindow(days=tuple(days), timezone=_window_zone(rest))
        case _:
            raise ScheduleError(
                f"{str(spec)[:80]!r} is not a stored blackout", help="cron, from_us and to_us, daily or days"
            )


def _window_zone(rest: Mapping[Any, Any]) -> str:
    zone: str = _rest(rest, {"timezone": "UTC"})["timezone"]
    return zone


def _zone_spec(schedule: Months | RRule) -> dict[str, Any]:
    return {"timezone": schedule.timezone, "dst": schedule.dst.value}


def _zone(rest: Mapping[str, Any]) -> dict[str, Any]:
    known = _rest(rest, {"timezone": "UTC", "dst": "once"})
    return {"timezone": known["timezone"], "dst": _member(Dst, known["dst"], "dst")}


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
