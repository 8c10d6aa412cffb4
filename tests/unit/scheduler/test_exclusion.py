"""Except: against a brute force over minutes, and what blackouts mean around clock changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import takewhile
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from backbeat.scheduler.blackout import Blackout
from backbeat.scheduler.errors import ScheduleError
from backbeat.scheduler.schedule import (
    AnyOf,
    Clocked,
    Crontab,
    CronWindow,
    DailyWindow,
    DaysWindow,
    Except,
    Interval,
    OnExcept,
    Schedule,
    SpanWindow,
    zone_named,
)
from hypothesis import given, settings
from hypothesis import strategies as st

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE_US = 60_000_000
DAYS = 5


def us(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def fires(schedule: Schedule, start: str, n: int, zone: str = "UTC") -> list[str]:
    found: list[str] = []
    at = us(start) - 1
    while len(found) < n and (following := schedule.next_after(at)) is not None:
        at = following
        found.append(
            (EPOCH + timedelta(microseconds=at)).astimezone(ZoneInfo(zone)).strftime("%m-%dT%H:%M:%S")
        )
    return found


def every(minutes: int) -> Interval:
    return Interval(every=timedelta(minutes=minutes))


NIGHT = DailyWindow(start="22:00", end="06:00")
HOURLY = Crontab(expression="0 * * * *")


@pytest.mark.parametrize(
    ("when", "out", "on_except", "start", "expected"),
    [
        (
            HOURLY,
            (NIGHT,),
            "skip",
            "2026-01-01T20:30+00:00",
            ["01-01T21:00:00", "01-02T06:00:00", "01-02T07:00:00"],
        ),
        (
            Crontab(expression="30 * * * *"),
            (NIGHT,),
            "defer",
            "2026-01-01T20:50+00:00",
            ["01-01T21:30:00", "01-02T06:00:00", "01-02T06:30:00"],
        ),
        # a fire time at the end of the blackout and the deferred ones are one
        (HOURLY, (NIGHT,), "defer", "2026-01-01T21:30+00:00", ["01-02T06:00:00", "01-02T07:00:00"]),
        # blackouts that touch are one
        (
            Crontab(expression="0 23 * * *"),
            (NIGHT, DaysWindow(days=("2026-01-02", "2026-01-03"))),
            "defer",
            "2026-01-01T12:00+00:00",
            ["01-04T06:00:00", "01-05T06:00:00"],
        ),
        (
            Crontab(expression="0 9 * * *"),
            (DaysWindow(days=("2026-12-25", "2026-12-26")),),
            "skip",
            "2026-12-24T00:00+00:00",
            ["12-24T09:00:00", "12-27T09:00:00"],
        ),
        (
            Crontab(expression="*/15 * * * *"),
            (CronWindow(crontab=Crontab(expression="0,15 10-12 * * *")),),
            "skip",
            "2026-01-01T09:40+00:00",
            ["01-01T09:45:00", "01-01T10:30:00", "01-01T10:45:00", "01-01T11:30:00"],
        ),
        (
            Crontab(expression="0 10 * * *"),
            (CronWindow(crontab=Crontab(expression="0-4 10 * * *")),),
            "defer",
            "2026-01-01T09:40+00:00",
            ["01-01T10:05:00", "01-02T10:05:00"],
        ),
        (
            Interval(every=timedelta(seconds=10)),
            (CronWindow(crontab=Crontab(expression="0-19,40-59 * * * * *", fields=6)),),
            "skip",
            "2026-01-01T00:00+00:00",
            ["01-01T00:00:20", "01-01T00:00:30", "01-01T00:01:20"],
        ),
        (
            Clocked(times_us=(us("2026-01-01T12:00+00:00"),)),
            (SpanWindow(from_us=us("2026-01-01T12:00+00:00"), to_us=us("2026-01-02T00:00+00:00")),),
            "defer",
            "2026-01-01T00:00+00:00",
            ["01-02T00:00:00"],
        ),
        (
            Clocked(times_us=(us("2026-01-01T12:00+00:00"),)),
            (SpanWindow(from_us=us("2026-01-01T12:00+00:00"), to_us=us("2026-01-02T00:00+00:00")),),
            "skip",
            "2026-01-01T00:00+00:00",
            [],
        ),
        (
            Clocked(times_us=(us("2026-01-02T00:00+00:00"),)),
            (SpanWindow(from_us=us("2026-01-01T12:00+00:00"), to_us=us("2026-01-02T00:00+00:00")),),
            "skip",
            "2026-01-01T00:00+00:00",
            ["01-02T00:00:00"],
        ),
    ],
)
def test_what_falls_into_a_blackout(
    when: Schedule, out: tuple[Blackout, ...], on_except: str, start: str, expected: list[str]
) -> None:
    schedule = Except(when=when, out=out, on_except=OnExcept(on_except))

    assert fires(schedule, start, len(expected) or 1) == expected


@pytest.mark.parametrize(
    ("out", "start", "expected"),
    [
        # the hour 02 does not exist; the window ends with it
        (DailyWindow(start="01:30", end="02:30", timezone="Europe/Berlin"), "2026-03-29T00:00+00:00", ["01:00:00", "01:15:00", "03:00:00"]),
        # it comes twice, and is blacked out both times
        (DailyWindow(start="02:00", end="03:00", timezone="Europe/Berlin"), "2026-10-24T23:45+00:00", ["01:45:00", "03:00:00", "03:15:00"]),
        (CronWindow(crontab=Crontab(expression="* 2 * * *", timezone="Europe/Berlin")), "2026-10-24T23:45+00:00", ["01:45:00", "03:00:00"]),
        # a day of 25 hours
        (DaysWindow(days=("2026-10-25",), timezone="Europe/Berlin"), "2026-10-24T21:45+00:00", ["23:45:00", "00:00:00"]),
    ],
)  # fmt: skip
def test_blackouts_are_of_the_wall_clock(out: Blackout, start: str, expected: list[str]) -> None:
    schedule = Except(when=every(15), out=(out,))

    assert [text[6:] for text in fires(schedule, start, len(expected), "Europe/Berlin")] == expected


# --- brute force: every minute of seven days, one after the other

ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns"])
CLOCK = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))
BEGIN = {"2026-03-26": us("2026-03-26T00:00+00:00"), "2026-10-22": us("2026-10-22T00:00+00:00")}


@st.composite
def windows(draw: st.DrawFn) -> Blackout:
    match draw(st.sampled_from(["cron", "span", "daily", "days"])):
        case "cron":
            minute = draw(st.sampled_from(["*", "0", "*/2", "0-29", "59", "58,59,0,1"]))
            hour = draw(st.sampled_from(["*", "2", "0-5", "23,0", "9-17"]))
            day = draw(st.sampled_from(["* * *", "* * sat,sun", "25-31 * *", "* 3 *", "L * *"]))
            if (minute, hour, day) == ("*", "*", "* * *"):
                minute = "0"
            return CronWindow(crontab=Crontab(expression=f"{minute} {hour} {day}", timezone=draw(ZONES)))
        case "span":
            begin = (
                draw(st.sampled_from(sorted(BEGIN.values()))) + draw(st.integers(0, DAYS * 1440)) * MINUTE_US
            )
            return SpanWindow(from_us=begin, to_us=begin + draw(st.integers(1, 3_000)) * MINUTE_US)
        case "daily":
            start, end = draw(st.lists(CLOCK, min_size=2, max_size=2, unique=True))
            return DailyWindow(start=start, end=end, timezone=draw(ZONES))
        case _:
            days = draw(st.lists(st.integers(24, 31), min_size=1, max_size=4))
            month = draw(st.sampled_from([3, 10]))
            return DaysWindow(days=tuple(f"2026-{month:02}-{day}" for day in days), timezone=draw(ZONES))


@cache
def local_time(zone: str, at: int) -> datetime:
    return (EPOCH + timedelta(microseconds=at)).astimezone(zone_named(zone)).replace(tzinfo=None)


def is_out(window: Blackout, at: int) -> bool:
    """Naively, from the meaning of each window."""
    match window:
        case SpanWindow():
            return window.from_us <= at < window.to_us
        case DailyWindow():
            text = f"{local_time(window.timezone, at):%H:%M}"
            if window.start < window.end:
                return window.start <= text < window.end
            return not window.end <= text < window.start
        case DaysWindow():
            return f"{local_time(window.timezone, at):%Y-%m-%d}" in window.days
        case CronWindow():
            local = local_time(window.crontab.timezone, at) - datetime(1970, 1, 1)
            asked = local // timedelta(seconds=1)
            return window.crontab.cron.next_local(asked - 1) == asked


WHENS: list[Schedule] = [
    every(7),
    every(60),
    Crontab(expression="30 2 * * *", timezone="Europe/Berlin"),
    Crontab(expression="0 */5 * * *"),
    AnyOf(schedules=(every(600), Crontab(expression="59 23 * * *"))),
    Clocked(
        times_us=tuple(
            begin + hours * 3_600_000_000 for begin in BEGIN.values() for hours in (5, 50, 51, 120)
        )
    ),
]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(WHENS),
    st.lists(windows(), min_size=1, max_size=3),
    st.sampled_from(OnExcept),
    st.sampled_from(sorted(BEGIN.values())),
    st.lists(st.integers(0, DAYS * 1440 * MINUTE_US), max_size=5),
)
def test_fires_are_those_of_a_brute_force_over_minutes(
    when: Schedule, out: list[Blackout], on_except: OnExcept, begin: int, questions: list[int]
) -> None:
    end = begin + DAYS * 1440 * MINUTE_US
    try:
        schedule = Except(when=when, out=tuple(out), on_except=on_except)
    except ScheduleError:  # together they leave no time
        return
    minutes = [begin + i * MINUTE_US for i in range(-2 * 1440, DAYS * 1440)]
    dark = {at for at in minutes if any(is_out(each, at) for each in out)}
    plain = set(takewhile(lambda at: at < end, chain(when, minutes[0] - 1)))
    if on_except is OnExcept.SKIP:
        expected = sorted(plain - dark)
    else:
        expected, waiting = [], False
        for at in minutes:
            waiting = waiting or at in plain
            if waiting and at not in dark:
                expected.append(at)
                waiting = False
    # what waits from before the walk is not known to it
    begin = max(begin, next((at for at in minutes if at not in dark), end) + 1)
    expected = [at for at in expected if at >= begin]

    assert list(takewhile(lambda at: at < end, chain(schedule, begin - 1))) == expected
    for question in questions:
        after = begin + question
        following = next((at for at in expected if at > after), None)
        answer = schedule.next_after(after)
        assert answer == following if following is not None else answer is None or answer >= end


def chain(schedule: Schedule, after: int) -> Any:
    following = schedule.next_after(after)
    while following is not None:
        yield following
        following = schedule.next_after(following)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(WHENS), min_size=1, max_size=4), st.integers(0, DAYS * 1440 * MINUTE_US))
def test_a_union_fires_whenever_one_of_its_parts_does(parts: list[Schedule], question: int) -> None:
    after = BEGIN["2026-03-26"] + question

    answers = {part.next_after(after) for part in parts} - {None}

    assert AnyOf(schedules=tuple(parts)).next_after(after) == min(answers, default=None)  # type: ignore[type-var]  # None is out


# --- edges


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (lambda: (), "no blackout is listed"),
        (lambda: (CronWindow(crontab=Crontab(expression="* * * * *")),), "blacks out all time"),
        (lambda: (CronWindow(crontab=Crontab(expression="* 0-23 1-31 * *")),), "blacks out all time"),
        (lambda: (CronWindow(crontab=Crontab(expression="* * * * * *", fields=6)),), "blacks out all time"),
        (lambda: (SpanWindow(from_us=5, to_us=5),), "ends before it begins"),
        (lambda: (DailyWindow(start="06:00", end="06:00"),), "all day or never"),
        (lambda: (DailyWindow(start="00:00", end="24:00"),), "all day or never"),
        (lambda: (DailyWindow(start="6:00", end="07:00"),), '"6:00" is not a time of day'),
        (lambda: (DailyWindow(start="06:60", end="07:00"),), "is not a time of day"),
        (lambda: (DailyWindow(start="24:01", end="07:00"),), "is not a time of day"),
        (lambda: (DaysWindow(days=()),), "a calendar without days"),
        (lambda: (DaysWindow(days=("2026-02-30",)),), '"2026-02-30" is not a day'),
        (lambda: (DaysWindow(days=("20260201",)),), "is not a day"),
        (lambda: (DaysWindow(days=("2026-01-01",), timezone="Europe/Berln"),), "did you mean"),
        (
            lambda: (DailyWindow(start="00:00", end="12:00"), DailyWindow(start="12:00", end="00:00")),
            "the blackouts leave no fire time",
        ),
        (lambda: (CronWindow(crontab=Crontab(expression="0 * * * *")),), "the blackouts leave no fire time"),
    ],
)
def test_nonsense_is_refused(out: Any, message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        Except(when=HOURLY, out=out())


def test_a_blackout_of_years_with_a_year_field_is_no_endless_one() -> None:
    years = CronWindow(crontab=Crontab(expression="* * * * * ? 2026-2030", fields=7))

    assert fires(Except(when=HOURLY, out=(years,)), "2026-05-01T00:00+00:00", 1) == ["01-01T00:00:00"]
    assert Except(when=HOURLY, out=(years,)).next_after(us("2026-05-01T00:00+00:00")) == us(
        "2031-01-01T00:00+00:00"
    )


def test_a_window_that_ends_at_24_00_ends_with_the_day() -> None:
    schedule = Except(when=HOURLY, out=(DailyWindow(start="22:00", end="24:00"),))

    assert fires(schedule, "2026-01-01T21:00+00:00", 2) == ["01-01T21:00:00", "01-02T00:00:00"]


@pytest.mark.parametrize("after", [-(10**20), 10**20])
@pytest.mark.parametrize("on_except", list(OnExcept))
def test_the_ends_of_time_can_be_asked(after: int, on_except: OnExcept) -> None:
    schedule = Except(when=HOURLY, out=(NIGHT, DaysWindow(days=("2026-01-01",))), on_except=on_except)

    found = schedule.next_after(after)

    assert found is None or found > after
