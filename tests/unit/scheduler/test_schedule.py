"""Schedules: the tables, with the nights on which clocks change, the laws, and the edges of the public functions."""

from __future__ import annotations

import copy
import json
import pickle
import random
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytz
from backbeat.scheduler.errors import BackbeatScheduleError, ScheduleError
from backbeat.scheduler.schedule import (
    AnyOf,
    Clocked,
    Crontab,
    CronWindow,
    DailyWindow,
    DayMatch,
    DaysWindow,
    Dst,
    Except,
    Interval,
    Months,
    OnExcept,
    RRule,
    Schedule,
    Solar,
    SpanWindow,
    next_fires,
    parse_duration,
    schedule_from_spec,
    schedule_to_spec,
    zone_named,
)
from hypothesis import given, settings
from hypothesis import strategies as st

NY, BERLIN, LORD_HOWE, SAO_PAULO = (
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
)
SECOND_US = 1_000_000
YEARS_US = 3_000_000_000 * SECOND_US


def us(text: str) -> int:
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def fires(schedule: Schedule, start: str, n: int, zone: str = "UTC") -> list[str]:
    found: list[str] = []
    after = us(start)
    while len(found) < n and (after := schedule.next_after(after) or 0):
        found.append(datetime.fromtimestamp(after // SECOND_US, ZoneInfo(zone)).strftime("%m-%dT%H:%M%z"))
    return found


# Row by row "Around transitions" of performance.md, as Debian cron has it; then the other policies.
AROUND_TRANSITIONS = [
    # daily time inside the gap: the first instant after it
    ("30 2 * * *", NY, "once", "2026-03-07T12:00-05:00", ["03-08T03:00-0400", "03-09T02:30-0400"]),
    ("30 2 * * *", BERLIN, "once", "2026-03-28T12:00+01:00", ["03-29T03:00+0200", "03-30T02:30+0200"]),
    ("15 2 * * *", LORD_HOWE, "once", "2026-10-03T12:00+10:30", ["10-04T02:30+1100", "10-05T02:15+1100"]),
    (
        "0,15,30,45 2 * * *",
        BERLIN,
        "once",
        "2026-03-28T12:00+01:00",
        ["03-29T03:00+0200", "03-30T02:00+0200"],
    ),
    ("30 2,3 * * *", BERLIN, "once", "2026-03-28T12:00+01:00", ["03-29T03:00+0200", "03-29T03:30+0200"]),
    ("0 2,3 * * *", BERLIN, "once", "2026-03-28T12:00+01:00", ["03-29T03:00+0200", "03-30T02:00+0200"]),
    # every quarter over the gap: real time
    (
        "*/15 * * * *",
        BERLIN,
        "once",
        "2026-03-29T01:30+01:00",
        ["03-29T01:45+0100", "03-29T03:00+0200", "03-29T03:15+0200"],
    ),
    ("*/15 2 * * *", BERLIN, "once", "2026-03-29T01:30+01:00", ["03-30T02:00+0200"]),
    ("0 */2 * * *", BERLIN, "once", "2026-03-29T00:30+01:00", ["03-29T04:00+0200"]),
    ("@hourly", BERLIN, "once", "2026-03-29T00:30+01:00", ["03-29T01:00+0100", "03-29T03:00+0200"]),
    # daily time inside the overlap: once, the first
    ("30 1 * * *", NY, "once", "2026-10-31T12:00-04:00", ["11-01T01:30-0400", "11-02T01:30-0500"]),
    ("30 2 * * *", BERLIN, "once", "2026-10-24T12:00+02:00", ["10-25T02:30+0200", "10-26T02:30+0100"]),
    ("45 1 * * *", LORD_HOWE, "once", "2026-04-04T12:00+11:00", ["04-05T01:45+1100", "04-06T01:45+1030"]),
    # every quarter over the overlap: real time, both passes
    (
        "*/15 * * * *",
        BERLIN,
        "once",
        "2026-10-25T02:30+02:00",
        [
            "10-25T02:45+0200",
            "10-25T02:00+0100",
            "10-25T02:15+0100",
            "10-25T02:30+0100",
            "10-25T02:45+0100",
            "10-25T03:00+0100",
        ],
    ),
    (
        "*/15 * * * *",
        LORD_HOWE,
        "once",
        "2026-04-05T01:44+11:00",
        ["04-05T01:45+1100", "04-05T01:30+1030", "04-05T01:45+1030"],
    ),
    (
        "0 * * * *",
        NY,
        "once",
        "2026-11-01T00:30-04:00",
        ["11-01T01:00-0400", "11-01T01:00-0500", "11-01T02:00-0500"],
    ),
    # no midnight
    ("0 0 * * *", SAO_PAULO, "once", "2018-11-03T12:00-03:00", ["11-04T01:00-0200", "11-05T00:00-0200"]),
    ("*/15 * * * *", SAO_PAULO, "once", "2018-11-03T23:30-03:00", ["11-03T23:45-0300", "11-04T01:00-0200"]),
    ("0 0 4 11 *", SAO_PAULO, "once", "2018-11-03T12:00-03:00", ["11-04T01:00-0200", "11-04T00:00-0300"]),
    ("0 0 * * 0", SAO_PAULO, "once", "2018-11-03T12:00-03:00", ["11-04T01:00-0200", "11-11T00:00-0200"]),
    # an evening hour that comes twice, over midnight
    ("30 23 * * *", SAO_PAULO, "once", "2018-02-17T12:00-02:00", ["02-17T23:30-0200", "02-18T23:30-0300"]),
    (
        "30 23 * * *",
        SAO_PAULO,
        "twice",
        "2018-02-17T12:00-02:00",
        ["02-17T23:30-0200", "02-17T23:30-0300", "02-18T23:30-0300"],
    ),
    # asked from the middle of things
    ("30 2 * * *", BERLIN, "once", "2026-03-29T01:59:59+01:00", ["03-29T03:00+0200"]),
    ("30 2 * * *", BERLIN, "once", "2026-03-29T03:00+02:00", ["03-30T02:30+0200"]),
    ("30 2 * * *", BERLIN, "once", "2026-10-25T02:10+01:00", ["10-26T02:30+0100"]),
    ("30 2 * * *", BERLIN, "twice", "2026-10-25T02:10+01:00", ["10-25T02:30+0100"]),
    (
        "* 23 31 10 *",
        "Africa/Cairo",
        "once",
        "2024-10-31T23:59+03:00",
        ["10-31T23:00+0200", "10-31T23:01+0200"],
    ),
    # skip and twice
    ("30 2 * * *", BERLIN, "skip", "2026-03-28T12:00+01:00", ["03-30T02:30+0200"]),
    ("30 2 * * *", BERLIN, "twice", "2026-03-28T12:00+01:00", ["03-29T03:00+0200", "03-30T02:30+0200"]),
    ("30 2 * * *", BERLIN, "skip", "2026-10-24T12:00+02:00", ["10-25T02:30+0200", "10-26T02:30+0100"]),
    (
        "30 2 * * *",
        BERLIN,
        "twice",
        "2026-10-24T12:00+02:00",
        ["10-25T02:30+0200", "10-25T02:30+0100", "10-26T02:30+0100"],
    ),
    (
        "*/30 * * * *",
        BERLIN,
        "skip",
        "2026-10-25T02:00+02:00",
        ["10-25T02:30+0200", "10-25T02:00+0100", "10-25T02:30+0100"],
    ),
    # two hours at once
    (
        "30 1 * * *",
        "Antarctica/Troll",
        "once",
        "2026-03-28T12:00+00:00",
        ["03-29T03:00+0200", "03-30T01:30+0200"],
    ),
    (
        "30 1 * * *",
        "Antarctica/Troll",
        "once",
        "2026-10-24T12:00+02:00",
        ["10-25T01:30+0200", "10-26T01:30+0000"],
    ),
    # a lost day is a correction: nothing is made up for
    (
        "0 12 * * *",
        "Pacific/Apia",
        "once",
        "2011-12-29T11:00-10:00",
        ["12-29T12:00-1000", "12-31T12:00+1400"],
    ),
    ("0 0 30 12 *", "Pacific/Apia", "once", "2011-12-29T11:00-10:00", ["12-30T00:00+1400"]),
]


@pytest.mark.parametrize(("expression", "zone", "dst", "start", "expected"), AROUND_TRANSITIONS)
def test_around_a_clock_change(expression: str, zone: str, dst: str, start: str, expected: list[str]) -> None:
    schedule = Crontab(expression=expression, timezone=zone, dst=Dst(dst))

    assert fires(schedule, start, len(expected), zone) == expected


@pytest.mark.parametrize(
    ("expression", "day_match", "start", "expected"),
    [
        ("* * * * *", "any", "2026-01-01T00:00:59.999999+00:00", ["01-01T00:01+0000"]),
        ("* * * * *", "any", "2025-12-31T23:59:59.999999+00:00", ["01-01T00:00+0000"]),
        ("* * * * *", "any", "2026-01-01T00:00:00+00:00", ["01-01T00:01+0000"]),
        (
            "0 0 13 * 5",
            "any",
            "2026-01-01T12:00+00:00",
            ["01-02T00:00+0000", "01-09T00:00+0000", "01-13T00:00+0000"],
        ),
        (
            "0 0 13 * 5",
            "all",
            "2026-01-01T12:00+00:00",
            ["02-13T00:00+0000", "03-13T00:00+0000", "11-13T00:00+0000"],
        ),
        (
            "0 0 */2 * 1",
            "any",
            "2026-01-01T00:00+00:00",
            ["01-05T00:00+0000", "01-19T00:00+0000", "02-09T00:00+0000"],
        ),
        (
            "0 0 1 * */2",
            "any",
            "2026-01-01T00:00+00:00",
            ["02-01T00:00+0000", "03-01T00:00+0000", "08-01T00:00+0000"],
        ),
        ("0 0 31 * *", "any", "2026-01-31T00:00+00:00", ["03-31T00:00+0000", "05-31T00:00+0000"]),
        ("0 0 31 2 1", "any", "2026-02-01T12:00+00:00", ["02-02T00:00+0000"]),
        ("30 2 29 2 *", "any", "2026-02-01T12:00+00:00", ["02-29T02:30+0000"]),
        ("59 23 31 12 *", "any", "2026-12-31T23:58:59+00:00", ["12-31T23:59+0000", "12-31T23:59+0000"]),
    ],
)
def test_away_from_clock_changes(expression: str, day_match: str, start: str, expected: list[str]) -> None:
    schedule = Crontab(expression=expression, day_match=DayMatch(day_match))

    assert fires(schedule, start, len(expected)) == expected


@pytest.mark.parametrize("zone", ["UTC", BERLIN, "Asia/Tokyo"])
def test_the_leap_day_is_found_over_a_century_without_one(zone: str) -> None:
    starts = {"0 0 29 2 *": (2096, 2104), "0 0 29 2 1": (2072, 2112)}
    for expression, (last, following) in starts.items():
        schedule = Crontab(expression=expression, timezone=zone, day_match=DayMatch.ALL)

        after = schedule.next_after(us(f"{last}-03-01T00:00+00:00"))

        assert after is not None
        found = datetime.fromtimestamp(after // SECOND_US, ZoneInfo(zone))
        assert (found.year, found.month, found.day) == (following, 2, 29)


def test_a_time_that_is_skipped_each_year_never_fires_under_skip_and_the_search_ends() -> None:
    # New York's clocks change on the second Sunday of March.
    schedule = Crontab(expression="30 2 8-14 3 0", timezone=NY, dst=Dst.SKIP, day_match=DayMatch.ALL)

    assert schedule.next_after(us("2026-01-01T00:00+00:00")) is None
    assert schedule.next_after(0) == us("1970-03-08T02:30-05:00")  # it was April then


def test_the_end_of_a_gap_that_is_no_whole_minute_is_the_fire_time() -> None:
    # Liberia went from -00:44:30 to +00:00 at midnight.
    schedule = Crontab(expression="30 0 * * *", timezone="Africa/Monrovia")

    after = schedule.next_after(us("1972-01-06T12:00+00:00"))

    assert after == us("1972-01-07T00:44:30+00:00")


SCHEDULES: list[Schedule] = [
    Interval(every=timedelta(milliseconds=250)),
    Interval(every=timedelta(hours=7), anchor_us=123_456_789),
    Crontab(expression="*/7 * * * *", timezone=LORD_HOWE),
    Crontab(expression="30 2 * * *", timezone=BERLIN),
    Crontab(expression="0 0 29 2 *", timezone=SAO_PAULO, dst=Dst.TWICE),
    Crontab(expression="15 1,2,3 13 * 5", timezone=NY, dst=Dst.SKIP, day_match=DayMatch.ALL),
    Crontab(expression="*/10 30 2 LW * ?", timezone=BERLIN, fields=6),
    Crontab(expression="0 H H(0-5) ? * 5L", timezone=NY, fields=6, hash_key="nightly"),
    Clocked(times_us=(5, -3, 5, us("2026-06-01T00:00+00:00"))),
    AnyOf(
        schedules=(
            Crontab(expression="25 9 * * mon-fri", timezone=NY),
            AnyOf(schedules=(Clocked(times_us=(7,)), Interval(every=timedelta(days=3)))),
        )
    ),
    Months(months=3, anchor="2020-01-31T02:30", timezone=BERLIN, dst=Dst.TWICE),
    RRule(rule="FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR", start="1970-01-01T08:00", timezone=NY, dst=Dst.SKIP),
    RRule(rule="FREQ=DAILY;COUNT=3", start="2026-01-01"),
    Solar(event="dusk_civil", latitude=52.5, longitude=13.4),
    Except(
        when=Interval(every=timedelta(hours=5)),
        out=(
            CronWindow(crontab=Crontab(expression="* 3 * * *", timezone=LORD_HOWE)),
            SpanWindow(from_us=0, to_us=10**15),
            DailyWindow(start="22:00", end="06:00", timezone=BERLIN),
            DaysWindow(days=("2026-12-25", "2026-01-01"), timezone=NY),
        ),
        on_except=OnExcept.DEFER,
    ),
    Except(
        when=Crontab(expression="0 0 * * *"),
        out=(CronWindow(crontab=Crontab(expression="* * * * * ? 2027", fields=7)),),
    ),
]
ENDING = ("Clocked", "COUNT")
"""Whose repr holds one of these has a last fire time."""


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: type(schedule).__name__)
def test_a_schedule_survives_its_spec_json_pickle_and_copy(schedule: Schedule) -> None:
    spec = json.loads(json.dumps(schedule_to_spec(schedule)))

    for twin in (schedule_from_spec(spec), pickle.loads(pickle.dumps(schedule)), copy.deepcopy(schedule)):
        assert twin == schedule
        assert hash(twin) == hash(schedule)
        assert twin.next_after(10**15) == schedule.next_after(10**15)
    assert isinstance(schedule, Schedule)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SCHEDULES), st.integers(-YEARS_US // 2, 2 * YEARS_US), st.integers(0, 10**13))
def test_an_answer_is_later_than_the_question_and_nothing_lies_between(
    schedule: Schedule, after: int, step: int
) -> None:
    found = schedule.next_after(after)

    if found is None:
        assert any(word in repr(schedule) for word in ENDING)
        return
    assert found > after
    between = min(after + step, found - 1)
    assert schedule.next_after(between) == found
    assert schedule.next_after(found) is None or schedule.next_after(found) > found  # type: ignore[operator]  # None is out


@pytest.mark.parametrize(
    "after", [-(10**20), -62_135_596_800 * SECOND_US, 253_402_300_799 * SECOND_US, 10**20]
)
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: type(schedule).__name__)
def test_the_ends_of_time_give_an_answer_and_no_error(schedule: Schedule, after: int) -> None:
    found = schedule.next_after(after)

    assert found is None or found > after


@given(st.integers(1_000, 10**14), st.integers(-(10**16), 10**16), st.integers(-(10**16), 10**16))
def test_an_interval_stays_on_its_grid(every_us: int, anchor_us: int, after: int) -> None:
    found = Interval(every=timedelta(microseconds=every_us), anchor_us=anchor_us).next_after(after)

    assert found is not None
    assert after < found <= after + every_us
    assert (found - anchor_us) % every_us == 0


def test_an_interval_does_not_drift_over_100_000_fires_with_late_passes_and_restarts() -> None:
    chance = random.Random(7)
    every_us = 7_300_001
    spec = schedule_to_spec(Interval(every=timedelta(microseconds=every_us), anchor_us=1_234_567))
    schedule, cursor, fired = schedule_from_spec(spec), 1_234_567, 0

    while fired < 100_000:
        now = cursor + chance.randrange(1, 40 * every_us)  # a pass comes late by up to forty periods
        while (fire := schedule.next_after(cursor) or 0) <= now:
            cursor = fire
            fired += 1
        if chance.random() < 0.2:  # restart
            schedule = schedule_from_spec(spec)

    assert cursor == 1_234_567 + fired * every_us


def test_a_union_fires_with_the_earliest_and_ends_with_the_last() -> None:
    union = AnyOf(schedules=(Clocked(times_us=(10, 30)), Clocked(times_us=(20, 30))))

    found, after = [], 0
    while (fire := union.next_after(after)) is not None:
        found.append(fire)
        after = fire

    assert found == [10, 20, 30]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Interval(every=timedelta(0)),
        lambda: Interval(every=timedelta(seconds=-5)),
        lambda: Interval(every=timedelta(microseconds=999)),
        lambda: Clocked(times_us=()),
        lambda: AnyOf(schedules=()),
        lambda: Crontab(expression="61 * * * *"),
        lambda: Crontab(expression="* * * * *", timezone="Europe/Berln"),
        lambda: Crontab(expression="* * * * *", timezone=["UTC"]),  # type: ignore[arg-type]  # what is tested
        lambda: schedule_to_spec("* * * * *"),  # type: ignore[arg-type]  # what is tested
    ],
)
def test_a_schedule_that_means_nothing_is_refused(wrong: Any) -> None:
    with pytest.raises(ScheduleError) as caught:
        wrong()

    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, BackbeatScheduleError)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"every": 5},
        {"every_us": "5"},
        {"every_us": True},
        {"every_us": 10},
        {"every_us": 10**30},
        {"every_us": 5_000_000, "anchor_us": "x"},
        {"every_us": 5_000_000, "phase": 1},
        {"cron": 5},
        {"cron": "* * * * *", "dst": "thrice"},
        {"cron": "* * * * *", "day_match": "some"},
        {"cron": "* * * * *", "timezone": None},
        {"cron": "* * * * *", "zone": "UTC"},
        {"at_us": []},
        {"at_us": [1.5]},
        {"at_us": ["1"]},
        {"at_us": [1], "x": 1},
        {"any": []},
        {"any": [{"every": 5}]},
        {"any": "ab"},
        {"cron": "* * * * *", "fields": 8},
        {"cron": "* * * * *", "fields": "5"},
        {"cron": "H * * * *", "hash_key": 5},
        {"cron": "H * * * *"},
        {"months": 1},
        {"months": "1", "anchor": "1970-01-01"},
        {"months": 1, "anchor": "1970-01-01", "phase": 1},
        {"rrule": "FREQ=DAILY"},
        {"rrule": "FREQ=DAILY", "start": "2026-01-01", "dst": "thrice"},
        {"solar": "sunrise", "latitude": 1},
        {"solar": "sunrise", "latitude": "1", "longitude": 1},
        {"except": [], "when": {"every_us": 5_000_000}},
        {"except": [{"every": 5}], "when": {"every_us": 5_000_000}},
        {"except": [{"days": [5]}], "when": {"every_us": 5_000_000}},
        {"except": [{"daily": ["22:00"]}], "when": {"every_us": 5_000_000}},
        {"except": [{"from_us": 1, "to_us": 2}], "when": 5},
        {"except": [{"from_us": 1, "to_us": 2}], "when": {"every_us": 5_000_000}, "on_except": "wait"},
        {"except": [{"from_us": 1, "to_us": 2}]},
        "* * * * *",
        None,
    ],
)
def test_a_spec_that_was_not_written_here_is_refused(spec: Any) -> None:
    with pytest.raises(ScheduleError):
        schedule_from_spec(spec)


