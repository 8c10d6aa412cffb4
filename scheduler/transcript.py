"""Transcript: a whole entry as a schedules file says it, with the calendars that it needs beside it.

PURE. imports/definition.py writes what other schedulers know, too; this adds what only we have: calendar months and blackouts.
The inverse of files/: what is written here is read as the same entry again. Zones stand where they are not UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from .entry import Entry
from .imports.definition import definition_of, moment_text
from .schedule import (
    Blackout,
    CronWindow,
    DailyWindow,
    DayMatch,
    DaysWindow,
    Dst,
    Except,
    Interval,
    Months,
    OnExcept,
    SpanWindow,
)

_ANY = Interval(every=timedelta(hours=1))
_YEAR = 12
_USUAL_ANCHORS = ("1970-01-01T00:00", "1970-01-01T00:00:00")
"""That of Months, and that of a file that names none."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """The keys of one schedule, in the order in which people read them; and calendars, by names that are the entry's own."""

    keys: Mapping[str, Any]
    calendars: Mapping[str, Sequence[str]] = field(default_factory=dict)


def transcribe(entry: Entry) -> Transcript:
    """The entry as a file with `timezone: UTC` says it. Raises ScheduleError for what no file can say."""
    if not isinstance(entry.when, Except):
        return Transcript(_keys(entry))
    calendars: dict[str, Sequence[str]] = {}
    windows = [_window(out, entry.name, calendars) for out in entry.when.out]
    keys = {**_keys(replace(entry, when=entry.when.when)), "except": windows}
    if entry.when.on_except is not OnExcept.SKIP:
        keys["on_except"] = entry.when.on_except.value
    return Transcript(keys, calendars)


def _keys(entry: Entry) -> dict[str, Any]:
    if not isinstance(entry.when, Months):
        return definition_of(entry, "UTC")
    months = entry.when
    years, rest = divmod(months.months, _YEAR)
    every = f"{years}y{rest}mo" if years and rest else f"{years}y" if years else f"{rest}mo"
    when: dict[str, Any] = {"every": every}
    if months.anchor not in _USUAL_ANCHORS:
        when["anchor"] = months.anchor
    if months.timezone != "UTC":
        when["timezone"] = months.timezone
    if months.dst is not Dst.ONCE:
        when["dst"] = months.dst.value
    return definition_of(replace(entry, when=_ANY), "UTC") | when


def _window(out: Blackout, name: str, calendars: dict[str, Sequence[str]]) -> dict[str, Any]:
    match out:
        case SpanWindow():
            return {"from": moment_text(out.from_us), "to": moment_text(out.to_us)}
        case DailyWindow():
            return {"from": out.start, "to": out.end, "timezone": out.timezone}
        case CronWindow():
            cron = out.crontab
            keys: dict[str, Any] = {"cron": cron.expression, "timezone": cron.timezone}
            keys |= {} if cron.fields == 5 else {"cron_fields": cron.fields}  # noqa: PLR2004 - cron's own number
            return keys | ({"day_match": "all"} if cron.day_match is DayMatch.ALL else {})
        case DaysWindow():
            calendar = f"{name} days {len(calendars) + 1}"
            calendars[calendar] = list(out.days)
            return {"calendar": calendar, "timezone": out.timezone}
