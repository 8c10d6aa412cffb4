"""Solar: against astral's own answers, against known lengths of days, and over polar days, the date line and midnight UTC."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from astral import Observer
from astral.julian import julianday_to_juliancentury
from astral.sun import dawn, dusk, eq_of_time, noon, sun_declination, sunrise, sunset
from backbeat.scheduler.errors import ScheduleError
from backbeat.scheduler.instants import SECOND_US
from backbeat.scheduler.schedule import Solar, SolarEvent
from hypothesis import given, settings
from hypothesis import strategies as st

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BERLIN = {"latitude": 52.52, "longitude": 13.405}
THEIRS = {
    "dawn_astronomical": lambda place, day: dawn(place, day, 18),
    "dawn_nautical": lambda place, day: dawn(place, day, 12),
    "dawn_civil": lambda place, day: dawn(place, day, 6),
    "sunrise": sunrise,
    "solar_noon": noon,
    "sunset": sunset,
    "dusk_civil": lambda place, day: dusk(place, day, 6),
    "dusk_nautical": lambda place, day: dusk(place, day, 12),
    "dusk_astronomical": lambda place, day: dusk(place, day, 18),
}


def us(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


def fires(schedule: Solar, start: str, n: int) -> list[datetime]:
    found, at = [], us(datetime.fromisoformat(start).replace(tzinfo=UTC))
    while len(found) < n and (following := schedule.next_after(at)) is not None:
        at = following
        found.append(EPOCH + timedelta(microseconds=at))
    return found


@pytest.mark.parametrize("event", [event.value for event in SolarEvent])
@pytest.mark.parametrize("day", ["2026-03-01", "2026-09-10", "2026-12-21"])
def test_events_are_astral_s_to_two_minutes(event: str, day: str) -> None:
    found = fires(Solar(event=event, **BERLIN), day, 1)[0]

    expected = THEIRS[event](Observer(**BERLIN), datetime.fromisoformat(day).date())
    assert abs(found - expected) < timedelta(minutes=2)


@pytest.mark.parametrize(
    ("place", "day", "expected"),
    [
        ((51.48, 0.0), "2026-06-21", timedelta(hours=16, minutes=38)),
        ((51.48, 0.0), "2026-12-21", timedelta(hours=7, minutes=50)),
        (
            (0.0, 0.0),
            "2026-03-20",
            timedelta(hours=12, minutes=7),
        ),  # the air and the sun's width add seven minutes
    ],
)
def test_days_are_as_long_as_they_are_known_to_be(
    place: tuple[float, float], day: str, expected: timedelta
) -> None:
    rise, down = (
        fires(Solar(event=event, latitude=place[0], longitude=place[1]), day, 1)[0]
        for event in ("sunrise", "sunset")
    )

    assert abs(down - rise - expected) < timedelta(minutes=3)


@pytest.mark.parametrize(
    "longitude", [-180.0, -179.9, -135.0, -90.0, -0.1, 0.0, 90.0, 90.3, 135.0, 179.9, 180.0]
)
@pytest.mark.parametrize("event", ["sunrise", "solar_noon", "sunset", "dusk_nautical"])
def test_each_solar_day_has_one_event_also_around_midnight_utc(event: str, longitude: float) -> None:
    found = fires(Solar(event=event, latitude=40.0, longitude=longitude), "2025-12-31T12:00", 366)

    assert all(
        timedelta(hours=23, minutes=55) < after - before < timedelta(hours=24, minutes=5)
        for before, after in pairwise(found)
    )


def test_a_polar_day_has_no_event_and_is_passed_over() -> None:
    tromso = {"latitude": 69.65, "longitude": 18.96}

    rises = fires(Solar(event="sunrise", **tromso), "2026-01-01", 600)

    gaps = [(before, after) for before, after in pairwise(rises) if after - before > timedelta(days=2)]
    midnight_sun, polar_night = gaps[:2]
    assert (midnight_sun[0].month, midnight_sun[1].month) == (5, 7)
    assert (polar_night[0].month, polar_night[1].month) == (11, 1)
    for before, after in (midnight_sun, polar_night):
        for day in range(3, (after - before).days - 3):
            with pytest.raises(ValueError, match="Sun"):
                sunrise(Observer(**tromso), (before + timedelta(days=day)).date())
    # the sun still stands highest on each of those days
    assert len(fires(Solar(event="solar_noon", **tromso), "2026-06-01", 30)) == 30


@pytest.mark.parametrize("latitude", [90.0, -90.0, 89.9])
def test_at_the_poles_the_search_ends(latitude: float) -> None:
    for event in SolarEvent:
        schedule = Solar(event=event.value, latitude=latitude, longitude=0)

        found = schedule.next_after(us(datetime(2026, 1, 1, tzinfo=UTC)))

        assert found is None or found > us(datetime(2026, 1, 1, tzinfo=UTC))


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(SolarEvent),
    st.floats(-75, 75),
    st.floats(-180, 180),
    st.integers(0, 4_000_000_000_000_000),
    st.integers(0, 10**11),
)
def test_the_answer_is_later_and_nothing_lies_between(
    event: SolarEvent, latitude: float, longitude: float, after: int, later: int
) -> None:
    schedule = Solar(event=event.value, latitude=latitude, longitude=longitude)

    found = schedule.next_after(after)

    assert found is not None
    assert found > after
    assert schedule.next_after(min(after + later, found - 1)) == found


@pytest.mark.parametrize("after", [-(10**20), 10**20])
def test_the_ends_of_time_can_be_asked(after: int) -> None:
    found = Solar(event="sunrise", **BERLIN).next_after(after)

    assert found is None or found > after


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"event": "moonrise"}, '"moonrise" is not an event of the sun'),
        ({"event": "noon"}, "solar_noon"),
        ({"latitude": 91}, 'latitude "91" is out of range'),
        ({"latitude": float("nan")}, "out of range"),
        ({"longitude": -180.1}, "longitude"),
        ({"longitude": "13"}, "out of range"),
        ({"latitude": True}, "out of range"),
    ],
)
def test_nonsense_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        Solar(**{"event": "sunrise", **BERLIN, **wrong})


def test_whole_numbers_and_floats_are_the_same_place() -> None:
    assert Solar(event="sunrise", latitude=52, longitude=13) == Solar(
        event="sunrise", latitude=52.0, longitude=13.0
    )


def altitude(second, latitude, longitude):
    """Where the sun's centre stands, in degrees, by the hour angle: another way than that of the code."""
    century = julianday_to_juliancentury(second / 86_400 + 2_440_587.5)
    declination, here = math.radians(sun_declination(century)), math.radians(latitude)
    minutes = second % 86_400 / 60 + eq_of_time(century) + 4 * longitude
    hour_angle = math.radians(minutes / 4 - 180)
    sine = math.sin(here) * math.sin(declination)
    sine += math.cos(here) * math.cos(declination) * math.cos(hour_angle)
    return math.degrees(math.asin(max(-1.0, min(1.0, sine))))


