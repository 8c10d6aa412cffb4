"""Timers without a result backend. On RabbitMQ: as many as there may be, others are run meanwhile; and in how much memory. On Redis they wait there."""

from __future__ import annotations

import time

import pytest
from backbeat.canvas.brokers.kombu import PREFETCH, KombuBroker
from backbeat.canvas.commit.stateless import StatelessCommit
from backbeat.canvas.commit.timers import Timers
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.effect import Publish
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import Message

from support import servers
from support.brokers import BrokerKind

SECONDS = 30.0


@pytest.fixture
def worker(amqp_url, request):
    opened = StatelessCommit(KombuBroker(amqp_url, queues=[request.node.name[:60]]))
    opened.queue = request.node.name[:60]
    yield opened
    opened.close()


def send(worker, names, seconds=None):
    eta = None if seconds is None else time.time_ns() // 1000 + int(seconds * 1_000_000)
    messages = [
        Message(id=name, task="t", args=Json("[1]"), queue=worker.queue, eta_us=eta) for name in names
    ]
    worker.exchange([Transition(effects=tuple(Publish(message) for message in messages))])


def take(worker, seconds=SECONDS, until=1):
    """What comes within the time, each acknowledged, until there are so many."""
    found, deadline = [], time.monotonic() + seconds
    while len(found) < until and time.monotonic() < deadline:
        taken = worker.exchange([], take=1).taken
        worker.exchange([Transition(delivery=item.delivery) for item in taken])
        found += [item.message.id for item in taken]
        if not taken:
            worker.wait(0.5)
    return found


def test_what_is_due_now_runs_at_once_behind_thousands_of_timers(worker):
    send(worker, [f"timer{n}" for n in range(3_000)], 600)
    send(worker, ["now"])

    began = time.monotonic()
    assert take(worker) == ["now"]
    assert len(worker._intake._timers.held) == 3_000
    assert time.monotonic() - began < SECONDS / 2

    send(worker, ["again"])
    began = time.monotonic()
    assert take(worker) == ["again"]
    assert time.monotonic() - began < 2


def test_all_timers_run_when_they_are_due_each_once(worker):
    names = [f"timer{n}" for n in range(PREFETCH * 4)]
    send(worker, names, 2)

    assert sorted(take(worker, until=len(names))) == sorted(names)
    assert take(worker, 0.5) == []


def test_beyond_the_bound_no_more_are_taken_until_some_are_due(worker):
    worker._intake._timers = Timers(most_bytes=1)
    names = [f"timer{n}" for n in range(PREFETCH * 3)]
    send(worker, names, 3)
    assert take(worker, 1) == []
    assert len(worker._intake._timers.held) < len(names)

    assert sorted(take(worker, until=len(names))) == sorted(names)


def test_timers_that_come_again_after_the_connection_was_lost_run_once(worker, amqp_url):
    from backbeat.canvas.errors import Unavailable

    names = [f"timer{n}" for n in range(PREFETCH * 2)]
    send(worker, names, 6)
    assert take(worker, 1) == []
    assert len(worker._intake._timers.held) == len(names)
    servers.cut_vhost(amqp_url)

    found, deadline = [], time.monotonic() + SECONDS
    while len(found) < len(names) and time.monotonic() < deadline:
        try:
            found += take(worker, 1, until=len(names))
        except Unavailable:
            continue

    assert sorted(found) == sorted(names)
    assert take(worker, 0.5) == []


def test_on_redis_what_others_sent_with_an_eta_waits_there_and_comes_to_any_worker_once(
    redis_prefixed, monkeypatch
):
    monkeypatch.setattr("backbeat.canvas.commit.intake.NEAR_SECONDS", 0)
    kind = BrokerKind("redis", *redis_prefixed, lease_seconds=60)
    first, second = (StatelessCommit(kind.open("q")) for _ in range(2))
    due = time.time_ns() // 1000 + 2_000_000
    try:
        first._broker.post(
            [Message(id=f"t{n}", task="t", queue="q", eta_us=due) for n in range(50)], at_once=True
        )
        assert first.exchange([], take=4).taken == []
        assert first._intake.held == []
        assert time.time_ns() // 1000 < due

        found = take(second, until=50)
        assert time.time_ns() // 1000 >= due
        assert sorted(found) == sorted(f"t{n}" for n in range(50))
        assert take(first, 0.3) == take(second, 0.3) == []
    finally:
        kind.close()
