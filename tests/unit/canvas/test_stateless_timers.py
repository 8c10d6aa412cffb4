"""StatelessCommit and messages that have an eta: they wait in the broker, where it keeps timers; where they are held they hold up nobody, run
once each, and go to others when they are due and it is paused.
"""

from __future__ import annotations

import logging

import pytest
from backbeat.canvas.brokers.kombu import KombuBroker
from backbeat.canvas.clock import FakeClock
from backbeat.canvas.commit.intake import NEAR_SECONDS, TIMERS_AT_ONCE
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.commit.memory import MemoryCommit
from backbeat.canvas.commit.memory_store import MemoryStore
from backbeat.canvas.commit.role import Role
from backbeat.canvas.commit.stateless import StatelessCommit
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

    def messages(self, names, after_us=0, queue="celery"):
        eta = self.clock.now_us() + after_us if after_us else None
        return [Message(id=name, task="t", queue=queue, eta_us=eta) for name in names]

    def send(self, commit, *names, after_us=0):
        """As a client of Celery's does: what has an eta lies among the others."""
        commit._broker.post(self.messages(names, after_us), at_once=True)

    def bring(self, commit, *names, after_us=0, queue="celery"):
        """As we do."""
        sent = [Publish(message) for message in self.messages(names, after_us, queue)]
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
    world.send(commit, "late", after_us=MINUTE_US)
    world.send(commit, "soon", after_us=MINUTE_US // 2)
    assert world.take(commit) == []

    world.pass_time(commit, 60)
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
    assert len(busy._intake._timers.held) == 2
    world.clock.advance(5)
    assert world.take(idle) == []
    busy.pause()

    assert world.take(idle) == ["soon"]
    assert len(busy._intake._timers.held) == 1


@pytest.fixture
def alone(world, request):
    """A worker of a broker that keeps no timers, which is full as soon as it holds more than one, and is sent four ahead."""
    queue = request.node.name
    commit = StatelessCommit(KombuBroker("memory://", queues=[queue], prefetch=4), world.clock)
    commit.queue = queue
    commit._intake._timers = Timers(most_bytes=1)
    yield commit
    commit.close()


def take_often(world, commit, calls=50):
    """What comes in so many calls, each acknowledged."""
    found = []
    for _ in range(calls):
        taken = commit.exchange([], take=1).taken
        commit.exchange([Transition(delivery=item.delivery) for item in taken])
        found += [item.message.id for item in taken]
    return found


def test_when_a_worker_is_full_of_timers_it_says_so_once(world, alone, caplog):
    with caplog.at_level(logging.WARNING):
        for n in range(10):
            world.bring(alone, f"a{n}", f"b{n}", after_us=MINUTE_US, queue=alone.queue)
            take_often(world, alone)

    assert len([record for record in caplog.records if record.action == "timers_full"]) == 1


def test_when_a_full_worker_has_room_again_timers_that_fill_what_is_sent_ahead_let_others_through(
    world, alone
):
    world.bring(alone, "soon", after_us=MINUTE_US // 2, queue=alone.queue)
    world.bring(alone, *(f"late{n}" for n in range(4)), after_us=10 * MINUTE_US, queue=alone.queue)
    assert take_often(world, alone) == []
    world.bring(alone, "now", queue=alone.queue)
    assert take_often(world, alone) == []
    world.clock.advance(31)

    assert take_often(world, alone) == ["soon", "now"]


# --- where the broker keeps timers -------------------------------------------------------------------------------------------------


def test_k16_what_we_send_waits_in_the_broker_and_as_long_as_it_is_to(world):
    commit = world.open("w")
    world.bring(commit, "soon", after_us=MINUTE_US // 2)
    world.bring(commit, "tomorrow", after_us=24 * 60 * MINUTE_US)

    assert (world.take(commit), commit._intake.held) == ([], [])
    world.clock.advance(30)
    assert (world.take(commit), commit._intake.held) == (["soon"], [])
    world.clock.advance(24 * 3600 - 30)
    assert world.take(commit) == ["tomorrow"]


def test_k16_what_others_sent_goes_back_to_wait_there_and_comes_once(world):
    commit, other = world.open("w"), world.open("other")
    world.send(commit, "far", after_us=(NEAR_SECONDS + 1) * 1_000_000)
    world.send(commit, "now")

    (now,) = commit.exchange([], take=1).taken
    commit.exchange([Transition(delivery=now.delivery)])
    assert (now.message.id, commit._intake.held) == ("now", [])
    world.clock.advance(NEAR_SECONDS)
    assert world.take(other) == []
    world.clock.advance(1)
    assert (world.take(other, 5), world.take(commit, 5)) == (["far"], [])


def test_a_worker_that_is_full_lets_even_what_is_due_soon_wait_there(world):
    commit = world.open("w")
    commit._intake._timers = Timers(most_bytes=3_000)
    names = [f"soon{n:02}" for n in range(50)]
    for name in names:
        world.send(commit, name, after_us=MINUTE_US // 2)
        world.take(commit)

    assert sum(len(delivery.raw) for delivery in commit._intake.held) < 6_000
    world.pass_time(commit, 30)
    assert sorted(world.take(commit, 100)) == names
