"""H: a value drawn from the schedule's name, and from nothing else."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from backbeat.scheduler.cron import parse_cron
from backbeat.scheduler.errors import ScheduleError
from backbeat.scheduler.schedule import Crontab
from hypothesis import given
from hypothesis import strategies as st

EPOCH = datetime(1970, 1, 1)
DAY = 86_400

RECORDED = {
    "H * * * *": "01-01 00:33",
    "H H * * *": "01-01 20:33",
    "H H H * *": "01-16 20:33",
    "H H H H *": "04-16 20:33",
    "H H * * H": "01-05 20:33",
    "H/15 * * * *": "01-01 00:03",
    "H(0-29)/10 H(9-17) * * mon-fri": "01-01 17:03",
}


def test_h_is_drawn_from_the_name_alone_and_stays_what_it_is() -> None:
    # Recorded: a change of these figures moves the schedules of everybody.
    first = {
        expression: Crontab(expression=expression, hash_key="nightly-report").next_after(0) or 0
        for expression in RECORDED
    }

    found = {
        expression: f"{EPOCH + timedelta(microseconds=at):%m-%d %H:%M}" for expression, at in first.items()
    }
    assert found == RECORDED
    assert Crontab(expression="H H * * *", hash_key="other").next_after(0) != first["H H * * *"]


@given(st.text(max_size=20).filter(bool))
def test_a_field_keeps_its_hash_when_others_are_edited_and_with_seconds_before_it(name: str) -> None:
    five = parse_cron("H H H H H", hash_key=name)
    six = parse_cron("0 H H H H H", fields=6, hash_key=name)
    minute = parse_cron("H 0 1 1 *", hash_key=name).next_local(-1)
    hour = parse_cron("0 H 1 1 *", hash_key=name).next_local(-1)

    assert minute is not None
    assert hour is not None
    assert five.next_local(-1) == six.next_local(-1)
    found = five.next_local(-1)
    assert found is not None
    assert found % DAY == minute % 3_600 + hour % DAY // 3_600 * 3_600


@given(st.text(max_size=20).filter(bool), st.integers(0, 59), st.integers(0, 59), st.integers(1, 60))
def test_h_stays_in_its_range_and_keeps_its_step(name: str, a: int, b: int, step: int) -> None:
    low, high = sorted((a, b))
    plain = minutes_of(f"H({low}-{high}) 0 * * *", name)

    assert len(plain) == 1
    assert low <= plain[0] <= high
    if step > high - low + 1:
        with pytest.raises(ScheduleError, match="longer than"):
            parse_cron(f"H({low}-{high})/{step} 0 * * *", hash_key=name)
        return
    stepped = minutes_of(f"H({low}-{high})/{step} 0 * * *", name)
    assert low <= stepped[0] < low + step
    assert high - step < stepped[-1] <= high
    assert {after - before for before, after in pairwise(stepped)} <= {step}


def minutes_of(expression: str, name: str) -> list[int]:
    cron = parse_cron(expression, hash_key=name)
    found, local = [], cron.next_local(-1)
    while local is not None and local < DAY:
        found.append(local // 60)
        local = cron.next_local(local)
    return found


def test_h_of_the_day_is_one_that_every_month_has() -> None:
    found = Counter(
        (EPOCH + timedelta(seconds=parse_cron("0 0 H * *", hash_key=f"job-{i}").next_local(-1) or 0)).day
        for i in range(2_000)
    )

    assert set(found) == set(range(1, 29))


def test_names_spread_evenly_over_the_minutes_and_hours_of_a_day() -> None:
    found = Counter(
        (parse_cron("H H * * *", hash_key=f"job-{i}").next_local(-1) or 0) // 60 for i in range(5_760)
    )

    # 1,440 places, four each on average: the two fields do not move together
    assert len(found) > 1_380
    assert max(found.values()) < 20


@pytest.mark.parametrize("word", ["@daily", "@hourly", "@weekly", "0 0 * * thu", "0 0 * mar THU"])
def test_a_name_changes_nothing_where_there_is_no_h(word: str) -> None:
    named = Crontab(expression=word, hash_key="nightly-report")

    assert named == Crontab(expression=word)
    assert named.hash_key == ""
    assert named.cron is Crontab(expression=word, hash_key="another").cron


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("H(0-70) * * * *", "minute 70 is out of range"),
        ("H(20-10) * * * *", "runs backwards"),
        ("H(a-b) * * * *", "not a use of H"),
        ("H-5 * * * *", "not a use of H"),
        ("H() * * * *", "not a use of H"),
        ("Hx * * * *", "not a use of H"),
        ("H/0 * * * *", "out of range 1-60"),
        ("0 0 H/30 * *", "step 30 of day"),
    ],
)
def test_a_wrong_h_is_refused(expression: str, message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        parse_cron(expression, hash_key="x")


def test_h_takes_names_and_stands_in_lists() -> None:
    for i in range(20):
        name = f"job-{i}"
        weekday = parse_cron("0 0 * * H(mon-fri)", hash_key=name).next_local(-1)
        listed = minutes_of("H(0-9),30 0 * * *", name)

        assert weekday is not None
        assert (EPOCH + timedelta(seconds=weekday)).isoweekday() <= 5
        assert listed == [minutes_of("H(0-9) 0 * * *", name)[0], 30]
