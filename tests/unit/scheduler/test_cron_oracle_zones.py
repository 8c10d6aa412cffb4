"""Crontab against a walk over real minutes at the clock changes of every zone, 1970 to 2037, with fifty expressions at each.

A sample runs always; with BACKBEAT_ORACLE=all every different change does (`make oracle`), some minutes long. Zones that share a change share
its walk: what differs is only the name. The walk shares no code with the scheduler: expressions are made together with the sets that they
mean, and zoneinfo is asked minute by minute. The expressions of a change are made from what the clocks showed there.
"""

from __future__ import annotations

import calendar
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib import resources
from itertools import pairwise

import pytest
from backbeat.scheduler.schedule import Crontab, DayMatch, Dst, zone_named

ALL = os.environ.get("BACKBEAT_ORACLE") == "all"
DAY = 86_400
BEGIN = int(datetime(1970, 1, 1, tzinfo=UTC).timestamp())
END = int(datetime(2038, 1, 1, tzinfo=UTC).timestamp())
AROUND = 6 * 3_600
"""A walk's length before and after a change; clocks go back by three hours at most, or it is a correction."""
CORRECTION = 3 * 3_600
EXPRESSIONS = 50
SAMPLE_ZONES = 20
SAMPLE_CHANGES = 5


@dataclass(frozen=True, slots=True)
class Change:
    """A clock change as the clocks showed it: all that a schedule can see of it."""

    instant: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Line:
    """An expression and what it means: the minutes of a day, and the days."""

    expression: str
    minutes: frozenset[int]
    days: str
    """"all", or the name of a rule below."""
    day_match: DayMatch = DayMatch.ANY

    @property
    def wild(self) -> bool:
        minute, hour = self.expression.split()[:2]
        return minute[0] == "*" or hour[0] == "*"


def zone_files() -> list[str]:
    """One name for each different zone."""
    root = resources.files("tzdata")
    distinct: dict[bytes, str] = {}
    for name in root.joinpath("zones").read_text().split():
        distinct.setdefault(root.joinpath("zoneinfo", *name.split("/")).read_bytes(), name)
    return sorted(distinct.values())


def offset(name: str, second: int) -> int:
    found = datetime.fromtimestamp(second, zone_named(name)).utcoffset()
    assert found is not None
    return found // timedelta(seconds=1)


def changes_of(name: str) -> Iterator[Change]:
    """Looked for day by day; no zone has changed twice within one."""
    looks = range(BEGIN, END + DAY, DAY)
    for (morning, before), (next_morning, after) in pairwise((look, offset(name, look)) for look in looks):
        if before != after:
            low, high = morning, next_morning
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(name, middle) == before else (low, middle)
            yield Change(high, before, after)


def number(values: set[int]) -> str:
    return ",".join(map(str, sorted(values)))


def clock(change: Change) -> tuple[int, int]:
    """What the wall clocks showed at the change, before and after, in minutes of the day."""
    return (change.instant + change.before) % DAY // 60, (change.instant + change.after) % DAY // 60


