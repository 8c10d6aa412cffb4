"""`update_state`: what a run says of itself, and what becomes of it."""

from __future__ import annotations

import logging

import pytest
from backbeat.canvas import App
from backbeat.canvas.errors import EncodeError, Ignore, ImproperlyConfigured, Unavailable
from backbeat.canvas.execute import execute
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import Message
from backbeat.canvas.outcome import Ignored, outcome_from_data, outcome_to_data

from support.eager import Fleet


@pytest.fixture
def fleet():
    return Fleet()


def ran(fleet, function, **options):
    """The handle of a bound task that ran; with `look(handle)` called inside, as others see it while it runs."""
    task = fleet.app.task(bind=True, name="t", **options)(function)
    handle = task.delay()
    fleet.drain()
    return handle


def test_others_see_what_a_run_says_while_it_runs_and_its_outcome_afterwards(fleet):
    seen = []

    def run(self):
        for done in (1, 2):
            self.update_state(state="COPYING", meta={"done": done})
            handle = self.AsyncResult(self.request.id)
            seen.append((handle.state, handle.info, handle.result, handle.ready()))
        self.update_state(meta=3)
        seen.append(self.AsyncResult(self.request.id).state)
        return "ended"

    handle = ran(fleet, run)

    assert seen == [
        ("COPYING", {"done": 1}, {"done": 1}, False),
        ("COPYING", {"done": 2}, {"done": 2}, False),
        "PROGRESS",
    ]
    assert (handle.state, handle.get(timeout=0)) == ("SUCCESS", "ended")


def test_a_run_has_not_ended_whatever_it_says_but_if_it_is_ignored_that_stands(fleet):
    seen = []

    def run(self):
        self.update_state(
            state="FAILURE", meta={"exc_type": "KeyError", "exc_message": ["k"], "exc_module": "builtins"}
        )
        seen.append(self.AsyncResult(self.request.id).state)
        raise Ignore

    handle = ran(fleet, run)

    assert (seen, handle.state, handle.failed()) == (["STARTED"], "FAILURE", True)
    with pytest.raises(KeyError, match="k"):
        handle.get(timeout=0)


def test_an_exception_is_a_state_s_value_as_celery_writes_it(fleet):
    def run(self):
        self.update_state(state="FAILURE", meta=KeyError("k"))
        raise Ignore

    with pytest.raises(KeyError, match="k"):
        ran(fleet, run).get(timeout=0)


def test_what_was_said_and_is_ignored_keeps_the_words_of_older_versions_apart():
    said = Ignored(state="SKIPPED", value=Json("[1]"))

    assert outcome_to_data(Ignored()) == {"kind": "ignored"}
    assert outcome_from_data(outcome_to_data(said)) == said
    assert outcome_from_data({"kind": "ignored"}) == Ignored()


def test_nothing_is_stored_of_a_task_that_ignores_its_result(fleet):
    handle = ran(fleet, lambda self: self.update_state(meta=1), ignore_result=True)

    assert fleet.store.state.documents == {}
    assert handle.get(timeout=0) is None


def test_the_state_of_another_task_is_told_by_its_id_also_outside_of_a_run(fleet):
    task = fleet.app.task(name="t")(lambda: 1)

    task.update_state(task_id="other", state="UPLOADED", meta={"by": "hand"})
    fleet.app.tell_state("failed", "FAILURE", ValueError("no"))

    assert (task.AsyncResult("other").state, task.AsyncResult("other").info) == ("UPLOADED", {"by": "hand"})
    assert task.AsyncResult("failed").ready()
    with pytest.raises(ValueError, match="no"):
        task.AsyncResult("failed").get(timeout=0)
    with pytest.raises(ImproperlyConfigured, match=r"no task runs here, .* update_state\(task_id=\.\.\.\)"):
        task.update_state(state="UPLOADED")


@pytest.mark.parametrize("state", [None, "", 5, "x" * 51, "a\nb"])
def test_what_is_no_name_of_a_state_is_refused(fleet, state):
    task = fleet.app.task(name="t")(lambda: 1)

    with pytest.raises(ImproperlyConfigured, match="state"):
        task.update_state(task_id="i", state=state)
    with pytest.raises(EncodeError):
        task.update_state(task_id="i", state="OK", meta=object())
    fleet.app.conf.result_max_bytes = 100
    with pytest.raises(EncodeError, match="the meta of state OK has 102 bytes, more than 100"):
        task.update_state(task_id="i", state="OK", meta="x" * 100)
    assert fleet.store.state.documents == {}


def test_a_store_that_is_away_costs_the_word_and_not_the_task(fleet, caplog):
    class Away:
        def tell(self, words):
            raise Unavailable("the store is away")

        def close(self):
            pass

    def run(self):
        fleet.app._connections._client = Away()
        self.update_state(meta=1)
        fleet.app._connections._client = None
        return "ended"

    with caplog.at_level(logging.WARNING):
        handle = ran(fleet, run)

    assert handle.get(timeout=0) == "ended"
    assert "the store is away; that task" in caplog.text


def test_a_pool_that_passes_words_on_gets_those_of_its_own_task_only():
    app, told = App("proj", broker="memory://", set_as_current=False), []

    @app.task(bind=True, name="t")
    def t(self):
        self.update_state(state="MINE", meta=[1])
        inner(self)

    def inner(self):
        self.update_state(task_id="t1", state="STILL")

    def tell(state, value):
        told.append((state, value))
        return True

    execute(Message(id="t1", task="t"), app.tasks, "celery@test", tell=tell)

    assert told == [("MINE", "[1]"), ("STILL", "null")]
