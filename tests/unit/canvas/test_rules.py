"""Rules on which delivery and canvas stand (docs/reliability.md has the table): those that need no server and belong to no other file."""

from __future__ import annotations

import pytest
from backbeat.canvas import App, chord, group
from backbeat.canvas.brokers.kombu import KombuBroker
from backbeat.canvas.clock import FakeClock
from backbeat.canvas.commit.memory import MemoryCommit
from backbeat.canvas.commit.memory_store import MemoryStore
from backbeat.canvas.commit.role import Role
from backbeat.canvas.commit.stateless import FARTHEST_SECONDS, StatelessCommit
from backbeat.canvas.commit.store_broker import StoreBroker
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.config import Config
from backbeat.canvas.effect import Publish
from backbeat.canvas.errors import EncodeError, ImproperlyConfigured
from backbeat.canvas.message import Message

from support.eager import Shop

# --- without a store -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def stateless():
    clock = FakeClock()
    store = MemoryStore(clock)
    carrier = MemoryCommit(store, worker="w", queues=["celery"], role=Role.BROKER)
    return StatelessCommit(StoreBroker(carrier), clock), clock


@pytest.fixture
def without_timers(request):
    """Over a broker that keeps none; and its queue."""
    queue = request.node.name
    commit = StatelessCommit(KombuBroker("memory://", queues=[queue]), FakeClock())
    yield commit, queue
    commit.close()


def test_k16_without_a_store_an_eta_beyond_fifteen_minutes_is_refused_when_it_is_sent(without_timers):
    commit, queue = without_timers
    near = Message(id="near", task="t", queue=queue, countdown=float(FARTHEST_SECONDS))
    commit.exchange([Transition(effects=(Publish(near),))])

    with pytest.raises(ImproperlyConfigured, match="eta more than 15 minutes ahead"):
        commit.exchange(
            [Transition(effects=(Publish(Message(id="far", task="t", queue=queue, countdown=901.0)),))]
        )


def test_k16_what_is_refused_keeps_its_neighbours_from_being_sent_twice(without_timers):
    commit, queue = without_timers
    near = Message(id="near", task="t", queue=queue)
    far = Message(id="far", task="t", queue=queue, countdown=901.0)
    both = [Transition(effects=(Publish(message),)) for message in (near, far)]

    with pytest.raises(ImproperlyConfigured, match="eta more than 15 minutes ahead"):
        commit.exchange(both)
    commit.exchange(both[:1])  # as a worker does: each by itself

    assert [item.message.id for item in commit.exchange([], take=9).taken] == ["near"]


def test_k17_without_a_store_chords_and_revokes_are_refused_with_the_reason():
    with App("stateless", broker="amqp://", set_as_current=False) as app:
        task = app.signature

        with pytest.raises(ImproperlyConfigured, match="needs a result backend"):
            chord([task("a"), task("b")], task("c")).apply_async()


def test_k17_without_a_store_a_revoke_says_that_nobody_would_remember_it(stateless):
    commit, _ = stateless

    with pytest.raises(ImproperlyConfigured, match="there is no result backend that would remember it"):
        commit.revoke(["a"])


# --- sizes and settings ----------------------------------------------------------------------------------------------------------


def test_k19_what_a_caller_passes_may_have_256_kb():
    app = App("sizes", broker="memory://sizes", set_as_current=False)
    app.task(name="take")(lambda _text: None)
    app.prepare(app.signature("take", ["x" * 262_000]))

    with pytest.raises(EncodeError, match="more than 262,144: pass a reference to the data"):
        app.prepare(app.signature("take", ["x" * 262_144]))


def test_k23_strict_is_the_mode_of_a_canvas_unless_another_one_is_set():
    assert Config().canvas_mode == "strict"
    assert Config({"canvas_mode": "celery"}).canvas_mode == "celery"


def test_k23_a_group_of_one_gives_a_list_to_its_callers_and_to_its_body():
    shop = Shop()
    shop.app.task(name="shown")(repr)
    alone = group([shop.add.s(1, 2)]).apply_async()
    body = chord([shop.add.s(1, 2)], shop.app.signature("shown")).apply_async()
    none = chord([], shop.app.signature("shown")).apply_async()

    shop.drain()

    assert alone.get(timeout=0) == [3]
    assert [body.get(timeout=0), none.get(timeout=0)] == ["[3]", "[]"]
