"""Six and seven fields: seconds against a walk over real seconds, and years, which end the search."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from backbeat.scheduler.cron import parse_cron
from backbeat.scheduler.schedule import Crontab, Dst
from hypothesis import given, settings
from hypothesis import strategies as st

EPOCH = datetime(1970, 1, 1)
DAY = 86_400


LONG = [
    ("*/20 * * * * *", {0, 20, 40}, set(range(60)), set(range(24))),
    ("* * * * * *", set(range(60)), set(range(60)), set(range(24))),
    ("0 30 2 * * *", {0}, {30}, {2}),
    ("59,0 59,0 1,2,3 * * *", {59, 0}, {59, 0}, {1, 2, 3}),
    ("7-9 */30 2 * * *", {7, 8, 9}, {0, 30}, {2}),
    ("*/30 15 2 * * *", {0, 30}, {15}, {2}),
    ("30 0-59/20 0-23 * * *", {30}, {0, 20, 40}, set(range(24))),
]


@pytest.mark.parametrize("dst", list(Dst))
@pytest.mark.parametrize(
    ("zone", "change"),
    [
        ("Europe/Berlin", "2026-03-29T01:00"),
        ("Europe/Berlin", "2026-10-25T01:00"),
        ("Australia/Lord_Howe", "2026-10-03T15:30"),
        ("Australia/Lord_Howe", "2026-04-04T15:00"),
    ],
)
@pytest.mark.parametrize(("expression", "seconds", "minutes", "hours"), LONG)
def test_six_fields_fire_as_a_walk_over_real_seconds(
    expression: str, seconds: set[int], minutes: set[int], hours: set[int], zone: str, change: str, dst: Dst
) -> None:
    middle = int(datetime.fromisoformat(change).replace(tzinfo=UTC).timestamp())
    begin, end = middle - 7_200, middle + 7_200
    before, after = (
        int(datetime.fromtimestamp(at, ZoneInfo(zone)).utcoffset().total_seconds())  # type: ignore[union-attr]  # aware
        for at in (middle - 1, middle)
    )
    assert before != after

    def due(local: int) -> bool:
        return local % 60 in seconds and local // 60 % 60 in minutes and local // 3_600 % 24 in hours

    wild = any(field[0] == "*" for field in expression.split()[:3])
    walked = [at for at in range(begin, middle) if due(at + before)]
    lived = {at + before for at in range(begin, middle)}
    skipped = range(middle + before, middle + after)
    for at in range(middle, end):
        fires = due(at + after)
        if not wild:
            fires = fires and (at + after not in lived or dst is Dst.TWICE)
            fires = fires or (at == middle and dst is not Dst.SKIP and any(map(due, skipped)))
        if fires:
            walked.append(at)

    schedule = Crontab(expression=expression, timezone=zone, dst=dst, fields=6)
    found, fire = [], schedule.next_after(begin * 1_000_000 - 1)
    while fire is not None and fire < end * 1_000_000:
        found.append(fire // 1_000_000)
        fire = schedule.next_after(fire)
    assert found == walked


@settings(max_examples=60, deadline=None)
@given(
    st.sets(st.integers(0, 59), min_size=1, max_size=4),
    st.sets(st.sampled_from([0, 1, 30, 59]), min_size=1),
    st.sets(st.sampled_from([0, 1, 23]), min_size=1),
    st.integers(-DAY, 2 * DAY),
)
def test_seconds_are_those_of_a_naive_day(
    seconds: set[int], minutes: set[int], hours: set[int], after: int
) -> None:
    texts = [",".join(map(str, values)) for values in (seconds, minutes, hours)]
    cron = parse_cron(f"{' '.join(texts)} * * *", fields=6)

    day = sorted(h * 3_600 + m * 60 + s for h in hours for m in minutes for s in seconds)

    expected = next(at for days in range(-2, 5) for time in day if (at := days * DAY + time) > after)
    assert cron.next_local(after) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 0 1 1 ? 2027", ["2027-01-01T00:00:00"]),
        ("30 0 0 1 1 * 2026-2030/2", ["2026-01-01T00:00:30", "2028-01-01T00:00:30", "2030-01-01T00:00:30"]),
        ("0 0 0 29 2 * 2027-2033", ["2028-02-29T00:00:00", "2032-02-29T00:00:00"]),
        ("0 0 0 31 12 * 2199", ["2199-12-31T00:00:00"]),
        (
            "*/30 59 23 31 12 ? 2026,2198",
            ["2026-12-31T23:59:00", "2026-12-31T23:59:30", "2198-12-31T23:59:00", "2198-12-31T23:59:30"],
        ),
        ("0 0 0 1 1 * 1970,1980", []),
        ("0 0 12 LW 6 ? 2026", ["2026-06-30T12:00:00"]),
    ],
)
def test_years_bound_the_search(expression: str, expected: list[str]) -> None:
    cron = parse_cron(expression, fields=7)
    found, local = [], cron.next_local((datetime(2026, 1, 1) - EPOCH) // timedelta(seconds=1) - 1)
    while local is not None:
        found.append((EPOCH + timedelta(seconds=local)).isoformat())
        local = cron.next_local(local)

    assert found == expected


def test_the_first_second_of_1970_is_a_fire_time() -> None:
    assert Crontab(expression="0 0 0 1 1 ? 1970", fields=7).next_after(-1) == 0


def test_seven_fields_with_any_year_are_six() -> None:
    six, seven = Crontab(expression="5 4 3 2 1 *", fields=6), Crontab(expression="5 4 3 2 1 * *", fields=7)

    assert six.next_after(10**15) == seven.next_after(10**15)
