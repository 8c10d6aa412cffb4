"""StatelessCommit and messages that have an eta: they hold up nobody, run once each, and go to others when they are due and it is paused."""

from __future__ import annotations

import logging

import pytest
from backbeat.canvas.clock import FakeClock
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.commit.memory import MemoryCommit
from backbeat.canvas.commit.memory_store import MemoryStore
from backbeat.canvas.commit.role import Role
from backbeat.canvas.commit.stateless import TIMERS_AT_ONCE, StatelessCommit
from backbeat.canvas.commit.store_broker import StoreBroker
from backbeat.canvas.commit.timers import Timers
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.effect import Publish
from backbeat.canvas.message import Message

MINUTE_US = 60_000_000


class World:
    """Workers without a store over one broker in memory."""

    def __init__(self):
        self.clock = FakeClock()
        self.store = MemoryStore(self.clock)

    def open(self, name):
        limits = Limits(lease_seconds=10)
        carrier = MemoryCommit(self.store, worker=name, queues=["celery"], role=Role.BROKER, limits=limits)
        return StatelessCommit(StoreBroker(carrier, sweep_seconds=0), self.clock)

    def send(self, commit, *names, after_us=0):
        eta = self.clock.now_us() + after_us if after_us else None
        sent = [Publish(Message(id=name, task="t", eta_us=eta)) for name in names]
        commit.exchange([Transition(effects=tuple(sent))])

    def pass_time(self, commit, seconds):
        """With all that it holds renewed, as a worker does, else it would be others' by then."""
        for _ in range(seconds // 6):
            self.clock.advance(6)
            commit.renew([])

    def take(self, commit, limit=1):
        return [taken.message.id for taken in commit.exchange([], take=limit).taken]


@pytest.fixture
def world():
    return World()


def test_a_message_behind_many_timers_comes_at_once(world):
    commit = world.open("w")
    world.send(commit, *map(str, range(TIMERS_AT_ONCE - 1)), after_us=MINUTE_US)
    world.send(commit, "now")

    assert world.take(commit) == ["now"]


def test_so_many_timers_that_a_call_would_take_long_do_not_keep_the_loop_from_its_other_work(world):
    commit = world.open("w")
    world.send(commit, *map(str, range(TIMERS_AT_ONCE + 1)), after_us=MINUTE_US)
    world.send(commit, "now")

    assert [world.take(commit), world.take(commit)] == [[], ["now"]]


def test_timers_come_when_they_are_due_before_all_else(world):
    commit = world.open("w")
    world.send(commit, "late", after_us=2 * MINUTE_US)
    world.send(commit, "soon", after_us=MINUTE_US)
    assert world.take(commit) == []

    world.pass_time(commit, 120)
    world.send(commit, "now")

    assert world.take(commit, 3) == ["soon", "late", "now"]


def test_a_timer_whose_lease_ran_out_is_not_run_twice(world):
    commit = world.open("w")
    world.send(commit, "once", after_us=MINUTE_US)
    world.take(commit)
    world.clock.advance(30)

    assert world.take(commit) == []  # it has come again
    world.pass_time(commit, 36)
    first = commit.exchange([], take=5).taken
    commit.exchange([Transition(delivery=taken.delivery) for taken in first])
    world.clock.advance(60)

    assert [taken.message.id for taken in first] == ["once"]
    assert world.take(commit, 5) == []


def test_while_it_is_paused_timers_are_held_until_they_are_due_and_are_others_then(world):
    busy, idle = world.open("busy"), world.open("idle")
    world.send(busy, "soon", after_us=5_000_000)
    world.send(busy, "late", after_us=MINUTE_US)
    world.take(busy)

    busy.pause()
    assert len(busy._timers.held) == 2
    world.clock.advance(5)
    assert world.take(idle) == []
    busy.pause()

    assert world.take(idle) == ["soon"]
    assert len(busy._timers.held) == 1


def test_when_a_worker_is_full_of_timers_it_says_so_once(world, caplog, monkeypatch):
    commit = world.open("w")
    commit._timers = Timers(most_bytes=1_000)
    with caplog.at_level(logging.WARNING):
        for n in range(5):
            world.send(commit, f"a{n}", f"b{n}", after_us=MINUTE_US)
            world.take(commit)

    assert len([record for record in caplog.records if record.action == "timers_full"]) == 1
