"""ClockNote: what the coming clock changes mean for one schedule, in a sentence each, for `explain`, `next` and `simulate`.

PURE. It compares the schedule with itself under the other rules for skipped and repeated hours (clock_change.py): where they differ
around a change, somebody may be surprised, and is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from .clock_change import CORRECTION, Dst
from .schedule import AnyOf, Crontab, Except, Months, RRule, Schedule
from .zone import zone_named, zone_rules

SECOND_US = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Zoned = Crontab | Months | RRule


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockNote:
    """At `at_us` the clock of `zone` changes, and this is what the schedule does about it."""

    at_us: int
    zone: str
    text: str


def clock_notes(schedule: Schedule, from_us: int, to_us: int) -> list[ClockNote]:
    """The clock changes later than `from_us` and not later than `to_us` that touch the schedule, in order; equal ones once."""
    found = {note for zoned in _zoned(schedule) for note in _notes(zoned, from_us, to_us)}
    return sorted(found, key=lambda note: (note.at_us, note.zone, note.text))


def clock_changes(zone: str, from_us: int, to_us: int) -> list[tuple[int, int, int]]:
    """(instant in microseconds, offset before, offset after in seconds) of each change of a zone in the span."""
    rules = zone_rules(zone)
    second, end = from_us // SECOND_US + 1, to_us // SECOND_US
    found: list[tuple[int, int, int]] = []
    while second <= end:
        bounds, offsets = rules.reach(second)
        changes = zip(bounds[1:-1], pairwise(offsets), strict=True)
        found += [
            (at * SECOND_US, before, after)
            for at, (before, after) in changes
            if second <= at <= min(end, bounds[-1] - 1)
        ]
        second = max(bounds[-1], second + 1)
    return found


def _zoned(schedule: Schedule) -> Iterator[Zoned]:
    match schedule:
        case Crontab() | Months() | RRule():
            yield schedule
        case AnyOf():
            for each in schedule.schedules:
                yield from _zoned(each)
        case Except():
            yield from _zoned(schedule.when)


def _notes(zoned: Zoned, from_us: int, to_us: int) -> Iterator[ClockNote]:
    for at_us, before, after in clock_changes(zoned.timezone, from_us, to_us):
        if abs(after - before) > CORRECTION:
            continue
        text = _gap(zoned, at_us) if after > before else _fold(zoned, at_us, before - after)
        if text is not None:
            yield ClockNote(at_us=at_us, zone=zoned.timezone, text=text)


def _gap(zoned: Zoned, at_us: int) -> str | None:
    """The times that a schedule puts off to the end of a gap are those that it does not have when it shall skip them."""
    put_off = _fires(replace(zoned, dst=Dst.ONCE), at_us - 1, at_us)
    skipping = _fires(replace(zoned, dst=Dst.SKIP), at_us - 1, at_us)
    if put_off == skipping:
        return None
    if zoned.dst is Dst.SKIP:
        return "its time does not exist on that day: it does not run (dst: skip)"
    return f"its time does not exist on that day: it runs at {_local(at_us, zoned.timezone)}, when the clock has changed"


def _fold(zoned: Zoned, at_us: int, seconds: int) -> str | None:
    end_us = at_us + seconds * SECOND_US
    once = _fires(replace(zoned, dst=Dst.ONCE), at_us - seconds * SECOND_US - 1, end_us)
    twice = _fires(replace(zoned, dst=Dst.TWICE), at_us - seconds * SECOND_US - 1, end_us)
    if once == twice:
        return None
    again = _local(twice[-1], zoned.timezone)
    if zoned.dst is Dst.TWICE:
        return f"its time comes twice on that day: it runs both times, again at {again} (dst: twice)"
    return f"its time comes twice on that day: it runs the first time, not again at {again}"


def _fires(schedule: Schedule, after_us: int, until_us: int) -> list[int]:
    found: list[int] = []
    fire_us = schedule.next_after(after_us)
    while fire_us is not None and fire_us <= until_us and len(found) < 10_000:  # noqa: PLR2004 - a second's entry in three hours
        found.append(fire_us)
        fire_us = schedule.next_after(fire_us)
    return found


def _local(at_us: int, zone: str) -> str:
    return (_EPOCH + timedelta(microseconds=at_us)).astimezone(zone_named(zone)).strftime("%H:%M%z")
