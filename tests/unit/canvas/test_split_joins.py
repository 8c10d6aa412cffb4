"""SplitCommit: a worker that completes a join is given it at once, from the outbox; if it does not serve it another worker does."""

from __future__ import annotations

import pytest
from backbeat.canvas.clock import FakeClock
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.commit.memory import MemoryCommit
from backbeat.canvas.commit.memory_store import MemoryStore
from backbeat.canvas.commit.role import OUTBOX, Role
from backbeat.canvas.commit.split import SplitCommit
from backbeat.canvas.commit.store_broker import StoreBroker
from backbeat.canvas.commit.transition import Closing, Transition
from backbeat.canvas.continuation import JoinRecord
from backbeat.canvas.effect import AddPart, OpenJoin
from backbeat.canvas.errors import Unavailable
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import CONTROL_QUEUE
from backbeat.canvas.outcome import Success
from backbeat.canvas.own_tasks import JOIN_TASK

JOIN = JoinRecord(join_id="g", then=None, root_id="g")


class World:
    """A broker and a store, and workers of both."""

    def __init__(self):
        self.clock = FakeClock()
        self.broker, self.store = MemoryStore(self.clock), MemoryStore(self.clock)

    def worker(self, name):
        queues = [CONTROL_QUEUE]
        broker = StoreBroker(
            MemoryCommit(self.broker, worker=name, role=Role.BROKER, queues=queues), sweep_seconds=0.0
        )
        store = MemoryCommit(self.store, worker=name, role=Role.STORE, limits=Limits())
        return SplitCommit(broker, store)

    def complete(self, worker, take):
        """Bring the last part of a join; what was taken."""
        worker.exchange([Transition(effects=(OpenJoin(JOIN, 1),))])
        part = AddPart("g", 0, "m", Success(value=Json("1")))
        return worker.exchange([Transition(effects=(part,))], take=take).taken

    def close(self, worker, taken):
        worker.exchange([Transition(delivery=taken.delivery, closes=Closing("g"))])

    def left(self, seconds=600):
        """What another worker gets after so many seconds."""
        self.clock.advance(seconds)
        other = self.worker("heir")
        other.sweep()
        return [item.message.task for item in other.exchange([], take=5).taken]


@pytest.fixture
def world():
    return World()


def test_who_completes_a_join_is_given_it_without_the_broker(world):
    worker = world.worker("w1")

    (taken,) = world.complete(worker, take=1)

    assert (taken.message.task, taken.delivery.queue) == (JOIN_TASK, OUTBOX)
    assert world.left(0) == []
    world.close(worker, taken)
    assert worker.exchange([], take=5).taken == []
    assert world.left() == []


def test_who_takes_nothing_leaves_it_to_others(world):
    assert world.complete(world.worker("w1"), take=0) == []

    (taken,) = world.worker("w2").exchange([], take=5).taken

    assert taken.message.task == JOIN_TASK
    assert taken.delivery.queue == CONTROL_QUEUE


def test_what_a_dead_worker_did_not_serve_is_sent_after_its_lease(world):
    world.complete(world.worker("w1"), take=1)
    other = world.worker("w2")
    other.sweep()
    assert other.exchange([], take=5).taken == []

    world.clock.advance(60)
    other.sweep()

    assert [item.message.task for item in other.exchange([], take=5).taken] == [JOIN_TASK]


def test_what_is_released_is_there_for_others_at_once(world):
    worker, other = world.worker("w1"), world.worker("w2")
    worker.release(world.complete(worker, take=1))

    other.sweep()

    assert [item.message.task for item in other.exchange([], take=5).taken] == [JOIN_TASK]


def test_of_two_that_serve_it_one_closes_the_join(world):
    worker, other = world.worker("w1"), world.worker("w2")
    (slow,) = world.complete(worker, take=1)
    world.clock.advance(60)
    other.sweep()
    (quick,) = other.exchange([], take=5).taken

    world.close(other, quick)
    world.close(worker, slow)

    assert worker.load(joins=["g"]).joins["g"].closed
    assert world.left() == []


def test_a_store_that_is_away_keeps_nothing_from_going_back_to_the_broker(world):
    worker, calls = world.worker("w1"), []
    worker._own_joins.append(None)

    def release(held):
        calls.append("store")
        raise Unavailable("gone")

    worker._store.release = release
    worker._broker.release = lambda held: calls.append("broker")

    with pytest.raises(Unavailable):
        worker.pause()

    assert calls == ["broker", "store"]


def test_what_is_held_and_nothing_is_wanted_any_more_is_there_for_others_at_once(world):
    """Two joins are complete, and one is wanted: the other is sent; and what could not be given out goes back with `pause`."""
    worker, other = world.worker("w1"), world.worker("w2")
    real = worker._take
    worker._take = lambda _take, claim: ([], [])
    world.complete(worker, take=1)
    worker._take = real

    worker.pause()
    other.sweep()

    assert [item.message.task for item in other.exchange([], take=5).taken] == [JOIN_TASK]
