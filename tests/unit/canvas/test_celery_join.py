"""celery.chord_unlock, as a client of Celery's sends it where no Redis counts; and what a chord's message says when it ends otherwise."""

from __future__ import annotations

import json

import pytest
from backbeat.canvas.celery_join import Again, CeleryJoin, Joined, never_joined
from backbeat.canvas.clock import FakeClock
from backbeat.canvas.commit.memory import MemoryCommit
from backbeat.canvas.commit.memory_results import MemoryResults
from backbeat.canvas.commit.memory_store import MemoryStore
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.continuation import Counted
from backbeat.canvas.effect import Publish, Settle
from backbeat.canvas.json_text import json_value
from backbeat.canvas.message import Message
from backbeat.canvas.outcome import Error, Failure, Retry, State, Success
from backbeat.canvas.own_tasks import CHORD_TASK
from backbeat.canvas.perform import Execute, Performer
from backbeat.canvas.results.document import Document

NOW = 1_000_000


class Documents:
    """Results that are what a test says."""

    def __init__(self, **known):
        self.known = known

    def get(self, ids):
        return [self.known.get(id_, Document(id=id_)) for id_ in ids]


def done(id_, value):
    return Document(id=id_, state=State.SUCCESS, value=json_value(value), date_done="2026-01-01")


def failed(id_):
    error = Error(type="KeyError", text="'k'", args='["k"]')
    return Document(id=id_, state=State.FAILURE, error=error, date_done="2026-01-01")


def tree(id_, *inside):
    return [[id_, None], [*inside] or None]


BODY = {
    "task": "total",
    "args": [],
    "kwargs": {},
    "options": {"task_id": "body"},
    "subtask_type": None,
    "immutable": False,
}


def unlocked(documents, trees, *, attempt=0, **kwargs):
    message = Message(id="u", task="celery.chord_unlock", root_id="root", attempt=attempt)
    return CeleryJoin(documents, lambda: NOW).unlocked(message, "g", BODY, {"result": trees, **kwargs})


def test_it_looks_again_until_all_parts_have_ended():
    found = unlocked(Documents(a=done("a", 1)), [tree("a"), tree("b")], interval=2.0)

    assert found == Again(NOW + 2_000_000)


def test_then_the_body_gets_the_values_in_order():
    documents = Documents(a=done("a", 1), b=done("b", [2]))

    found = unlocked(documents, [tree("b"), tree("a")])

    assert isinstance(found, Joined)
    (effect,) = found.effects
    assert isinstance(effect, Publish)
    assert (effect.message.id, json.loads(effect.message.args)) == ("body", [[[2], 1]])
    assert found.counted is None


def test_a_member_that_ends_with_a_group_is_the_list_of_its_values():
    documents = Documents(a=done("a", 1), b=done("b", 2), c=done("c", 3))

    found = unlocked(documents, [tree("g2", tree("a"), tree("b")), tree("c")])

    assert json.loads(found.effects[0].message.args) == [[[1, 2], 3]]


@pytest.mark.parametrize("trees", [[tree("a"), tree("b")], [tree("a"), tree("g2", tree("a"), tree("b"))]])
def test_a_part_that_failed_fails_the_body(trees):
    found = unlocked(Documents(a=done("a", 1), b=failed("b")), trees)

    (effect,) = found.effects
    assert isinstance(effect, Settle)
    assert (effect.id, effect.outcome.error.type) == ("body", "ChordError")
    assert effect.outcome.error.text == "Dependency b raised KeyError('k')"


def test_it_gives_up_after_as_many_retries_as_it_is_told():
    assert isinstance(unlocked(Documents(), [tree("a")], attempt=4, max_retries=5), Again)

    found = unlocked(Documents(), [tree("a")], attempt=5, max_retries=5)
    assert "could not be retried" in found.effects[0].outcome.error.text


@pytest.mark.parametrize("task", [CHORD_TASK, "celery.chord_unlock"])
def test_a_chords_message_that_cannot_be_served_fails_the_body(task):
    message = Message(id="m", task=task, args=json_value(["g", BODY]))
    failure = Failure(error=Error(type="WorkerLostError", text="lost"))

    (effect,) = never_joined(message, failure)

    assert (effect.id, effect.outcome) == ("body", failure)
    assert never_joined(message, Success(value="null")) == []
    assert never_joined(message, Retry(eta_us=1)) == []
    assert never_joined(Message(id="m", task=task, args=json_value([1])), failure) == []
    assert never_joined(Message(id="m", task="other", args=message.args), failure) == []


def test_a_worker_serves_it_beside_the_parts_and_runs_the_body():
    clock = FakeClock()
    store = MemoryStore(clock)
    commit = MemoryCommit(store, worker="w", queues=["q"])
    performer = Performer(commit, MemoryResults(store), now_us=clock.now_us)
    body = {**BODY, "options": {"task_id": "body", "queue": "q"}}
    then = Counted("g", 0, json_value(body))
    kwargs = json_value({"result": [tree("a")]})
    unlock = Message(
        id="u", task="celery.chord_unlock", args=json_value(["g", body]), kwargs=kwargs, queue="q"
    )
    part = Message(id="a", task="t", args="[7]", queue="q", then=then, eta_us=clock.now_us() + 500_000)
    commit.exchange([Transition(effects=(Publish(unlock), Publish(part)))])

    ran = []
    for _ in range(5):
        for taken in performer.commit([], take=10):
            route = performer.route(taken)
            if isinstance(route, Execute):
                ran.append((route.message.id, route.message.args))
                route = performer.finished(taken, route.message, Success(value=route.message.args))
            performer.commit([route])
        clock.advance(0.5)

    assert ran == [("a", "[7]"), ("body", "[[[7]]]")]
    assert commit.dead_letters(1) == []
