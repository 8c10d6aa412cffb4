"""A server that closes the channel over one message of a batch: the others arrive, once each."""

from __future__ import annotations

import pytest
from amqp.exceptions import PreconditionFailed
from backbeat.canvas.brokers.base import Posted
from backbeat.canvas.brokers.kombu import KombuBroker
from backbeat.canvas.message import Message
from backbeat.canvas.signing import Key, Keyring


class Server:
    """It takes messages one after the other, and closes the channel over those in `refuses`."""

    def __init__(self, refuses):
        self.refuses = set(refuses)
        self.arrived = []

    def open_line(self, _connection, *, create_queues):
        assert create_queues
        return Line(self)


class Line:
    """One channel of it: all before a refused message is confirmed, all behind it is lost."""

    in_doubt = blocked = False

    def __init__(self, server):
        self._server = server
        self._confirmed = []

    def post(self, items):
        self._confirmed = []
        for item in items:
            if item.id in self._server.refuses:
                raise PreconditionFailed("message size is larger than configured max size")
            self._server.arrived.append(item.id)
            self._confirmed.append(item.id)
        return self.known()

    def known(self):
        return Posted(list(self._confirmed))

    def pump(self): ...

    def tick(self): ...

    def close(self): ...


@pytest.mark.parametrize("refused", [[0], [3], [9], [2, 3, 7]])
def test_what_was_confirmed_before_the_channel_closed_is_not_sent_again(refused):
    ids = [f"m{k}" for k in range(10)]
    bad = [ids[k] for k in refused]
    server = Server(bad)
    broker = KombuBroker("amqp://guest:guest@127.0.0.1:1//", open_line=server.open_line)

    posted = broker.post([Message(id=id_, task="t", queue="q") for id_ in ids])

    assert sorted(posted.confirmed) == [id_ for id_ in ids if id_ not in bad]
    assert sorted(posted.returned) == bad
    assert sorted(server.arrived) == [id_ for id_ in ids if id_ not in bad]


def test_what_a_key_may_not_send_is_never_sent_by_a_virtual_transport_and_the_others_are():
    keyring = Keyring([Key(id="shop", secret=b"x" * 16, tasks=("shop.*",))])
    broker = KombuBroker("memory://", queues=["q"], keyring=keyring)

    posted = broker.post([Message(id=name, task=f"{name}.a", queue="q") for name in ("shop", "bank")])

    assert [*posted.confirmed] == ["shop"]
    assert [*posted.returned] == ["bank"]
    assert posted.unsendable["bank"].startswith("key 'shop' may not send task 'bank.a'")
    broker.close()
