"""Zones as stretches: they say what zoneinfo says, and learn only what is asked."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime, timedelta, timezone
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytz
import tzdata
from backbeat.scheduler.crontab import Crontab
from backbeat.scheduler.errors import ScheduleError
from backbeat.scheduler.fragment import entry_of
from backbeat.scheduler.months import Months
from backbeat.scheduler.rrule import RRule
from backbeat.scheduler.schedule_spec import schedule_to_spec
from backbeat.scheduler.zone import FIRST_SECOND, LAST_SECOND, Zone, offset_at, zone_named, zone_rules
from backbeat.scheduler.zone_data import zone_data_version, zone_names
from hypothesis import given, settings
from hypothesis import strategies as st

ZONES = [
    "UTC",
    "Etc/GMT+12",
    "Europe/Berlin",
    "Europe/Dublin",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Casablanca",
    "Africa/Monrovia",
    "Antarctica/Troll",
    "America/Sao_Paulo",
]


def truth(zone: str, second: int) -> int:
    offset = datetime.fromtimestamp(second, zone_named(zone)).utcoffset()
    assert offset is not None
    return offset // timedelta(seconds=1)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(ZONES), st.lists(st.integers(-3_000_000_000, 6_000_000_000), min_size=1, max_size=4))
def test_offsets_are_those_of_zoneinfo_in_whatever_order_they_are_asked(
    name: str, seconds: list[int]
) -> None:
    zone = Zone(zone_named(name))

    assert [offset_at(zone, second) for second in seconds] == [truth(name, second) for second in seconds]


@pytest.mark.parametrize("name", ZONES)
@pytest.mark.parametrize("start", [0, 1_000_000_000, 1_325_000_000, 1_767_225_600])
def test_each_bound_of_a_decade_is_a_change_to_the_second_and_none_is_missing(name: str, start: int) -> None:
    zone = Zone(zone_named(name))
    for year in range(11):  # past the last probe
        zone.reach(start + year * 31_000_000)
    bounds, offsets = zone.known

    assert list(bounds) == sorted(set(bounds))
    for at, bound in enumerate(bounds[1:-1], 1):
        assert (truth(name, bound - 1), truth(name, bound)) == (offsets[at - 1], offsets[at])
        assert offsets[at - 1] != offsets[at]
    probes = range(start, start + 300_000_000, 7 * 3_600)
    changes = sum(truth(name, a) != truth(name, a + 7 * 3_600) for a in probes)
    assert changes == sum(start < bound <= probes[-1] + 7 * 3_600 for bound in bounds[1:-1])


@pytest.mark.parametrize("distance", [-366 * 86_400, 366 * 86_400])
def test_a_change_at_the_very_edge_of_what_was_learnt_is_not_lost(distance: int) -> None:
    change = 1_774_746_000  # Berlin, 2026-03-29 01:00 UTC
    zone = Zone(ZoneInfo("Europe/Berlin"))

    zone.reach(change + distance)
    assert change in (zone.known[0][0], zone.known[0][-1])
    zone.reach(change)

    assert [offset_at(zone, change + second) for second in (-1, 0, 1)] == [3600, 7200, 7200]
    assert change in zone.known[0]


def test_utc_is_one_endless_stretch() -> None:
    for zone in (zone_rules("UTC"), Zone(timezone(timedelta(hours=3)))):
        assert len(zone.known[1]) == 1
        assert zone.reach(FIRST_SECOND) is zone.reach(LAST_SECOND) is zone.known


@pytest.mark.parametrize("second", [FIRST_SECOND, LAST_SECOND - 1])
def test_the_ends_of_time_can_be_asked(second: int) -> None:
    assert offset_at(Zone(ZoneInfo("Europe/Berlin")), second) == truth("Europe/Berlin", second)


def test_a_far_question_does_not_learn_the_centuries_between() -> None:
    zone = Zone(ZoneInfo("Europe/Berlin"))
    zone.reach(0)

    zone.reach(200_000_000_000)

    assert len(zone.known[1]) < 10
    assert offset_at(zone, 0) == 3600


def test_entries_of_a_zone_share_it_and_copies_find_it_again() -> None:
    zone = zone_rules("Europe/Berlin")

    assert zone_rules("Europe/Berlin") is zone
    for twin in (pickle.loads(pickle.dumps(zone)), copy.deepcopy(zone)):
        assert offset_at(twin, 1_767_225_600) == 3600


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Europe/Berln", 'unknown time zone "Europe/Berln"; did you mean Europe/Berlin?'),
        ("europe/berlin", 'unknown time zone "europe/berlin"; did you mean Europe/Berlin?'),
        ("Berlin", 'unknown time zone "Berlin"; did you mean Europe/Berlin?'),
        *(
            (name, f'unknown time zone "{name}". help: an IANA name such as Europe/Berlin, or UTC')
            for name in ("GMT+1", "UTC+1", "CEST", "CET+1")
        ),
        ("new york", 'unknown time zone "new york"; did you mean America/New_York?'),
        ("Europe", 'unknown time zone "Europe"'),
        ("CET+1", 'unknown time zone "CET+1"'),
        ("", 'unknown time zone ""'),
        ("../etc/passwd", 'unknown time zone "../etc/passwd"'),
        ("/etc/passwd", 'unknown time zone "/etc/passwd"'),
        ("a\0b", "unknown time zone"),
        ("Zürich", "unknown time zone"),
        ("\ud800", "unknown time zone"),
        ("qqqqqqqqqqqq", "an IANA name such as Europe/Berlin"),
    ],
)
def test_an_unknown_zone_is_refused_with_the_nearest_known_one(name: str, message: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        zone_named(name)

    assert message in str(caught.value)
    assert caught.value.help
    assert caught.value.message == f'unknown time zone "{name}"'


def test_a_zone_comes_from_the_tzdata_package_so_that_hosts_agree() -> None:
    berlin = zone_named("Europe/Berlin")

    assert berlin.key == "Europe/Berlin"
    assert zone_named("Europe/Berlin") is berlin
    with resources.files("tzdata.zoneinfo.Europe").joinpath("Berlin").open("rb") as file:
        packaged = ZoneInfo.from_file(file)
    for month in range(1, 13):
        noon = datetime(2026, month, 15, 12, tzinfo=UTC)
        assert noon.astimezone(berlin).utcoffset() == noon.astimezone(packaged).utcoffset()


def test_copies_of_a_zone_find_it_again_by_name() -> None:
    berlin = zone_named("Europe/Berlin")

    assert pickle.loads(pickle.dumps(berlin)) is berlin
    assert copy.deepcopy(berlin) is berlin


def test_the_version_of_the_zone_data_is_that_of_the_iana_database() -> None:
    assert zone_data_version() == tzdata.IANA_VERSION


@pytest.mark.parametrize("name", ["localtime", "posixrules", "right/Europe/Berlin", "posix/Europe/Berlin"])
def test_names_that_mean_something_else_on_each_host_are_no_zones(name: str) -> None:
    with pytest.raises(ScheduleError):
        zone_named(name)


def test_every_name_of_the_package_is_a_zone() -> None:
    names = zone_names()

    assert len(names) > 500
    assert {zone_named(name).key for name in names} == names


@pytest.mark.parametrize(
    "zone", [pytz.timezone("Europe/Berlin"), ZoneInfo("Europe/Berlin")], ids=["pytz", "zoneinfo"]
)
def test_a_schedule_takes_a_zone_as_an_object_and_keeps_its_name(zone: Any) -> None:
    made = [
        Crontab(expression="30 2 * * *", timezone=zone),
        Months(months=1, timezone=zone),
        RRule(rule="FREQ=DAILY", start="2026-01-01T00:00", timezone=zone),
    ]

    assert {each.timezone for each in made} == {"Europe/Berlin"}
    assert all(json.dumps(schedule_to_spec(each)) for each in made)
    entry = entry_of("a", {"task": "t", "cron": "30 2 * * *", "timezone": zone})
    assert entry.when == made[0]
