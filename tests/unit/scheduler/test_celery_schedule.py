"""Celery's schedules as ours: which class, which zone, and what is said about differences."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from backbeat.canvas.schedules import crontab, schedule, solar
from backbeat.scheduler.celery_schedule import translated, zone_name
from backbeat.scheduler.errors import ScheduleError
from backbeat.scheduler.schedule import Clocked, Crontab, DayMatch, Interval, RRule, Solar

BERLIN = "Europe/Berlin"


class CeleryCrontab:
    """The attributes of Celery's crontab: sets, and beside them what was written."""

    def __init__(self, tz=None):
        self.minute, self.hour = {0, 30}, {9}
        self.day_of_week, self.day_of_month, self.month_of_year = {5}, {13}, set(range(1, 13))
        self._orig_minute, self._orig_hour = "*/30", 9
        self._orig_day_of_week, self._orig_day_of_month, self._orig_month_of_year = "fri", "13", "*"
        if tz is not None:
            self.tz = tz


@dataclass
class CelerySchedule:
    run_every: timedelta
    relative: bool = False


@dataclass
class CeleryClocked:
    clocked_time: datetime


@pytest.mark.parametrize(
    ("given", "relative", "when"),
    [
        (30.0, False, Interval(every=timedelta(seconds=30))),
        (timedelta(minutes=5), False, Interval(every=timedelta(minutes=5))),
        (schedule(90), False, Interval(every=timedelta(seconds=90))),
        (CelerySchedule(timedelta(hours=2)), False, Interval(every=timedelta(hours=2))),
        (timedelta(hours=1), True, Crontab(expression="0 * * * *", timezone=BERLIN)),
        (schedule(timedelta(days=1), relative=True), False, Crontab(expression="0 0 * * *", timezone=BERLIN)),
        (CelerySchedule(timedelta(minutes=1), True), False, Crontab(expression="* * * * *", timezone=BERLIN)),
        (timedelta(minutes=90), True, Crontab(expression="0 * * * *", timezone=BERLIN)),
        (timedelta(minutes=5), True, Interval(every=timedelta(minutes=5))),
        (10, True, Interval(every=timedelta(seconds=10))),
        (
            timedelta(days=2),
            True,
            RRule(rule="FREQ=DAILY;INTERVAL=2", start="2024-01-01T00:00:00", timezone=BERLIN),
        ),
        (crontab(minute=0, hour="*/3"), False, Crontab(expression="0 */3 * * *", timezone=BERLIN)),
        (
            crontab(0, 0, "fri", 13),
            False,
            Crontab(expression="0 0 13 * 5", timezone=BERLIN, day_match=DayMatch.ALL),
        ),
        (
            CeleryCrontab(),
            False,
            Crontab(expression="*/30 9 13 * 5", timezone=BERLIN, day_match=DayMatch.ALL),
        ),
        (
            CeleryCrontab(tz=ZoneInfo("Asia/Tokyo")),
            False,
            Crontab(expression="*/30 9 13 * 5", timezone="Asia/Tokyo", day_match=DayMatch.ALL),
        ),
        (solar("sunset", 52.5, 13.4), False, Solar(event="sunset", latitude=52.5, longitude=13.4)),
        (CeleryClocked(datetime(2026, 1, 1, tzinfo=UTC)), False, Clocked(times_us=(1_767_225_600_000_000,))),
    ],
)
def test_a_schedule_of_celery_is_one_of_ours(given, relative, when):
    assert translated(given, zone=BERLIN, relative=relative).when == when


def test_differences_are_said():
    both_days = translated(crontab(0, 0, "fri", 13), zone="UTC")
    cut = translated(timedelta(hours=36), zone="UTC", relative=True)

    assert "day_match" in both_days.notes[0]
    assert "1 day, 12:00:00" in cut.notes[0]
    assert translated(crontab(0, 0, "fri"), zone="UTC").notes == ()


@pytest.mark.parametrize(
    "given", [None, True, "5m", object(), float("nan"), 1e300, CeleryClocked(datetime(2026, 1, 1))]
)
def test_what_is_no_schedule_is_refused(given):
    with pytest.raises(ScheduleError):
        translated(given, zone="UTC")


@pytest.mark.parametrize(
    ("zone", "name"), [(None, "UTC"), ("Asia/Tokyo", "Asia/Tokyo"), (ZoneInfo(BERLIN), BERLIN), (UTC, "UTC")]
)
def test_zones_are_known_by_name(zone, name):
    assert zone_name(zone) == name


def test_a_crontab_file_s_order_of_fields_is_understood():
    assert crontab.from_string("1 2 3 4 5") == crontab(1, 2, 5, 3, 4).from_string("1 2 3 4 5")
    assert crontab.from_string("1 2 3 4 5").day_of_month == "3"
    with pytest.raises(ValueError, match="4 fields"):
        crontab.from_string("1 2 3 4")


def test_a_clock_of_one_s_own_is_told_to_have_no_effect():
    with pytest.warns(UserWarning, match="nowfun"):
        crontab(0, 0, nowfun=lambda: None)
