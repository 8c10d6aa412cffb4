"""Crontab against an oracle: a walk over real minutes, one after the other, as a cron daemon lives them.

The walk is slow, and simple enough to be believed. It shares no code with the scheduler: fields are sets that the tests draw
themselves, and zones are asked minute by minute. Random lines at some changes; test_cron_oracle_zones.py has all changes of all
zones, test_cron_cronsim.py a second engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise, takewhile

import pytest
from backbeat.scheduler.schedule import Crontab, DayMatch, Dst, zone_named
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

MINUTE = timedelta(minutes=1)
CORRECTION = timedelta(hours=3)


@dataclass(frozen=True)
class Line:
    """A cron line whose meaning is known from how it was made, not from reading its text."""

    texts: tuple[str, ...]
    values: tuple[frozenset[int], ...]

    @property
    def expression(self) -> str:
        return " ".join(self.texts)

    @property
    def wild(self) -> bool:
        return self.texts[0][0] == "*" or self.texts[1][0] == "*"

    def matches(self, local: datetime, *, both_days: bool) -> bool:
        minutes, hours, dates, months, weekdays = self.values
        if local.minute not in minutes or local.hour not in hours or local.month not in months:
            return False
        by_date, by_weekday = local.day in dates, local.isoweekday() % 7 in weekdays
        if both_days or self.texts[2][0] == "*" or self.texts[4][0] == "*":
            return by_date and by_weekday
        return by_date or by_weekday


@lru_cache(maxsize=64)
def minutes_of(zone: str, begin: datetime, minutes: int) -> tuple[tuple[datetime, datetime], ...]:
    """(UTC, naive local) of each real minute."""
    tz = zone_named(zone)
    utc = [begin + i * MINUTE for i in range(minutes)]
    return tuple((instant, instant.astimezone(tz).replace(tzinfo=None)) for instant in utc)


def walk(
    line: Line, zone: str, begin: datetime, minutes: int, dst: str = "once", *, both_days: bool = False
) -> list[datetime]:
    """All fires of the walk. Repeated and skipped times are judged by what the walk has seen, so begin it well before the change."""
    assert begin.tzinfo is UTC
    fires: list[datetime] = []
    lived: set[datetime] = set()
    previous: datetime | None = None
    for instant, local in minutes_of(zone, begin, minutes):
        due = line.matches(local, both_days=both_days)
        if not line.wild:
            last = local - MINUTE if previous is None else previous
            jump = local - last - MINUTE
            if jump < -CORRECTION:
                lived.clear()
            if due and local in lived and dst != "twice":
                due = False
            if timedelta(0) < jump <= CORRECTION and dst != "skip":
                skipped = [last + (i + 1) * MINUTE for i in range(jump // MINUTE)]
                due = due or any(line.matches(lost, both_days=both_days) for lost in skipped)
            lived.add(local)
        if due:
            fires.append(instant)
        previous = local
    return fires


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND_US = 1_000_000

# Zone and the UTC day of a change: whole and half hours, two hours, midnight, 00:01, negative summer time, Ramadan, lost days.
CHANGES = [
    ("Europe/Berlin", "2026-03-29"),
    ("Europe/Berlin", "2026-10-25"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-04"),
    ("Australia/Lord_Howe", "2026-10-03"),
    ("America/Sao_Paulo", "2018-02-18"),
    ("America/Sao_Paulo", "2018-11-04"),
    ("Pacific/Apia", "2011-12-30"),
    ("Pacific/Apia", "2012-03-31"),
    ("Africa/Cairo", "2024-04-25"),
    ("Africa/Cairo", "2024-10-31"),
    ("Asia/Beirut", "2025-03-29"),
    ("Asia/Beirut", "2025-10-25"),
    ("Europe/Dublin", "2026-03-29"),
    ("Europe/Dublin", "2026-10-25"),
    ("Africa/Casablanca", "2025-02-23"),
    ("Africa/Casablanca", "2025-04-06"),
    ("Antarctica/Troll", "2026-03-29"),
    ("Antarctica/Troll", "2026-10-25"),
    ("America/Asuncion", "2023-10-01"),
    ("America/Asuncion", "2024-03-24"),
    ("America/St_Johns", "2010-03-14"),
    ("America/St_Johns", "2010-11-07"),
    ("Pacific/Kwajalein", "1993-08-21"),
    ("Antarctica/Vostok", "1994-02-01"),
    ("Asia/Tokyo", "2026-03-29"),
]
WALK_MINUTES = 4 * 1440


def walk_of(day: str) -> datetime:
    """The begin of a walk that has the day's change in its middle."""
    return datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(hours=36)


def fires_of(schedule: Crontab, begin: datetime, end: datetime) -> list[datetime]:
    def chain() -> Iterator[int]:
        fire = schedule.next_after(us(begin) - 1)
        while fire is not None:
            yield fire
            fire = schedule.next_after(fire)

    return [EPOCH + timedelta(microseconds=fire) for fire in takewhile(lambda fire: fire < us(end), chain())]


def us(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)


