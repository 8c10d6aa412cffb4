"""Schedules of django-celery-beat and RedBeat, from their own tables and hashes, into a file that the loader reads."""

from __future__ import annotations

import json

import pytest
from backbeat.canvas.errors import Unavailable
from backbeat.scheduler.entry import Owner
from backbeat.scheduler.errors import ScheduleError
from backbeat.scheduler.files import parse
from backbeat.scheduler.imports.django import read_django
from backbeat.scheduler.imports.page import page_of
from backbeat.scheduler.imports.redbeat import read_redbeat
from backbeat.scheduler.schedule import Clocked, Crontab, DayMatch, Interval, RRule, Solar
from sqlalchemy import create_engine, text

from support import servers

TABLES = """
CREATE TABLE django_celery_beat_intervalschedule (id integer PRIMARY KEY, every integer NOT NULL, period varchar(24) NOT NULL);
CREATE TABLE django_celery_beat_crontabschedule (id integer PRIMARY KEY, minute varchar(240) NOT NULL, hour varchar(96) NOT NULL,
    day_of_week varchar(64) NOT NULL, day_of_month varchar(124) NOT NULL, month_of_year varchar(64) NOT NULL, timezone varchar(63) NOT NULL);
CREATE TABLE django_celery_beat_solarschedule (id integer PRIMARY KEY, event varchar(24) NOT NULL, latitude numeric(9, 6) NOT NULL,
    longitude numeric(9, 6) NOT NULL);
CREATE TABLE django_celery_beat_clockedschedule (id integer PRIMARY KEY, clocked_time {moment} NOT NULL);
CREATE TABLE django_celery_beat_periodictask (id integer PRIMARY KEY, name varchar(200) NOT NULL UNIQUE, task varchar(200) NOT NULL,
    args text NOT NULL, kwargs text NOT NULL, queue varchar(200), exchange varchar(200), routing_key varchar(200), expires {moment},
    enabled bool NOT NULL, last_run_at {moment}, total_run_count integer NOT NULL, date_changed {moment}, description text NOT NULL,
    crontab_id integer, interval_id integer, solar_id integer, clocked_id integer, one_off bool NOT NULL, start_time {moment},
    priority integer, headers text NOT NULL, expire_seconds integer);
INSERT INTO django_celery_beat_intervalschedule VALUES (1, 2, 'hours'), (2, 250000, 'microseconds');
INSERT INTO django_celery_beat_crontabschedule VALUES (1, '0', '4', '*', '*', '*', 'Europe/Berlin'),
    (2, '0, 30', '*/2', 'mon,fri', '13', '*', 'Asia/Tokyo'), (3, '61', '*', '*', '*', '*', 'UTC');
INSERT INTO django_celery_beat_solarschedule VALUES (1, 'sunset', 52.5, 13.4);
INSERT INTO django_celery_beat_clockedschedule VALUES (1, '2027-03-01 10:00:00+00:00');
"""
USUAL = {
    "args": "[]",
    "kwargs": "{}",
    "enabled": True,
    "total_run_count": 0,
    "description": "",
    "one_off": False,
    "headers": "{}",
}
TASKS = [
    {"name": "cleanup", "crontab_id": 1, "expire_seconds": 43200},
    {
        "name": "both days",
        "crontab_id": 2,
        "args": '[1, "two"]',
        "kwargs": '{"a": {"b": null}}',
        "queue": "slow",
        "priority": 5,
        "headers": '{"tenant": "acme"}',
    },
    {"name": "every two hours", "interval_id": 1, "last_run_at": "2026-11-01 10:17:00+00:00"},
    {
        "name": "fast",
        "interval_id": 2,
        "enabled": False,
        "start_time": "2026-12-01 00:00:00+00:00",
        "expires": "2026-12-31 00:00:00+00:00",
        "description": "Runs\n  often.",
    },
    {"name": "sun", "solar_id": 1},
    {"name": "once", "clocked_id": 1, "one_off": True},
    {"name": "was once", "clocked_id": 1, "one_off": True, "total_run_count": 1},
    {"name": "routed", "interval_id": 1, "exchange": "topic", "routing_key": "a.b"},
    {"name": "wrong minute", "crontab_id": 3},
    {"name": "wrong args", "interval_id": 1, "args": "(1,)"},
    {"name": "no schedule"},
    {"name": "lost schedule", "interval_id": 99},
]


