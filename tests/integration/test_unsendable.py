"""Messages that are stored and that RabbitMQ will never take: they end, are kept, and hold up nothing behind them."""

from __future__ import annotations

import time
from contextlib import closing, suppress

import pytest
from backbeat.canvas.clock import SystemClock
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.dead import read
from backbeat.canvas.effect import Publish
from backbeat.canvas.errors import Unavailable
from backbeat.canvas.ids import draw
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import Message
from backbeat.canvas.outcome import Success
from backbeat.canvas.perform import Execute, Performer
from backbeat.canvas.wiring import open_client, open_commit, open_results

from support.processes import wait_until
from support.stacks import open_stack

UNSENDABLE = {
    "headers larger than a frame": {"headers": {"x": "y" * 140_000}},
    "a number that AMQP has not": {"headers": {"x": 2**80}},
    "a number over which RabbitMQ ends the connection": {"headers": {"x": float("nan")}},
}


@pytest.fixture
def stack(tmp_path):
    with open_stack("rabbitmq+redis", tmp_path) as opened:
        opened.app.conf.task_lease_seconds = 0.5
        yield opened


class ByHand:
    """A worker whose tasks all succeed, a step at a time."""

    def __init__(self, app):
        self.commit = open_commit(app.conf, worker="w@unsendable:1:1:1", queues=["celery", "backbeat"])
        self._performer = Performer(self.commit, None, now_us=SystemClock().now_us)

    def step(self):
        with suppress(Unavailable):
            for record in self.commit.sweep():
                self._performer.settle_interrupted(record)
            for taken in self._performer.commit([], take=8):
                route = self._performer.route(taken)
                if isinstance(route, Execute):
                    route = self._performer.finished(taken, route.message, Success(value=Json("1")))
                if isinstance(route, Transition):
                    self._performer.commit([route])


@pytest.mark.parametrize("known", UNSENDABLE.values(), ids=UNSENDABLE)
def test_k18_what_rabbitmq_never_takes_ends_and_is_kept_and_holds_up_no_timer(stack, known):
    bad = Message(id=draw(), task="t", queue="celery", **known)
    timers = [Message(id=draw(), task="t", queue="celery") for _ in range(3)]
    with closing(open_client(stack.app.conf)) as client:
        with suppress(Unavailable):  # it is told, and the message is stored all the same
            client.exchange([Transition(effects=(Publish(bad),))])
        due_us = time.time_ns() // 1000 + 1_000_000
        client.exchange([Transition(effects=tuple(Publish(each, due_us) for each in timers))])
    worker = ByHand(stack.app)

    with closing(worker.commit), closing(open_results(stack.app.conf)) as results:

        def states(messages):
            worker.step()
            return [str(document.state) for document in results.get([each.id for each in messages])]

        wait_until(lambda: states(timers) == ["SUCCESS"] * 3, 10)
        wait_until(lambda: states([bad]) == ["FAILURE"], 60)
        (document,) = results.get([bad.id])
        (letter,) = worker.commit.dead_letters(10)
        worker.step()
        assert not worker.commit._store.exchange([], take=10).taken  # the outbox is empty

    assert "the message was refused: " in document.error.text
    assert (letter.letter.task_id, read(letter).message.queue) == (bad.id, "celery")
