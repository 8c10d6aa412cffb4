"""SplitCommit: what cannot be sent now is not kept from others, and holds up nothing that was done."""

from __future__ import annotations

from contextlib import closing

import pytest
from backbeat.canvas.brokers.kombu import KombuBroker
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.commit.role import Role
from backbeat.canvas.commit.split import SplitCommit
from backbeat.canvas.commit.store_broker import StoreBroker
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.effect import Publish
from backbeat.canvas.errors import Unavailable
from backbeat.canvas.message import Message
from backbeat.canvas.outcome import Revoked
from backbeat.canvas.sql.engine import open_engine

from support.backends import MemoryBackend, RedisBackend, SqlBackend

ABSENT = "amqp://127.0.0.1:1"
LIMITS = Limits(lease_seconds=600.0)


@pytest.fixture(params=["memory", "sqlite", "redis"])
def backend(request):
    match request.param:
        case "memory":
            found = MemoryBackend()
        case "sqlite":
            found = SqlBackend(open_engine(request.getfixturevalue("sqlite_url")))
        case _:
            found = RedisBackend(*request.getfixturevalue("redis_prefixed"))
    yield found
    found.close()


def test_k1_a_row_that_a_relay_could_not_send_is_there_for_another_at_once(backend):
    def store(worker):
        return backend.open(worker, role=Role.STORE, limits=LIMITS)

    later = Message(id="m", task="t", eta_us=backend.now_us() + 50_000)
    with closing(store("writer")) as writer:
        writer.exchange([Transition(effects=(Publish(later),))])
    split = SplitCommit(KombuBroker(ABSENT), store("unlucky"))
    if isinstance(backend, MemoryBackend):
        backend.clock.advance(1)

    tries = 0
    while tries == 0:
        try:
            split.send_stored()
            assert backend.now_us() < later.eta_us + 20_000_000
        except Unavailable:
            tries += 1
    with closing(store("lucky")) as lucky:
        taken = [item.message.id for item in lucky.exchange([], take=10).taken]
    split.close()

    assert taken == ["m"]


class Half:
    """A Broker, or a store, of which the calls in `gone` fail."""

    def __init__(self, inner):
        self._inner = inner
        self.gone = set()

    def __getattr__(self, name):
        real = getattr(self._inner, name)

        def call(*args, **known):
            if name in self.gone:
                raise Unavailable("gone")
            return real(*args, **known)

        return call


@pytest.fixture
def halves():
    """A split commit over two stores in memory, its broker and its store."""
    carrier, kept = MemoryBackend(), MemoryBackend()
    broker = Half(StoreBroker(carrier.open("w", role=Role.BROKER, limits=LIMITS)))
    store = Half(kept.open("w", role=Role.STORE, limits=LIMITS))
    with closing(SplitCommit(broker, store)) as split:
        yield split, broker, store
    carrier.close()
    kept.close()


def sent(split, *ids):
    messages = [Message(id=id_, task="t", queue="celery") for id_ in ids]
    split.exchange([Transition(effects=tuple(Publish(message) for message in messages))])


def test_k1_what_is_done_is_acknowledged_although_what_follows_cannot_be_sent(halves):
    split, broker, _ = halves
    sent(split, "m")
    (taken,) = split.exchange([], take=1).taken
    broker.gone = {"post"}
    following = Publish(Message(id="next", task="t", queue="celery"))

    done = Transition(delivery=taken.delivery, message=taken.message, outcome=Revoked(), effects=(following,))
    assert split.exchange([done]).standing == [None]

    broker.release([taken.delivery])
    assert broker.take(9) == []


def test_no_more_is_taken_than_asked_for_although_more_came_before_an_outage_of_the_store(halves):
    split, _, store = halves
    sent(split, "a", "b", "c")
    store.gone = {"exchange"}
    with pytest.raises(Unavailable):
        split.exchange([], take=3)
    store.gone = set()

    taken = [[item.message.id for item in split.exchange([], take=take).taken] for take in (1, 3)]

    assert taken == [["a"], ["b", "c"]]
