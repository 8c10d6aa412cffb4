"""Many workers wait for the same queue: what wakes them all is taken by one, and the others look for themselves before they come again."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest
from backbeat.canvas.commit.redis import RedisCommit
from backbeat.canvas.commit.sql import SqlCommit
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.effect import Publish
from backbeat.canvas.hesitation import Hesitation
from backbeat.canvas.message import Message
from backbeat.canvas.redis_watch import Watch
from backbeat.canvas.sql.engine import open_engine
from backbeat.canvas.sql.tables import message_table
from backbeat.canvas.sql.wake import open_waker, wake_takers
from sqlalchemy import select

from support.servers import own_database

PAUSE_SECONDS = 0.4


def send(commit):
    commit.exchange([Transition(effects=(Publish(Message(id="m", task="t")),))])


class RedisQueue:
    """A list, and a Watch of it."""

    def __init__(self, client, prefix):
        self._client, self._name, self._prefix = client, f"{prefix}list", prefix

    def open(self, worker):
        return RedisCommit(self._client, worker=worker, queues=["celery"], prefix=self._prefix)

    def fill(self):
        self._client.lpush(self._name, "x")

    def empty(self):
        self._client.delete(self._name)

    def wait(self, seconds, hesitation):
        with closing(Watch(self._client, [self._name], f"{self._prefix}t", f"{self._prefix}h")) as watch:
            watch.wait(seconds, (), lambda: 0, hesitation)

    def tell_others(self):
        self._client.set(f"{self._prefix}h", "another timer is the first one")


class PostgresQueue:
    """The table of messages, and a waker for it."""

    def __init__(self, engine):
        self._engine = engine
        self._commit = self.open("filler")

    def open(self, worker):
        return SqlCommit(self._engine, worker=worker, queues=["celery"])

    def fill(self):
        send(self._commit)

    def empty(self):
        with self._engine.begin() as connection:
            connection.execute(message_table.delete())

    def wait(self, seconds, hesitation):
        with closing(open_waker(self._engine, "bb_message")) as waker:
            waker.wait(seconds, (), self._is_filled, hesitation)

    def tell_others(self):
        with self._engine.begin() as connection:
            wake_takers(connection)

    def _is_filled(self, connection):
        return connection.execute(select(message_table.c.seq)).first() is not None


@pytest.fixture(params=["redis", "postgres"])
def queue(request):
    if request.param == "redis":
        yield RedisQueue(request.getfixturevalue("client"), request.getfixturevalue("redis_prefix"))
        return
    with own_database("postgres") as url:
        engine = open_engine(url)
        yield PostgresQueue(engine)
        engine.dispose()


@pytest.fixture
def later():
    """Calls these, one after the other, in a moment."""
    timers = []

    def call(*functions):
        timers.append(threading.Timer(0.2, lambda: [function() for function in functions]))
        timers[-1].start()

    yield call
    for timer in timers:
        timer.join()


class Heard(Hesitation):
    """Its pause is always the same; keeps what it is told."""

    seconds = 0.0

    def __init__(self, *, is_wary):
        super().__init__(PAUSE_SECONDS)
        self.is_wary = is_wary
        self.seconds = PAUSE_SECONDS if is_wary else 0.0
        self.words = []

    def told(self):
        self.words.append("told")

    def saw(self):
        self.words.append("saw")


def lasted(wait, *known):
    began = time.monotonic()
    wait(*known)
    return time.monotonic() - began


def test_who_leaves_what_comes_to_others_goes_on_waiting_if_it_is_gone(queue, later):
    later(queue.fill, queue.empty)
    heard = Heard(is_wary=True)

    assert lasted(queue.wait, 1.2, heard) >= 1.2
    assert heard.words == []


def test_who_leaves_what_comes_to_others_comes_for_it_if_nobody_takes_it(queue, later):
    later(queue.fill)
    heard = Heard(is_wary=True)

    assert 0.2 + PAUSE_SECONDS <= lasted(queue.wait, 30, heard) < 10
    assert heard.words == ["saw"]


def test_who_leaves_nothing_to_others_comes_though_it_may_be_gone(queue, later):
    later(queue.fill, queue.empty)
    heard = Heard(is_wary=False)

    assert lasted(queue.wait, 30, heard) < 10
    assert heard.words == ["told"]


def test_who_was_told_of_what_is_for_others_is_quick_when_something_is_for_it(queue, later):
    hesitation = Hesitation(PAUSE_SECONDS)
    later(queue.tell_others)
    assert lasted(queue.wait, 30, hesitation) < 10
    hesitation.took(0)

    later(queue.tell_others, queue.fill)

    assert lasted(queue.wait, 30, hesitation) < 10
    hesitation.took(0)  # now it is known that there was something
    assert hesitation.seconds > 0


def test_a_worker_that_came_in_vain_leaves_the_next_message_to_others_until_it_gets_one(queue):
    with closing(queue.open("idle")) as idle, closing(queue.open("quick")) as quick:
        for _ in range(3):
            send(quick)
            idle.wait(30)
            taken = quick.exchange([], take=1).taken
            quick.exchange([Transition(delivery=item.delivery) for item in taken])
            assert not idle.exchange([], take=1).taken
        assert len(taken) == 1
        assert idle._hesitation.seconds > 0

        send(quick)
        idle.wait(30)
        assert len(idle.exchange([], take=1).taken) == 1
        assert idle._hesitation.seconds == 0
