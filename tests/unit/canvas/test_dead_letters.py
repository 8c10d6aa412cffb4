"""Dead letters from end to end, on a store in memory: what is kept, read, run again and dropped; endings that no function returned."""

from __future__ import annotations

import pytest
from backbeat.canvas.dead import all_letters, drop, read, requeue
from backbeat.canvas.errors import Ignore, MessageError, Reject

from support.eager import Shop


@pytest.fixture
def proj():
    return Shop()


def test_k8_a_dead_letter_runs_again_and_what_follows_it_too(proj):
    handle = (proj.app.signature("later.defined") | proj.add.s(1)).delay()
    proj.drain()
    assert handle.state == "FAILURE"

    proj.app.task(name="later.defined")(lambda: 41)
    commit = proj.open("operator")
    (reading,) = map(read, all_letters(commit))
    assert requeue(commit, reading)
    assert not requeue(commit, reading)
    proj.drain()

    assert proj.app.AsyncResult(handle.parent.id).get(timeout=0) == 41
    assert proj.app.AsyncResult(handle.id).get(timeout=0) == 42
    assert list(all_letters(commit)) == []


def test_k8_a_letter_that_holds_no_message_is_kept_and_says_why(proj):
    proj.store.state.mail.put("celery", "[]")
    proj.drain()
    commit = proj.open("operator")
    (reading,) = map(read, all_letters(commit))

    assert (reading.message, reading.queue) == (None, "celery")
    with pytest.raises(MessageError, match="holds no task message: not an envelope"):
        requeue(commit, reading)
    assert drop(commit, [reading.kept.key]) == 1


def test_k21_what_was_rejected_is_a_dead_letter_and_what_follows_fails(proj):
    @proj.app.task(name="refuse")
    def refuse():
        raise Reject("not for me")

    handle = (refuse.s() | proj.add.s(1)).delay()
    proj.drain()

    assert handle.parent.state == "REJECTED"
    with pytest.raises(Reject, match="not for me"):
        handle.get(timeout=0)
    (reading,) = map(read, all_letters(proj.open("operator")))
    assert (reading.message.task, reading.kept.letter.reason) == (
        "refuse",
        "the task rejected its message: not for me",
    )


def test_k21_what_asks_to_be_ignored_is_ready_and_what_follows_fails(proj):
    @proj.app.task(name="pass_over")
    def pass_over():
        raise Ignore

    handle = (pass_over.s() | proj.add.s(1)).delay()
    proj.drain()

    assert handle.parent.state == "IGNORED"
    assert handle.parent.get(timeout=0) is None
    with pytest.raises(Ignore):
        handle.get(timeout=0)