def lines_of(change: Change) -> list[Line]:
    """Fifty: a third for any hour of the night, the others for the hours and the day of this change."""
    old, new = clock(change)
    low, high = min(old, new), max(old, new)
    if high - low > 720:  # over midnight
        low, high = high, low + 1440
    marks = {low - 1, low, low + 1, (low + high) // 2, high - 1, high, high + 1, high + 30}
    fixed = [mark % 1440 for mark in sorted(marks)]
    lines = [Line(f"{at % 60} {at // 60} * * *", frozenset({at}), "all") for at in fixed]
    lines += [
        Line(f"{at % 60} {at // 60} {number({1, 7, 31})} * *", frozenset({at}), "dates") for at in fixed
    ]
    hours = sorted({mark // 60 for mark in fixed})
    lines += [_line("0,15,30,45", {0, 15, 30, 45}, f"{hour}", {hour}) for hour in hours]
    lines += [_line("*/15", {0, 15, 30, 45}, f"{hour}", {hour}) for hour in hours]
    lines += [_line("*", set(range(60)), number(set(hours)), set(hours))]
    lines += [
        _line("59", {59}, number(set(hours)), set(hours)),
        _line("0-10", set(range(11)), number(set(hours)), set(hours)),
    ]
    of_day = local_day(change.instant + change.before), local_day(change.instant + change.after)
    weekdays = {(day.isoweekday() % 7) for day in of_day}
    for at in (low % 1440, (low + high) // 2 % 1440):
        one = frozenset({at})
        head = f"{at % 60} {at // 60}"
        lines += [
            Line(f"{head} * * {number(weekdays)}", one, f"weekdays {number(weekdays)}"),
            Line(f"{head} L * *", one, "last"),
            Line(f"{head} 1-15 * {number(weekdays)}", one, f"both {number(weekdays)}", DayMatch.ALL),
            Line(f"{head} 15 * {number(weekdays)}", one, f"either {number(weekdays)}"),
        ]
    lines += [
        _line("*", set(range(60)), "*", set(range(24))),
        _line("*/7", set(range(0, 60, 7)), "*", set(range(24))),
        _line("30", {30}, "*", set(range(24))),
        _line("5", {5}, "*/2", set(range(0, 24, 2))),
        _line("*/20", {0, 20, 40}, "*/3", set(range(0, 24, 3))),
        _line("0", {0}, "0-23", set(range(24))),
        _line("30", {30}, "0-6", set(range(7))),
        _line("0-59", set(range(60)), "0-23/2", set(range(0, 24, 2))),
    ]
    lines += [_line("10,40", {10, 40}, f"{hour}", {hour}) for hour in range(24)]
    distinct = {(line.expression, line.day_match): line for line in lines}
    return list(distinct.values())[:EXPRESSIONS]


def _line(minute: str, minutes: set[int], hour: str, hours: set[int]) -> Line:
    return Line(f"{minute} {hour} * * *", frozenset(h * 60 + m for h in hours for m in minutes), "all")


def local_day(local: int) -> date:
    return (datetime(1970, 1, 1) + timedelta(seconds=local)).date()


@cache
def has_day(rule: str, number_of_day: int) -> bool:
    day = local_day(number_of_day * DAY)
    kind, _, listed = rule.partition(" ")
    on_weekday = str(day.isoweekday() % 7) in listed.split(",")
    match kind:
        case "all":
            return True
        case "dates":
            return day.day in {1, 7, 31}
        case "weekdays":
            return on_weekday
        case "last":
            return day.day == calendar.monthrange(day.year, day.month)[1]
        case "both":
            return day.day <= 15 and on_weekday
        case "either":
            return day.day == 15 or on_weekday
        case _:
            raise AssertionError(rule)


def lived(name: str, change: Change) -> list[tuple[int, int]]:
    """(instant, local time) around a change, minute by minute; half minutes where offsets have them (Liberia until 1972)."""
    unit = 60 if change.before % 60 == change.after % 60 == 0 else 30
    return [
        (at, at + offset(name, at)) for at in range(change.instant - AROUND, change.instant + AROUND, unit)
    ]


def walk(line: Line, minutes: list[tuple[int, int]], dst: Dst) -> list[int]:
    unit = minutes[1][0] - minutes[0][0]

    def due(local: int) -> bool:
        return local % 60 == 0 and local % DAY // 60 in line.minutes and has_day(line.days, local // DAY)

    fires = {at for at, local in minutes if local % DAY // 60 in line.minutes and due(local)}
    if line.wild:
        return sorted(fires)
    seen: set[int] = set()
    previous = minutes[0][1] - unit
    for at, local in minutes:
        jump = local - previous - unit
        if jump < -CORRECTION:
            seen.clear()
        if local in seen and dst is not Dst.TWICE:
            fires.discard(at)
        if (
            0 < jump <= CORRECTION
            and dst is not Dst.SKIP
            and any(map(due, range(previous + unit, local, unit)))
        ):
            fires.add(at)
        seen.add(local)
        previous = local
    return sorted(fires)


def asked(line: Line, name: str, dst: Dst, begin: int, end: int) -> list[int]:
    schedule = Crontab(expression=line.expression, timezone=name, dst=dst, day_match=line.day_match)
    found = []
    at = schedule.next_after(begin * 1_000_000 - 1)
    while at is not None and at < end * 1_000_000:
        found.append(at // 1_000_000)
        at = schedule.next_after(at)
    return found


def differences(name: str, change: Change) -> list[str]:
    minutes = lived(name, change)
    begin, end = minutes[0][0], change.instant + AROUND
    found = []
    lines = lines_of(change)
    assert len(lines) == EXPRESSIONS
    for line in lines:
        for dst in Dst:
            walked = walk(line, minutes, dst)
            answers = asked(line, name, dst, begin, end)
            if walked != answers:
                found.append(f"{name} {change} {line.expression} {dst}: walked {walked}, answered {answers}")
    return found


def test_fifty_expressions_at_each_change_have_their_own_meaning() -> None:
    change = Change(1_774_746_000, 3_600, 7_200)  # Berlin, March 2026

    lines = lines_of(change)

    assert len(lines) == EXPRESSIONS
    minutes = lived("Europe/Berlin", change)
    walks = [walk(line, minutes, Dst.ONCE) for line in lines]
    assert sum(bool(found) for found in walks) > 25
    assert sum(change.instant in found for found in walks) > 10


@pytest.mark.timeout(3_600 if ALL else 120)
def test_at_the_changes_of_zones_fires_are_those_of_a_walk_over_real_minutes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    zones = zone_files()
    distinct: dict[tuple[Change, ...], tuple[str, Change]] = {}
    met = 0
    for name in zones if ALL else zones[:: len(zones) // SAMPLE_ZONES]:
        changes = list(changes_of(name))
        met += len(changes)
        for change in changes if ALL else changes[:: max(1, len(changes) // SAMPLE_CHANGES)]:
            near = tuple(other for other in changes if abs(other.instant - change.instant) <= 2 * AROUND)
            distinct.setdefault((change, *near), (name, change))

    found = [each for name, change in distinct.values() for each in differences(name, change)]

    if ALL:
        with capsys.disabled():
            print(
                f"\noracle: {len(zones)} different zones, {met} changes, {len(distinct)} different ones x {EXPRESSIONS} expressions "
                f"x {len(Dst)} rules = {len(distinct) * EXPRESSIONS * len(Dst)} walks, {len(found)} differences"
            )
    assert found == []
    assert len(distinct) > (5_000 if ALL else 60)
