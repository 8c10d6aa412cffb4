"""Months against a naive walk over the calendar; the clamped day, the clock-change rules, and `every:` texts."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from backbeat.scheduler.errors import ScheduleError
from backbeat.scheduler.schedule import Dst, MonthCount, Months, parse_every
from hypothesis import given, settings
from hypothesis import strategies as st

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def us(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def fires(schedule: Months, start: str, n: int) -> list[str]:
    found, at = [], us(start)
    for _ in range(n):
        following = schedule.next_after(at)
        assert following is not None
        at = following
        found.append((EPOCH + timedelta(microseconds=at)).isoformat()[:16])
    return found


def test_the_31st_is_clamped_to_each_month_and_comes_back() -> None:
    schedule = Months(months=1, anchor="2026-01-31T09:00")

    assert fires(schedule, "2026-01-30T00:00+00:00", 5) == [
        "2026-01-31T09:00",
        "2026-02-28T09:00",
        "2026-03-31T09:00",
        "2026-04-30T09:00",
        "2026-05-31T09:00",
    ]


def test_a_leap_day_s_year_comes_on_28_february_between() -> None:
    schedule = Months(months=12, anchor="2024-02-29")

    assert fires(schedule, "2026-01-01T00:00+00:00", 3) == [
        "2026-02-28T00:00",
        "2027-02-28T00:00",
        "2028-02-29T00:00",
    ]


@pytest.mark.parametrize(
    ("dst", "start", "expected"),
    [
        (Dst.ONCE, "2026-03-01T00:00+00:00", "2026-03-29T01:00"),
        (Dst.SKIP, "2026-03-01T00:00+00:00", "2026-04-29T00:30"),
        (Dst.TWICE, "2026-03-01T00:00+00:00", "2026-03-29T01:00"),
        (Dst.ONCE, "2026-03-29T01:00+00:00", "2026-04-29T00:30"),
    ],
)
def test_a_time_that_clocks_skip_follows_the_rule(dst: Dst, start: str, expected: str) -> None:
    schedule = Months(months=1, anchor="2026-01-29T02:30", timezone="Europe/Berlin", dst=dst)

    assert fires(schedule, start, 1) == [expected]


@pytest.mark.parametrize(
    ("dst", "expected"),
    [
        (Dst.ONCE, ["2026-10-25T00:30", "2026-11-25T01:30"]),
        (Dst.SKIP, ["2026-10-25T00:30", "2026-11-25T01:30"]),
        (Dst.TWICE, ["2026-10-25T00:30", "2026-10-25T01:30", "2026-11-25T01:30"]),
    ],
)
def test_a_time_that_clocks_repeat_follows_the_rule(dst: Dst, expected: list[str]) -> None:
    schedule = Months(months=1, anchor="2026-01-25T02:30", timezone="Europe/Berlin", dst=dst)

    assert fires(schedule, "2026-10-01T00:00+00:00", len(expected)) == expected


def naive_walk(anchor: datetime, months: int, after: datetime) -> datetime:
    """Month by month from long before `after`."""
    month = anchor.year * 12 + anchor.month - 1
    step = -(20_000 // months) - 1
    while True:
        year, index = divmod(month + step * months, 12)
        if 1 <= year <= 9_999:
            day = min(anchor.day, calendar.monthrange(year, index + 1)[1])
            found = anchor.replace(year=year, month=index + 1, day=day)
            if found > after:
                return found
        step += 1


@settings(max_examples=100, deadline=None)
@given(
    st.datetimes(datetime(1950, 1, 1), datetime(2090, 1, 1)).map(lambda at: at.replace(microsecond=0)),
    st.integers(1, 480),
    st.datetimes(datetime(1950, 1, 1), datetime(2090, 1, 1)),
    st.integers(0, 10**13),
)
def test_months_are_those_of_a_naive_walk_from_wherever_they_are_asked(
    anchor: datetime, months: int, after: datetime, later: int
) -> None:
    schedule = Months(months=months, anchor=anchor.isoformat())
    after_us = us(f"{after.isoformat()}+00:00")

    expected = us(f"{naive_walk(anchor, months, after).isoformat()}+00:00")

    assert schedule.next_after(after_us) == expected
    assert schedule.next_after(min(after_us + later, expected - 1)) == expected


def test_the_longest_wait_is_found_in_a_zone_with_clock_changes() -> None:
    schedule = Months(months=480, anchor="2000-07-01T12:00", timezone="Europe/Berlin")

    assert fires(schedule, "2000-07-01T12:00+00:00", 2) == ["2040-07-01T10:00", "2080-07-01T10:00"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"months": 0}, '"0" months'),
        ({"months": -1}, '"-1" months'),
        ({"months": 481}, '"481" months'),
        ({"months": True}, '"True" months'),
        ({"months": 1.5}, '"1.5" months'),
        ({"months": 1, "anchor": "2026-02-30"}, 'anchor "2026-02-30" is not a local time'),
        ({"months": 1, "anchor": "2026-01-01T00:00Z"}, "is not a local time"),
        ({"months": 1, "anchor": "2026-01-01T00:00+01:00"}, "is not a local time"),
        ({"months": 1, "anchor": "soon"}, "is not a local time"),
        ({"months": 1, "anchor": None}, "is not a local time"),
        ({"months": 1, "timezone": "Europe/Berln"}, "did you mean Europe/Berlin"),
    ],
)
def test_nonsense_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        Months(**wrong)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1mo", MonthCount(1)),
        ("3mo", MonthCount(3)),
        ("1y", MonthCount(12)),
        ("2y6mo", MonthCount(30)),
        (" 1mo ", MonthCount(1)),
        ("5m", timedelta(minutes=5)),
        ("1h30m", timedelta(minutes=90)),
        (90, timedelta(seconds=90)),
    ],
)
def test_every_takes_months_beside_durations(text: str | float, expected: object) -> None:
    assert parse_every(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1mo2d", "is not a number of calendar months"),
        ("6mo2y", "is not a number of calendar months"),
        ("1y1d", "is not a number of calendar months"),
        ("1.5mo", "is not a duration"),
        ("0mo", "is not more than zero"),
        ("mo", "is not a duration"),
        ("y", "is not a duration"),
        ("-1mo", "is not a duration"),
        ("9999999mo", "is not a"),
        (True, "is not a duration"),
    ],
)
def test_every_refuses_what_is_neither(text: Any, message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        parse_every(text)