def test_a_spec_may_leave_out_what_is_usual() -> None:
    assert schedule_from_spec({"cron": "0 5 * * *"}) == Crontab(expression="0 5 * * *")
    assert schedule_from_spec({"every_us": 5_000_000}) == Interval(every=timedelta(seconds=5))
    assert schedule_from_spec({"months": 1, "anchor": "1970-01-01T00:00"}) == Months(months=1)


def test_specs_that_older_versions_stored_are_read_and_those_of_five_fields_are_still_written() -> None:
    stored = {"cron": "30 2 * * *", "timezone": BERLIN, "dst": "skip", "day_match": "all"}

    schedule = schedule_from_spec(stored)

    assert schedule == Crontab(expression="30 2 * * *", timezone=BERLIN, dst=Dst.SKIP, day_match=DayMatch.ALL)
    assert schedule_to_spec(schedule) == stored


START = datetime(2026, 10, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "tz", [BERLIN, ZoneInfo(BERLIN), pytz.timezone(BERLIN)], ids=["name", "zoneinfo", "pytz"]
)
def test_next_fires_gives_aware_times_of_the_zone_whatever_kind_it_is(tz: str | tzinfo) -> None:
    found = next_fires("30 2 * * *", tz, START, 2)

    assert [fire.isoformat() for fire in found] == ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]


