"""A task that is replaced, in every implementation of Commit and every split pair: its attempt has ended, and the task goes on (decisions K10)."""

from __future__ import annotations

import json

import pytest
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.commit.verdict import Run, Settled, Stale, Standing
from backbeat.canvas.effect import Settle
from backbeat.canvas.json_text import Json, json_value
from backbeat.canvas.message import Message
from backbeat.canvas.node import Call, chain_of
from backbeat.canvas.node_data import node_to_data
from backbeat.canvas.outcome import Replaced, Retry, Revoked, State
from backbeat.canvas.perform import Performer
from backbeat.canvas.replacing import frozen_for

from support.commit_world import CommitWorld, broken, ok
from support.kinds import IN_TURN, open_backend

HOUR_US = 3_600_000_000


class Stage(CommitWorld):
    """A world with a worker, and a task whose run was replaced by a chain of two calls."""

    def __init__(self, backend, kind):
        super().__init__(backend, kind)
        self.commit = self.open()
        self.performer = Performer(self.commit, None, now_us=self.now_us)

    def replaced(self, message: Message) -> Replaced:
        canvas = frozen_for(message, chain_of((Call(task="first"), Call(task="last", args=Json("[5]")))))
        return Replaced(canvas=json_value(node_to_data(canvas, json.loads)))

    def end(self, item, outcome):
        transition = self.performer.finished(item, item.message, outcome)
        self.performer.commit([transition])
        return transition

    def begin(self, **known):
        """Send a task, and let it be replaced; returns its message and the first task of what took its place."""
        message = self.message(**known)
        self.send(message)
        (item,) = self.take(self.commit)
        self.end(item, self.replaced(item.message))
        (first,) = self.take(self.commit)
        return message, first


@pytest.fixture(params=IN_TURN)
def stage(request):
    opened = Stage(open_backend(request.param, request), request.param)
    yield opened
    opened.close()


def test_k10_what_took_the_place_goes_on_to_the_tasks_own_end(stage):
    message, first = stage.begin()
    before = stage.document(message.id)
    stage.end(first, ok(3))
    (last,) = stage.take(stage.commit)
    stage.end(last, ok(4))

    assert (before.state, before.ready) == (State.STARTED, False)
    assert (first.message.task, first.verdict, first.message.attempt) == ("first", Run(), 0)
    assert (last.message.task, last.verdict, last.message.args) == ("last", Run(), "[3,5]")
    assert (last.message.id, last.message.attempt, last.message.retries) == (message.id, 1, 0)
    assert (stage.document(message.id).value, stage.document(message.id).retries) == ("4", 0)
    assert stage.none(stage.commit)


def test_k10_the_first_canvas_stands_and_a_redelivery_performs_it_again(stage):
    message, first = stage.begin()
    other = Replaced(canvas=json_value(node_to_data(Call(id="other", task="other"), json.loads)))

    (standing,) = stage.commit.exchange([Transition(message=message, outcome=other)]).standing
    stage.send(message)
    (copy,) = stage.take(stage.commit)
    transition = stage.performer.route(copy)
    stage.performer.commit([transition])
    (again,) = stage.take(stage.commit)

    assert copy.verdict == Settled(Standing(stage.replaced(message), 0))
    assert standing == copy.verdict.standing
    assert transition.outcome == stage.replaced(message)
    assert again.message == first.message
    assert again.verdict != Run()  # who has the first copy runs it


def test_k10_a_copy_that_comes_while_the_last_task_runs_has_nothing_to_do(stage):
    message, first = stage.begin()
    stage.end(first, ok(3))
    (last,) = stage.take(stage.commit)
    stage.send(message)
    (copy,) = stage.take(stage.commit)
    transition = stage.performer.route(copy)

    assert last.message.attempt == 1
    assert copy.verdict == Stale()
    assert transition == Transition(delivery=copy.delivery)


def test_k10_a_copy_that_comes_when_the_last_task_was_replaced_too_has_nothing_to_do(stage):
    message, first = stage.begin()
    stage.end(first, ok(3))
    (last,) = stage.take(stage.commit)
    stage.end(last, stage.replaced(last.message))
    stage.send(message)
    items = stage.take(stage.commit, 2)
    (copy,) = (item for item in items if item.message.id == message.id)
    (second,) = (item for item in items if item.message.id != message.id)

    assert stage.performer.route(copy) == Transition(delivery=copy.delivery)
    assert (second.message.task, second.verdict) == ("first", Run())
    assert second.message.id != first.message.id


def test_k10_where_what_took_the_place_fails_the_task_fails(stage):
    message, first = stage.begin()
    stage.end(first, broken("early"))

    document = stage.document(message.id)
    assert (document.state, document.error.text, document.error.node) == (State.FAILURE, "early", "")
    stage.do(stage.commit, Settle(message.id, broken("late")))
    assert stage.document(message.id).error.text == "early"
    (standing,) = stage.commit.exchange([Transition(message=message, outcome=ok(1))]).standing
    assert standing == Standing(broken("early"), 1)


def test_k10_only_what_was_to_end_it_can_settle_a_task_that_goes_on(stage):
    """A message that cannot be read settles its task, unless more is known of that: it may be anybody's."""
    message, _ = stage.begin()
    waiting = stage.message()
    retry = Retry(eta_us=stage.now_us() + HOUR_US)
    stage.commit.exchange([Transition(message=waiting, outcome=retry)])

    for id_ in (message.id, waiting.id):
        stage.do(stage.commit, Settle(id_, broken("unreadable")))
        stage.do(stage.commit, Settle(id_, broken("of an earlier attempt"), attempt=2))

    assert stage.document(message.id).state is State.STARTED
    assert stage.document(waiting.id).state is State.RETRY
    (standing,) = stage.commit.exchange([Transition(message=waiting, outcome=ok(1))]).standing
    assert standing == Standing(retry, 0)


def test_k10_a_task_whose_place_is_taken_is_revoked_at_once(stage):
    message, first = stage.begin()
    stage.commit.revoke([message.id])
    stage.end(first, ok(3))
    (last,) = stage.take(stage.commit)

    assert stage.document(message.id).state is State.REVOKED
    assert last.verdict == Settled(Standing(Revoked(), 1))


def test_k10_a_copy_that_comes_after_the_end_finds_it(stage):
    message, first = stage.begin()
    stage.end(first, ok(3))
    (last,) = stage.take(stage.commit)
    stage.end(last, ok(4))
    stage.send(message)
    (copy,) = stage.take(stage.commit)

    assert copy.verdict == Settled(Standing(ok(4), 1))
