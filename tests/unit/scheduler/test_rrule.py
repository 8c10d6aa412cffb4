"""RRule against dateutil from its start in UTC, the clock-change rules, what ends a rule, and what is refused."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import takewhile

import pytest
from backbeat.scheduler.errors import ScheduleError
from backbeat.scheduler.schedule import Dst, RRule
from dateutil.rrule import rrulestr
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

EPOCH = datetime(1970, 1, 1)


def us(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


def fires(schedule: RRule, start: datetime, n: int) -> list[datetime]:
    found, at = [], us(start)
    while len(found) < n and (following := schedule.next_after(at)) is not None:
        at = following
        found.append(EPOCH + timedelta(microseconds=at))
    return found


@pytest.mark.parametrize(
    ("rule", "start", "expected"),
    [
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "2010-01-01T08:00", ["2026-01-30 08:00", "2026-02-27 08:00"]),
        ("RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO", "2025-12-29T09:30", ["2026-01-12 09:30", "2026-01-26 09:30"]),
        ("freq=yearly;bymonth=11;byday=4th".replace("4th", "4TH"), "2000-01-01T12:00", ["2026-11-26 12:00", "2027-11-25 12:00"]),
        ("FREQ=DAILY;INTERVAL=10", "2025-12-31", ["2026-01-10 00:00", "2026-01-20 00:00"]),
        ("FREQ=MONTHLY", "2025-12-31T10:00", ["2026-01-31 10:00", "2026-03-31 10:00"]),
        ("FREQ=DAILY;UNTIL=20260102T080000", "2020-01-01T08:00", ["2026-01-02 08:00"]),
        ("FREQ=DAILY;UNTIL=20260102T075959Z", "2020-01-01T08:00", []),
        ("FREQ=YEARLY;COUNT=8", "2020-06-01T00:00", ["2026-06-01 00:00", "2027-06-01 00:00"]),
        ("FREQ=HOURLY;INTERVAL=36", "2025-12-31T23:00", ["2026-01-02 11:00", "2026-01-03 23:00"]),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "2020-01-01T00:00", ["2028-02-29 00:00", "2032-02-29 00:00"]),
    ],
)  # fmt: skip
def test_rules_as_people_write_them(rule: str, start: str, expected: list[str]) -> None:
    schedule = RRule(rule=rule, start=start)

    found = fires(schedule, datetime(2026, 1, 1, 23), 2)

    assert [f"{fire:%Y-%m-%d %H:%M}" for fire in found] == expected


WEEKDAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]


@st.composite
def rules(draw: st.DrawFn) -> str:
    frequency = draw(
        st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY"])
    )
    parts = [f"FREQ={frequency}", f"INTERVAL={draw(st.sampled_from([1, 1, 2, 3, 7, 50]))}"]
    days = st.sampled_from(WEEKDAYS)
    if frequency in ("YEARLY", "MONTHLY"):
        days = st.builds("{}{}".format, st.sampled_from(["", "1", "2", "-1", "5"]), days)
    chosen: list[tuple[str, st.SearchStrategy[object]]] = [
        ("BYDAY", days),
        ("BYMONTH", st.integers(1, 12)),
        ("BYHOUR", st.integers(0, 23)),
        ("BYMINUTE", st.sampled_from([0, 1, 30, 59])),
        ("BYSECOND", st.sampled_from([0, 30, 59])),
    ]
    if frequency != "WEEKLY":
        chosen.append(("BYMONTHDAY", st.sampled_from([1, 2, 15, 28, 29, 30, 31, -1, -31])))
    if frequency == "YEARLY":
        chosen += [
            ("BYYEARDAY", st.sampled_from([1, 60, 366, -1, -366])),
            ("BYWEEKNO", st.sampled_from([1, 20, 52, 53, -1])),
        ]
    for name, values in draw(st.lists(st.sampled_from(chosen), max_size=3, unique_by=lambda part: part[0])):
        listed = draw(st.lists(values, min_size=1, max_size=3, unique=True))
        parts.append(f"{name}={','.join(map(str, listed))}")
    if len(parts) > 2 and draw(st.booleans()):
        parts.append(f"BYSETPOS={draw(st.sampled_from([1, 2, -1]))}")
    if draw(st.booleans()):
        parts.append(f"WKST={draw(st.sampled_from(WEEKDAYS))}")
    if draw(st.integers(0, 5)) == 0:
        parts.append(f"COUNT={draw(st.integers(1, 40))}")
    return ";".join(parts)


@settings(max_examples=200, deadline=None)
@given(
    rules(),
    st.datetimes(datetime(2019, 1, 1), datetime(2021, 12, 31)).map(lambda at: at.replace(microsecond=0)),
    st.integers(-3, 900),
    st.integers(0, 86_400),
)
def test_rules_fire_as_dateutil_counts_them_from_their_start(
    rule: str, start: datetime, days: int, seconds: int
) -> None:
    often = any(word in rule for word in ("SECONDLY", "MINUTELY"))
    after = start + timedelta(days=days if not often else days % 3, seconds=seconds)
    try:
        schedule = RRule(rule=rule, start=start.isoformat())
    except ScheduleError:
        event("refused")
        assume(False)
    limit = datetime(2060, 1, 1)

    theirs = takewhile(lambda at: at < limit, rrulestr(rule, dtstart=start).xafter(after))
    expected = [at for _, at in zip(range(4), theirs, strict=False)]

    event(f"{len(expected)} fires")
    assert [at for at in fires(schedule, after, 4) if at < limit] == expected


@settings(max_examples=60, deadline=None)
@given(rules(), st.integers(0, 400), st.integers(0, 10**13))
def test_the_answer_does_not_depend_on_where_it_is_asked_from(rule: str, days: int, later: int) -> None:
    try:
        schedule = RRule(rule=rule, start="2020-02-29T10:11:12", timezone="America/New_York")
    except ScheduleError:
        assume(False)
    after = us(datetime(2020, 2, 1) + timedelta(days=days))

    found = schedule.next_after(after)

    if found is not None:
        assert found > after
        assert schedule.next_after(min(after + later, found - 1)) == found


@pytest.mark.parametrize(
    ("rule", "dst", "after", "expected"),
    [
        # 02:30 does not exist on 2026-03-29
        ("FREQ=DAILY", Dst.ONCE, "2026-03-28T12:00", ["03-29 01:00", "03-30 00:30"]),
        ("FREQ=DAILY", Dst.SKIP, "2026-03-28T12:00", ["03-30 00:30", "03-31 00:30"]),
        (
            "FREQ=DAILY;BYHOUR=2;BYMINUTE=0,15,30",
            Dst.ONCE,
            "2026-03-28T12:00",
            ["03-29 01:00", "03-30 00:00"],
        ),
        # and comes twice on 2026-10-25
        ("FREQ=DAILY", Dst.ONCE, "2026-10-24T12:00", ["10-25 00:30", "10-26 01:30"]),
        ("FREQ=DAILY", Dst.TWICE, "2026-10-24T12:00", ["10-25 00:30", "10-25 01:30"]),
        # hourly rules follow elapsed time
        ("FREQ=HOURLY", Dst.ONCE, "2026-03-29T00:00", ["03-29 00:30", "03-29 01:30"]),
        ("FREQ=HOURLY", Dst.ONCE, "2026-10-25T00:00", ["10-25 00:30", "10-25 01:30"]),
        ("FREQ=MINUTELY;INTERVAL=30", Dst.SKIP, "2026-10-25T00:30", ["10-25 01:00", "10-25 01:30"]),
    ],
)
def test_clock_changes_follow_the_rule_of_crontabs(
    rule: str, dst: Dst, after: str, expected: list[str]
) -> None:
    schedule = RRule(rule=rule, start="2026-01-01T02:30", timezone="Europe/Berlin", dst=dst)

    found = fires(schedule, datetime.fromisoformat(after), 2)

    assert [f"{fire:%m-%d %H:%M}" for fire in found] == expected


def test_an_until_in_utc_is_an_instant_and_a_local_one_is_of_the_wall_clock() -> None:
    local = RRule(
        rule="FREQ=DAILY;UNTIL=20260601T080000", start="2026-05-30T08:00", timezone="America/New_York"
    )
    utc = RRule(
        rule="FREQ=DAILY;UNTIL=20260601T080000Z", start="2026-05-30T08:00", timezone="America/New_York"
    )

    assert [len(fires(schedule, datetime(2026, 5, 30), 9)) for schedule in (local, utc)] == [3, 2]


def test_an_old_rule_and_a_dense_one_cost_no_more_than_a_new_one() -> None:
    schedule = RRule(rule="FREQ=SECONDLY;INTERVAL=3", start="1990-01-01T00:00:01", timezone="Europe/Berlin")

    found = fires(schedule, datetime(2026, 1, 1), 20)

    assert [
        (at - datetime(1990, 1, 1, 0, 0, 1) + timedelta(hours=1)).total_seconds() % 3 for at in found
    ] == [0.0] * 20


def test_a_rule_after_9999_ends() -> None:
    schedule = RRule(rule="FREQ=YEARLY", start="2020-01-01T00:00")

    assert schedule.next_after(us(datetime(9_998, 6, 1))) is None
    assert schedule.next_after(10**20) is None


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;INTERVAL=7;BYDAY=MO",
        "FREQ=HOURLY;INTERVAL=24;BYHOUR=5",
        "FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=DAILY;UNTIL=20251231T000000",
        "FREQ=MONTHLY;BYDAY=5MO;BYMONTHDAY=1",
        "FREQ=SECONDLY;INTERVAL=7;BYMONTH=1;BYHOUR=1;BYSECOND=0;BYSETPOS=2",
        "FREQ=DAILY;BYHOUR=1,2;BYSETPOS=3",
    ],
)
def test_a_rule_that_never_fires_is_refused_in_bounded_time(rule: str) -> None:
    begin = time.thread_time()

    with pytest.raises(ScheduleError, match="never fires"):
        RRule(rule=rule, start="2026-01-01T08:00")

    assert time.thread_time() - begin < 3


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("", "is not a part of a recurrence rule"),
        ("every day", "is not a part of a recurrence rule"),
        ("INTERVAL=2", "has no FREQ"),
        ("FREQ=SOMETIMES", 'FREQ "SOMETIMES" is not known'),
        ("FREQ=DAILY;FREQ=DAILY", "FREQ stands twice"),
        ("FREQ=DAILY;BYEASTER=0", '"BYEASTER" is not a part'),
        ("FREQ=DAILY;X-NAME=1", '"X-NAME" is not a part'),
        ("DTSTART:20260101T000000\nRRULE:FREQ=DAILY", "is not a part"),
        ("FREQ=DAILY;DTSTART=20260101", "it is the key start"),
        ("FREQ=DAILY;INTERVAL=0", 'INTERVAL "0" is out of range'),
        ("FREQ=DAILY;INTERVAL=-1", "out of range"),
        ("FREQ=DAILY;COUNT=0", 'COUNT "0" is out of range'),
        ("FREQ=DAILY;COUNT=10001", "use UNTIL, or max_runs"),
        ("FREQ=DAILY;COUNT=2;UNTIL=20270101T000000", "COUNT and UNTIL both end"),
        ("FREQ=DAILY;UNTIL=20261231", "write 20261231T235959"),
        ("FREQ=DAILY;UNTIL=20261331T000000", "is not a time of the calendar"),
        ("FREQ=DAILY;BYMONTH=13", 'BYMONTH "13" is out of range'),
        ("FREQ=DAILY;BYMONTH=0", "out of range"),
        ("FREQ=DAILY;BYMONTHDAY=0", "-31 to -1 from the end"),
        ("FREQ=DAILY;BYHOUR=24", "out of range"),
        ("FREQ=DAILY;BYSECOND=60", "out of range"),
        ("FREQ=DAILY;BYHOUR=1,,2", 'BYHOUR "" is out of range'),
        ("FREQ=DAILY;BYDAY=XX", 'BYDAY "XX" is not a weekday'),
        ("FREQ=WEEKLY;BYDAY=2MO", "which FREQ=WEEKLY has not"),
        ("FREQ=MONTHLY;BYDAY=6MO", "1 to 5"),
        ("FREQ=YEARLY;BYDAY=54MO", "1 to 53"),
        ("FREQ=YEARLY;BYWEEKNO=1;BYDAY=1MO", "within the weeks of BYWEEKNO"),
        ("FREQ=MONTHLY;BYWEEKNO=1", "BYWEEKNO needs FREQ=YEARLY"),
        ("FREQ=MONTHLY;BYYEARDAY=1", "BYYEARDAY needs FREQ=YEARLY"),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "does not go with FREQ=WEEKLY"),
        ("FREQ=MONTHLY;BYSETPOS=1", "BYSETPOS chooses from another BY part"),
        ("FREQ=DAILY;WKST=1", 'WKST "1" is not a weekday'),
        ("FREQ=DAILY;" * 500, "is not a recurrence rule"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_part(rule: str, message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        RRule(rule=rule, start="2026-01-01T08:00")


@pytest.mark.parametrize("start", ["2026-01-01T08:00Z", "2026-13-01", "", None, "0001-01-01"])
def test_a_start_is_a_local_time(start: str) -> None:
    with pytest.raises(ScheduleError, match="start"):
        RRule(rule="FREQ=DAILY", start=start)


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(ScheduleError, match="did you mean Europe/Berlin"):
        RRule(rule="FREQ=DAILY", start="2026-01-01", timezone="Europe/Berln")


def test_utc_is_the_usual_zone() -> None:
    assert fires(RRule(rule="FREQ=DAILY", start="2026-01-01T05:00"), datetime(2026, 1, 1), 1) == [
        datetime(2026, 1, 1, 5, tzinfo=UTC).replace(tzinfo=None)
    ]


def test_a_first_fire_time_may_lie_centuries_after_the_question() -> None:
    in_2150 = RRule(rule="FREQ=DAILY", start="2150-01-01T03:00", timezone="Europe/Berlin")

    assert in_2150.next_after(0) == us(datetime(2150, 1, 1, 2))