def test_next_fires_by_name_gives_a_zoneinfo_and_its_folds() -> None:
    found = next_fires("*/30 * * * *", BERLIN, datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo(BERLIN)), 2)

    assert [(fire.hour, fire.minute, fire.fold) for fire in found] == [(2, 0, 1), (2, 30, 1)]
    assert found[0].tzinfo is zone_named(BERLIN)
    assert isinstance(found[0].tzinfo, ZoneInfo)
    assert pickle.loads(pickle.dumps(found)) == found


def test_next_fires_takes_a_fixed_offset_and_a_start_in_another_zone() -> None:
    found = next_fires(
        "0 0 * * *", timezone(timedelta(hours=3)), datetime(2026, 1, 1, 23, tzinfo=ZoneInfo(NY)), 1
    )

    assert found == [datetime(2026, 1, 2, 21, tzinfo=UTC)]


def test_next_fires_knows_the_rules_after_pytz_ends() -> None:
    found = next_fires("0 12 1 7 *", pytz.timezone(BERLIN), datetime(2045, 1, 1, tzinfo=UTC), 1)

    assert found[0].astimezone(UTC) == datetime(2045, 7, 1, 10, tzinfo=UTC)


def test_next_fires_is_strictly_after_start_and_may_be_empty() -> None:
    midnight = datetime(2026, 1, 1, tzinfo=UTC)

    assert next_fires("@daily", "UTC", midnight, 1) == [midnight + timedelta(days=1)]
    assert next_fires("@daily", "UTC", midnight - timedelta(microseconds=1), 1) == [midnight]
    assert next_fires("@daily", "UTC", midnight, 0) == []
    assert next_fires("@daily", "UTC", datetime(9999, 12, 30, tzinfo=UTC), 5) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("@daily", "UTC", datetime(2026, 1, 1), 1), "has no time zone"),
        (("@daily", "UTC", "2026-01-01", 1), "has no time zone"),
        (("@daily", "UTC", START, -1), '"-1" is not a number of fire times'),
        (("@daily", "UTC", START, 1.5), '"1.5" is not a number of fire times'),
        (("@daily", "UTC", START, True), '"True" is not a number of fire times'),
        (
            ("@daily", "Europe/Berln", START, 1),
            'unknown time zone "Europe/Berln"; did you mean Europe/Berlin?',
        ),
        (("@daily", None, START, 1), "None is not a time zone"),
        (("61 2 * * *", "UTC", START, 1), "minute 61 is out of range 0-59"),
        ((None, "UTC", START, 1), "is not a cron expression"),
        ((["*"], "UTC", START, 0), "is not a cron expression"),
    ],
)
def test_next_fires_refuses_what_it_cannot_mean(arguments: Any, message: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        next_fires(*arguments)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("1h30m", 5_400),
        ("2h", 7_200),
        ("1d", 86_400),
        ("1w", 604_800),
        ("250ms", 0.25),
        ("1w2d3h4m5s6ms", 788_645.006),
        ("1m30ms", 60.03),
        ("90", 90),
        (" 90s ", 90),
        ("0.5", 0.5),
        (90, 90),
        (0.001, 0.001),
    ],
)
def test_a_duration_is_read(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "5 minuts",
        "",
        " ",
        "h",
        "5x",
        "5M",
        "1.5h",
        "30m1h",
        "5m5m",
        "1h 30m",
        "-5m",
        "+5",
        "1e3",
        "٣s",
        "5m\n5",
        True,
        False,
        float("nan"),
        float("inf"),
        -1,
        0,
        0.0,
        "0",
        "0s",
        "0h0m",
        1e-9,
        1e300,
        "9" * 30 + "w",
        "9" * 5000,
        None,
        [5],
        {},
    ],
)
def test_what_is_no_duration_is_refused_with_examples(text: Any) -> None:
    with pytest.raises(ScheduleError) as caught:
        parse_duration(text)

    assert caught.value.help == "30s, 5m, 1h30m, 2h, 1d"


def test_the_message_of_a_wrong_duration() -> None:
    with pytest.raises(ScheduleError, match=r'^"5 minuts" is not a duration\. help: 30s, 5m, 1h30m, 2h, 1d$'):
        parse_duration("5 minuts")
