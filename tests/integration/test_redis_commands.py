"""What a group and a chord cost a Redis: commands to send one, channels to wait for one. On a server of their own, which counts for nobody else."""

from __future__ import annotations

import threading

import pytest
from backbeat.canvas import App, chord, group
from backbeat.canvas.results.redis import HEARD

from support.processes import wait_until


@pytest.fixture
def app(own_redis):
    opened = App("counted", broker=own_redis.url(), backend=own_redis.url(), set_as_current=False)
    opened.task(name="noop")(lambda *_: None)
    yield opened
    opened.close()


@pytest.fixture
def redis(own_redis):
    from redis import Redis

    with Redis.from_url(own_redis.url()) as client:
        client.flushall()
        yield client


def members(app, count):
    return [app.signature("noop", (number,)) for number in range(count)]


def commands(redis, send):
    """How many commands Redis is given for it, those of scripts among them."""
    send()  # connections are open, scripts are known
    redis.config_resetstat()
    send()
    given = redis.info("commandstats").items()
    return sum(known["calls"] for name, known in given if "config" not in name and "info" not in name)


def test_a_group_of_ten_costs_no_fifty_commands(app, redis, figure):
    given = commands(redis, lambda: group(members(app, 10)).apply_async())

    figure(f"{given} commands")
    assert given <= 25  # one for each member, and what one step costs


def test_a_member_of_a_large_group_costs_one_command(app, redis, figure):
    given = commands(redis, lambda: group(members(app, 2_000)).apply_async())

    figure(f"{given / 2_000:.3f} commands a member")
    assert given <= 1.1 * 2_000


def test_who_waits_for_a_chord_listens_to_one_result(app, redis):
    handle = chord(members(app, 1_000), app.signature("noop")).apply_async()
    waiting = threading.Thread(target=handle.get, kwargs={"timeout": 60, "propagate": False})
    waiting.start()
    wait_until(redis.pubsub_channels)
    channels = redis.pubsub_channels()
    handle.revoke()
    waiting.join(60)

    assert channels == [f"celery-task-meta-{handle.id}".encode()]
    assert not waiting.is_alive()


def test_who_waits_for_a_large_group_listens_to_a_few_of_its_results(app, redis):
    handle = group(members(app, 1_000)).apply_async()
    waiting = threading.Thread(target=handle.get, kwargs={"timeout": 60, "propagate": False})
    waiting.start()
    wait_until(lambda: len(redis.pubsub_channels()) >= HEARD)
    heard = len(redis.pubsub_channels())
    for member in handle.results:
        member.revoke()
    waiting.join(60)

    assert heard == HEARD
    assert not waiting.is_alive()
