"""The beat in a user's test: the real loop and ledger in the time of a world in memory."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from backbeat.canvas import App
from backbeat.canvas.schedules import crontab
from backbeat.canvas.testing import in_memory
from backbeat.scheduler.errors import ScheduleError
from backbeat.scheduler.testing import beat_in

START = datetime(2026, 3, 2, 0, 30, tzinfo=UTC)
HOURLY = 'schedules:\n  hourly:\n    task: shop.sync\n    cron: "0 * * * *"\n    args: [1]\n'


@pytest.fixture
def app():
    app = App("shop", broker="redis://nowhere.invalid", set_as_current=False)
    app.ran = []
    app.task(name="shop.sync")(app.ran.append)
    return app


@pytest.fixture
def world(app):
    with in_memory(app, at=START) as world:
        yield world


def test_a_day_of_an_hourly_crontab_is_twenty_four_messages_in_order(app, world):
    begun = time.perf_counter()

    with beat_in(world, HOURLY) as beat:
        fires = beat.advance("1d")

    hours = [datetime(2026, 3, 2, 1, tzinfo=UTC) + timedelta(hours=k) for k in range(24)]
    assert [fire.fire_time for fire in fires] == [fire.sent_at for fire in fires] == hours
    assert {(fire.schedule, fire.task) for fire in fires} == {("hourly", "shop.sync")}
    sent = world.assert_sent("shop.sync", [1], queue="celery", times=24)
    assert [each.id for each in sent] == [fire.task_id for fire in fires]
    assert [each.sent_at for each in sent] == hours
    assert sent[0].headers["periodic_task_name"] == "hourly"
    assert app.ran == []
    assert world.drain() == 24
    assert app.ran == [1] * 24
    assert time.perf_counter() - begun < 5  # some 30 ms


def test_a_month_has_720_hours(world):
    with beat_in(world, HOURLY) as beat:
        assert len(beat.advance("30d")) == 720


def test_nothing_is_sent_before_the_first_fire_time(world):
    with beat_in(world, HOURLY) as beat:
        assert (beat.fires, world.now) == ([], START)
        assert beat.next_fire == START + timedelta(minutes=30)
        assert beat.advance("29m") == []
        assert len(beat.advance("1m")) == 1
        assert (len(beat.fires), world.now) == (1, START + timedelta(minutes=30))


def test_the_app_s_own_schedules_are_sent_too(app, world):
    app.conf.beat_schedule = {"tick": {"task": "shop.sync", "schedule": 600.0, "args": [2]}}
    app.add_periodic_task(crontab(minute="15"), app.signature("shop.sync", (3,)), name="quarter")

    with beat_in(world) as beat:
        fires = beat.advance("1h")

    assert [fire.schedule for fire in fires].count("tick") == 6
    assert [fire.schedule for fire in fires].count("quarter") == 1


def test_a_name_that_file_and_app_both_have_is_an_error(app, world):
    app.conf.beat_schedule = {"hourly": {"task": "shop.sync", "schedule": 600.0}}

    with pytest.raises(ScheduleError, match="hourly"), beat_in(world, HOURLY):
        pass


def test_schedules_with_errors_are_refused_with_their_places(world):
    with pytest.raises(ScheduleError, match="61"), beat_in(world, HOURLY.replace('"0 *', '"61 *')):
        pass


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)])
def test_a_day_has_as_many_hours_as_the_clock_says(app, day, hours):
    zone = "timezone: Europe/Berlin\n"
    nightly = '  nightly:\n    task: shop.sync\n    cron: "30 2 * * *"\n'
    begin = "00:00:00+01:00" if hours == 23 else "00:00:00+02:00"

    with in_memory(app, at=f"{day}T{begin}") as world, beat_in(world, zone + HOURLY + nightly) as beat:
        fires = beat.advance(timedelta(hours=hours, minutes=-1))

    assert [fire.schedule for fire in fires].count("hourly") == hours - 1
    assert [fire.schedule for fire in fires].count("nightly") == 1


@pytest.mark.parametrize(("catch_up", "sent"), [("all", 5), ("latest", 1), ("none", 0)])
def test_what_an_outage_missed_is_caught_up_as_the_schedule_says(world, catch_up, sent):
    with beat_in(world, HOURLY + f"    catch_up: {catch_up}\n") as beat:
        beat.advance("1h")
        fires = beat.outage("5h")

        assert len(fires) == sent
        assert all(fire.sent_at == START + timedelta(hours=6) for fire in fires)
        assert sum(each.count for each in beat.skipped) == 5 - sent
        assert len(beat.advance("1h")) == 1


def test_overlap_skip_knows_whether_a_run_is_over(world):
    with beat_in(world, HOURLY + "    overlap: skip\n    overlap_timeout: 30d\n") as beat:
        assert len(beat.advance("5h")) == 1  # nothing runs, so the first one is never over
        assert len(beat.skipped) == 4
        world.drain()
        assert len(beat.advance("5h", drain=True)) == 5


def test_overlap_queue_goes_on_when_the_run_is_over(app, world):
    app.task(name="shop.slow", bind=True, max_retries=None)(_until_it_has_run_twice)
    text = HOURLY.replace("shop.sync", "shop.slow").replace(
        "    args: [1]\n", "    overlap: queue\n    overlap_timeout: 1d\n"
    )

    with beat_in(world, text) as beat:
        fires = beat.advance("6h", drain=True)

    # of those that wait only the newest follows, as soon as it may
    assert [fire.sent_at.strftime("%T") for fire in fires][:3] == ["01:00:00", "02:30:07", "04:00:14"]


def test_overlap_timeout_counts_too(app, world):
    text = HOURLY + "    overlap: queue\n    overlap_timeout: 80m\n"

    with beat_in(world, text) as beat:
        fires = beat.advance("3h")  # nobody runs anything

    assert [fire.sent_at.strftime("%R") for fire in fires] in (["01:00", "02:20"], ["01:00", "02:21"])


def test_what_waits_for_a_run_goes_out_in_the_moment_when_it_is_over(world):
    with beat_in(world, HOURLY + "    overlap: queue\n    overlap_timeout: 30d\n") as beat:
        beat.advance("3h")
        (fire,) = beat.advance("10m", drain=True)

    assert (fire.fire_time.hour, fire.sent_at) == (3, START + timedelta(hours=3))


def _until_it_has_run_twice(task):
    if task.request.retries < 1:
        raise task.retry(countdown=90 * 60 + 7)


def test_retries_of_what_the_beat_sent_run_at_their_own_time(app, world):
    at = []

    @app.task(name="shop.sync", bind=True)
    def sync(task, _):
        at.append(world.now - START)
        if task.request.retries < 1:
            raise task.retry(countdown=600)

    with beat_in(world, HOURLY) as beat:
        beat.advance("2h", drain=True)

    assert [moment // timedelta(minutes=1) for moment in at] == [30, 40, 90, 100]


def test_what_is_decided_while_the_broker_is_down_goes_out_afterwards(world):
    with beat_in(world, HOURLY) as beat:
        with world.broker_down():
            assert beat.advance("2h") == []
        fires = beat.advance("10s")

    assert [fire.fire_time for fire in fires] == [START + timedelta(minutes=minutes) for minutes in (30, 90)]
    world.assert_sent("shop.sync", times=2)


def test_workflows_are_started_by_the_world_s_worker(app, world):
    text = "schedules:\n  etl:\n    every: 1h\n    chain:\n      - {task: shop.sync, args: [1]}\n      - {task: shop.sync, args: [2], immutable: true}\n"

    with beat_in(world, text) as beat:
        beat.advance("1h", drain=True)

    assert app.ran == [1, 2]


def test_jitter_moves_when_it_is_sent_and_not_the_fire_time(world):
    with beat_in(world, HOURLY + "    jitter: 10m\n") as beat:
        fires = beat.advance("1d")

    late = [fire.sent_at - fire.fire_time for fire in fires]
    assert len(set(late)) > 10
    assert max(late) <= timedelta(minutes=10)