@st.composite
def fields(draw: st.DrawFn, low: int, high: int, near: tuple[int, ...] = ()) -> tuple[str, frozenset[int]]:
    """A field's text and its values, drawn together. `near` are values that lie close to clock changes."""
    values = st.sampled_from(near) | st.integers(low, high) if near else st.integers(low, high)
    texts: list[str] = []
    meant: set[int] = set()
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        shape = draw(st.sampled_from(["value", "value", "range", "steps", "star steps"]))
        first, last, step = draw(values), draw(values), draw(st.integers(1, max(2, (high - low) // 2)))
        first, last = min(first, last), max(first, last)
        match shape:
            case "value":
                texts.append(f"{first}")
                meant |= {first}
            case "range":
                texts.append(f"{first}-{last}")
                meant |= set(range(first, last + 1))
            case "steps":
                texts.append(f"{first}-{last}/{step}")
                meant |= set(range(first, last + 1)[::step])
            case _:
                texts.append(f"*/{step}")
                meant |= set(range(low, high + 1)[::step])
    return ",".join(texts), frozenset(meant)


STARS = [
    frozenset(range(60)),
    frozenset(range(24)),
    frozenset(range(1, 32)),
    frozenset(range(1, 13)),
    frozenset(range(7)),
]


def star(place: int) -> st.SearchStrategy[tuple[str, frozenset[int]]]:
    return st.just(("*", STARS[place]))


MINUTES = star(0) | fields(0, 59, near=(0, 1, 29, 30, 31, 59))
HOURS = star(1) | fields(0, 23, near=(0, 1, 2, 3, 22, 23))
DATES = star(2) | star(2) | fields(1, 31)
MONTHS = star(3) | star(3) | fields(1, 12)
WEEKDAYS = star(4) | star(4) | fields(0, 6)


def line_of(parts: tuple[tuple[str, frozenset[int]], ...]) -> Line:
    texts, values = zip(*parts, strict=True)
    return Line(texts=texts, values=values)


LINES = st.tuples(MINUTES, HOURS, DATES, MONTHS, WEEKDAYS).map(line_of)
FIXED_NEAR = st.tuples(
    fields(0, 59, near=(0, 1, 15, 30, 45, 59)),
    fields(0, 23, near=(0, 1, 2, 3, 23)),
    star(2),
    star(3),
    star(4),
).map(line_of)


def crontab_of(line: Line, zone: str, dst: Dst = Dst.ONCE, day_match: DayMatch = DayMatch.ANY) -> Crontab:
    months = line.values[3]
    long_enough = {1: 31, 2: 29, 4: 30, 6: 30, 9: 30, 11: 30}
    possible = any(date <= long_enough.get(month, 31) for month in months for date in line.values[2])
    assume(possible)
    return Crontab(expression=line.expression, timezone=zone, dst=dst, day_match=day_match)


@pytest.mark.parametrize(("zone", "day"), [change for change in CHANGES if change[0] != "Asia/Tokyo"])
def test_each_walk_contains_a_change_with_a_day_of_life_before_it(zone: str, day: str) -> None:
    lived = minutes_of(zone, walk_of(day), WALK_MINUTES)

    jumps = [i for i in range(1, len(lived)) if lived[i][1] - lived[i - 1][1] != MINUTE]

    assert len(jumps) == 1
    assert 1440 <= jumps[0] <= WALK_MINUTES - 1440


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    LINES | FIXED_NEAR, st.sampled_from(CHANGES), st.sampled_from(list(Dst)), st.sampled_from(list(DayMatch))
)
def test_fires_are_those_of_a_walk_over_real_minutes(
    line: Line, change: tuple[str, str], dst: Dst, day_match: DayMatch
) -> None:
    zone, begin = change[0], walk_of(change[1])
    schedule = crontab_of(line, zone, dst, day_match)

    walked = walk(line, zone, begin, WALK_MINUTES, dst.value, both_days=day_match is DayMatch.ALL)

    event(f"fires: {'none' if not walked else 'some'}, wild: {line.wild}")
    assert fires_of(schedule, begin, begin + WALK_MINUTES * MINUTE) == walked


@pytest.mark.parametrize("dst", list(Dst))
@pytest.mark.parametrize(("zone", "day"), CHANGES)
def test_every_quarter_of_a_day_around_every_change_is_the_walks(zone: str, day: str, dst: Dst) -> None:
    begin, found = walk_of(day), 0
    for hour in (0, 1, 2, 3, 23):
        for minute, text in [(0, "0"), (30, "30"), (59, "59"), (None, "*/20")]:
            minutes = frozenset({0, 20, 40}) if minute is None else frozenset({minute})
            line = Line((text, str(hour), "*", "*", "*"), (minutes, frozenset({hour}), *STARS[2:]))

            walked = walk(line, zone, begin, WALK_MINUTES, dst.value)

            schedule = Crontab(expression=line.expression, timezone=zone, dst=dst)
            assert fires_of(schedule, begin, begin + WALK_MINUTES * MINUTE) == walked, line.expression
            found += len(walked)
    assert found > 50


def change_in(zone: str, begin: datetime) -> datetime:
    lived = minutes_of(zone, begin, WALK_MINUTES)
    return next(
        (now[0] for last, now in pairwise(lived) if now[1] - last[1] != MINUTE), begin + timedelta(hours=36)
    )


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    LINES | FIXED_NEAR,
    st.sampled_from(CHANGES),
    st.integers(-4 * 3600, 4 * 3600),
    st.integers(-1, 1),
    st.sampled_from(list(Dst)),
)
def test_the_answer_does_not_depend_on_where_the_question_is_asked_from(
    line: Line, change: tuple[str, str], seconds: int, microseconds: int, dst: Dst
) -> None:
    begin = walk_of(change[1])
    schedule = crontab_of(line, change[0], dst)
    after = us(change_in(change[0], begin)) + seconds * SECOND_US + microseconds

    walked = [us(fire) for fire in walk(line, change[0], begin, WALK_MINUTES, dst.value)]

    expected = next((fire for fire in walked if fire > after), None)
    answer = schedule.next_after(after)
    assert answer is None or answer > after
    if expected is not None:
        assert answer == expected
    else:
        assert answer is None or answer >= us(begin + WALK_MINUTES * MINUTE)
