"""What is sent from an outbox: one that no broker takes is found, and keeps the others from nothing."""

from __future__ import annotations

import pytest
from backbeat.canvas.brokers.base import Posted
from backbeat.canvas.commit.outgoing import MOST_LOSSES, Outgoing
from backbeat.canvas.errors import Unavailable
from backbeat.canvas.message import Message


class Fragile:
    """A broker whose connection does not survive the messages called so."""

    def __init__(self, *deadly):
        self.deadly = set(deadly)
        self.is_away = False
        self.had = []

    def post(self, items, *, at_once=False):
        assert at_once or not items
        if self.is_away:
            raise Unavailable("away")
        for item in items:
            if item.id in self.deadly:
                raise Unavailable(f"lost over {item.id}")
            self.had.append(item.id)
        return Posted([item.id for item in items])


def messages(*names):
    return [Message(id=name, task="t", queue="q") for name in names]


def test_k18_one_over_which_connections_are_lost_keeps_no_other_from_being_sent_and_is_found():
    broker = Fragile("deadly")
    outgoing = Outgoing(broker)

    for _ in range(MOST_LOSSES - 1):
        sent = outgoing.send(messages("a", "deadly", "b"))
        assert (sent.confirmed, sent.refused) == ({"a", "b"}, {})
    sent = outgoing.send(messages("a", "deadly", "b"))

    assert sent.confirmed == {"a", "b"}
    assert sent.refused == {"deadly": f"{MOST_LOSSES} connections were lost over it: lost over deadly"}


def test_while_the_broker_is_away_no_message_is_to_blame():
    broker = Fragile()
    outgoing = Outgoing(broker)
    broker.is_away = True

    for _ in range(2 * MOST_LOSSES):
        with pytest.raises(Unavailable, match="away"):
            outgoing.send(messages("a", "b"))
    broker.is_away = False

    assert outgoing.send(messages("a", "b")).confirmed == {"a", "b"}


def test_one_that_is_sent_after_all_is_not_to_blame_any_more():
    broker = Fragile("a")
    outgoing = Outgoing(broker)
    for _ in range(MOST_LOSSES - 1):
        with pytest.raises(Unavailable):
            outgoing.send(messages("a"))

    broker.deadly.clear()
    assert outgoing.send(messages("a")).confirmed == {"a"}
    broker.deadly.add("a")

    with pytest.raises(Unavailable):
        outgoing.send(messages("a"))


def test_what_a_broker_says_it_will_never_take_is_told_at_once():
    class Strict(Fragile):
        def post(self, items, *, at_once=False):
            ids = [item.id for item in items]
            return Posted(ids[:1], ids[1:], {ids[-1]: "too large"})

    sent = Outgoing(Strict()).send(messages("a", "returned", "large"))

    assert (sent.confirmed, sent.refused) == ({"a"}, {"large": "too large"})