@pytest.mark.parametrize("event", ["sunrise", "sunset", "dawn_civil", "dusk_astronomical"])
@pytest.mark.parametrize(("latitude", "longitude"), [(69.65, 18.95), (67.4, 0), (-77.8, 166.6), (89.0, 0)])
def test_no_event_is_missed_where_polar_day_or_night_begins_or_ends(event, latitude, longitude):
    heights = {"sunrise": -0.833, "sunset": -0.833, "dawn_civil": -6.0, "dusk_astronomical": -18.0}
    height, rises, step = heights[event], event in {"sunrise", "dawn_civil"}, 600
    begin = round(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    heights_at = [(t, altitude(t, latitude, longitude)) for t in range(begin, begin + 366 * 86_400, step)]
    crossings = [
        t
        for (_, before), (t, after) in pairwise(heights_at)
        if (before < height <= after if rises else before > height >= after)
    ]

    found, at = [], begin * SECOND_US
    solar = Solar(event=event, latitude=latitude, longitude=longitude)
    while (at := solar.next_after(at)) is not None and at < (begin + 366 * 86_400) * SECOND_US:
        found.append(at // SECOND_US)

    assert [t for t in crossings if not any(abs(t - each) < 2 * step for each in found)] == []
    # a sun that stands below the horizon for less than a step is not met by steps
    assert len(crossings) <= len(found) <= len(crossings) + 2