def fill(url, moment):
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in TABLES.format(moment=moment).split(";"):
            if statement.strip():
                connection.execute(text(statement))
        for number, task in enumerate(TASKS, 1):
            row = {"id": number, "task": "shop.run", **USUAL, **task}
            names, values = ", ".join(row), ", ".join(f":{name}" for name in row)
            connection.execute(
                text(f"INSERT INTO django_celery_beat_periodictask ({names}) VALUES ({values})"), row
            )
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgres"], scope="module")
def database(request, tmp_path_factory):
    """The URL of a database as django-celery-beat 2.9 leaves it."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('django')}/django.db"
        fill(url, "datetime")
        yield url
        return
    with servers.own_database("postgres") as url:
        fill(url, "timestamp with time zone")
        yield url


def loaded(page):
    """The page, read back by the loader: entries by name."""
    read = parse(page.text, "schedules.yaml", {})
    assert read.is_applicable, [problem.render() for problem in read.problems]
    return {entry.name: entry for entry in read.entries}


def test_periodic_tasks_of_django_are_read_from_their_tables(database):
    page = page_of(read_django(database))
    found = loaded(page)

    assert found["cleanup"].when == Crontab(expression="0 4 * * *", timezone="Europe/Berlin")
    assert found["cleanup"].what["options"] == {"expires": 43200}
    both = found["both days"]
    assert both.when == Crontab(expression="0,30 */2 13 * 1,5", timezone="Asia/Tokyo", day_match=DayMatch.ALL)
    assert (both.what["args"], both.what["kwargs"]) == ([1, "two"], {"a": {"b": None}})
    assert both.what["options"] == {"queue": "slow", "priority": 5, "headers": {"tenant": "acme"}}
    interval = found["every two hours"].when
    assert isinstance(interval, Interval)
    # 2026-11-01 10:17Z
    assert interval.next_after(1_793_528_220_000_000) == 1_793_528_220_000_000 + 7_200_000_000
    assert found["sun"].when == Solar(event="sunset", latitude=52.5, longitude=13.4)
    assert found["once"].when == Clocked(times_us=(1_803_895_200_000_000,))
    assert (found["once"].max_runs, found["once"].enabled) == (1, True)
    assert all(entry.owner is Owner.FILE for entry in found.values())


def test_switches_bounds_and_descriptions_are_kept(database):
    found = loaded(page_of(read_django(database)))

    assert (found["fast"].enabled, found["was once"].enabled) == (False, False)
    assert found["fast"].start_us == 1_796_083_200_000_000
    assert found["fast"].end_us == 1_798_675_200_000_000 - 1
    assert found["fast"].description == "Runs often."


def test_what_cannot_be_mapped_is_named_with_its_reason(database):
    haul = read_django(database)

    reasons = {each.name: each.reason for each in haul.unmapped}
    assert reasons == {
        "wrong minute": "minute 61 is out of range 0-59",
        "wrong args": "args is not JSON: Expecting value: line 1 column 1 (char 0)",
        "no schedule": "it has no schedule",
        "lost schedule": "its interval 99 is gone",
    }
    lost = {draft.entry.name: draft.lost for draft in haul.drafts if draft.lost}
    assert list(lost) == ["routed"]
    assert "exchange 'topic', routing_key 'a.b'" in lost["routed"][0]


def test_older_tables_without_some_columns_are_read(sqlite_url):
    fill(sqlite_url, "datetime")
    engine = create_engine(sqlite_url)
    with engine.begin() as connection:
        for column in ("headers", "priority", "expire_seconds", "start_time", "one_off"):
            connection.execute(text(f"ALTER TABLE django_celery_beat_periodictask DROP COLUMN {column}"))
        connection.execute(text("DROP TABLE django_celery_beat_clockedschedule"))
    engine.dispose()

    haul = read_django(sqlite_url)

    assert "cleanup" in {draft.entry.name for draft in haul.drafts}
    assert "its clocked 1 is gone" in {each.reason for each in haul.unmapped}


def test_a_wrong_address_says_what_is_wrong(tmp_path):
    with pytest.raises(ScheduleError, match="no file"):
        read_django(f"sqlite:///{tmp_path}/nothing.db")
    with pytest.raises(ScheduleError, match="not a database URL"):
        read_django("redis://localhost")
    with pytest.raises(Unavailable):
        read_django("postgresql://postgres@127.0.0.1:1/x?connect_timeout=2")


# --- RedBeat -----------------------------------------------------------------------------------------------------------------------------

ENTRIES = {
    "tick": {"every": 30.0, "relative": False, "__type__": "interval"},
    "nightly": {
        "__type__": "crontab",
        "minute": 30,
        "hour": "2",
        "day_of_week": "*",
        "day_of_month": "*",
        "month_of_year": "*",
    },
    "rule": {
        "__type__": "rrule",
        "freq": 3,
        "interval": 2,
        "wkst": None,
        "count": None,
        "byhour": [9, 17],
        "byweekday": [{"__type__": "weekday", "wkday": 0}, 4],
        "dtstart": 1_767_254_400,  # 2026-01-01 08:00Z, 09:00 in Berlin
        "dtstart_tz": 60,
        "until": 1_798_761_600,
        "until_tz": 0,
    },
    "easter": {"__type__": "rrule", "freq": 0, "byeaster": 0, "dtstart": 1_767_254_400},
    "mine": {"__type__": "lunar"},
}
LAST_RUN = {
    "__type__": "datetime",
    "year": 2026,
    "month": 11,
    "day": 1,
    "hour": 10,
    "minute": 0,
    "second": 7,
    "microsecond": 0,
    "timezone": "UTC",
}


@pytest.fixture
def redbeat(redis_url, redis_prefix):
    """A Redis URL and prefix, with entries as RedBeat 2.4 keeps them."""
    import redis

    with redis.Redis.from_url(redis_url) as client:
        for name, schedule in ENTRIES.items():
            definition = {
                "name": name,
                "task": "shop.run",
                "args": [1],
                "kwargs": {"a": "b"},
                "options": {"queue": "slow", "expires": LAST_RUN if name == "nightly" else 60},
                "schedule": schedule,
                "enabled": name != "nightly",
            }
            meta = {"last_run_at": LAST_RUN} if name == "tick" else {}
            client.hset(
                f"{redis_prefix}{name}",
                mapping={"definition": json.dumps(definition), "meta": json.dumps(meta)},
            )
        client.hset(f"{redis_prefix}torn", "definition", '{"name": ')
        client.sadd(f"{redis_prefix}:statics", "tick")
        client.zadd(f"{redis_prefix}:schedule", {f"{redis_prefix}tick": 1.0})
        client.hset(f"{redis_prefix}other", "field", "of somebody else")
    return redis_url, redis_prefix


def test_entries_of_redbeat_are_read_from_their_hashes(redbeat):
    haul = read_redbeat(*redbeat, "Europe/Berlin")
    found = loaded(page_of(haul))

    assert sorted(found) == ["nightly", "rule", "tick"]
    tick = found["tick"]
    assert isinstance(tick.when, Interval)
    # it goes on from its last run
    assert tick.when.next_after(1_793_527_207_000_000) == 1_793_527_237_000_000
    assert (tick.what["args"], tick.what["kwargs"]) == ([1], {"a": "b"})
    assert tick.what["options"] == {"queue": "slow", "expires": 60}
    assert found["nightly"].when == Crontab(expression="30 2 * * *", timezone="Europe/Berlin")
    assert found["nightly"].end_us == 1_793_527_207_000_000
    assert (tick.enabled, found["nightly"].enabled) == (True, False)
    rule = found["rule"].when
    assert isinstance(rule, RRule)
    assert (rule.start, rule.timezone) == ("2026-01-01T09:00:00", "Europe/Berlin")
    assert rule.rule == "FREQ=DAILY;INTERVAL=2;BYHOUR=9,17;BYDAY=MO,FR;UNTIL=20270101T000000Z"


def test_what_redbeat_alone_knows_is_named(redbeat):
    reasons = {each.name: each.reason for each in read_redbeat(*redbeat, "UTC").unmapped}

    assert list(reasons) == ["easter", "mine", "torn"]
    assert "byeaster" in reasons["easter"]
    assert "class of its own" in reasons["mine"]
    assert "Expecting value" in reasons["torn"]


def test_rules_of_redbeat_fire_when_dateutil_says(redbeat):
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo

    from dateutil.rrule import DAILY, rrule

    when = loaded(page_of(read_redbeat(*redbeat, "Europe/Berlin")))["rule"].when
    begin = datetime(2026, 1, 1, 9, tzinfo=ZoneInfo("Europe/Berlin"))
    theirs = rrule(DAILY, begin, interval=2, byhour=[9, 17], byweekday=[0, 4], bysecond=0, byminute=0)
    expected = [
        int(each.timestamp()) * 1_000_000 for each in theirs.between(begin, datetime(2026, 3, 1, tzinfo=UTC))
    ]

    times, at = [], int(begin.timestamp()) * 1_000_000
    while (at := when.next_after(at)) is not None and at < 1_772_323_200_000_000:
        times.append(at)

    assert times == expected
    assert len(times) > 10


def test_an_empty_prefix_is_an_error_with_a_hint(redis_url, redis_prefix):
    with pytest.raises(ScheduleError, match="--prefix"):
        read_redbeat(redis_url, f"{redis_prefix}nobody:", "UTC")


def test_a_redis_that_is_away_is_unavailable():
    with pytest.raises(Unavailable):
        read_redbeat("redis://127.0.0.1:1/0", "redbeat:", "UTC")


def test_a_star_in_a_prefix_is_no_pattern(redis_url, redis_prefix):
    with pytest.raises(ScheduleError, match="no RedBeat entry"):
        read_redbeat(redis_url, f"{redis_prefix[:-2]}*", "UTC")
