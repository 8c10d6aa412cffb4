"""SplitCommit: what its relay cannot send is not kept from others."""

from __future__ import annotations

from contextlib import closing

import pytest
from backbeat.canvas.brokers.kombu import KombuBroker
from backbeat.canvas.commit.base import Limits, Role, Transition
from backbeat.canvas.commit.split import SplitCommit
from backbeat.canvas.effect import Publish
from backbeat.canvas.errors import Unavailable
from backbeat.canvas.message import Message
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
