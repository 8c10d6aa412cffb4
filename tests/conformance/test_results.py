"""The contract of canvas.results.base.Results, over memory, SQLite, PostgreSQL, MariaDB and Redis."""

from __future__ import annotations

import json
import threading
import time

import pytest
from backbeat.canvas.commit.base import Transition
from backbeat.canvas.json_text import Json
from backbeat.canvas.outcome import Error, Failure, Ignored, Rejected, Retry, Revoked, State, Success
from backbeat.canvas.results.document import Document

from support.commit_world import CommitWorld, broken, ok
from support.kinds import STORES, open_backend


@pytest.fixture(params=STORES)
def world(request):
    opened = CommitWorld(open_backend(request.param, request), request.param)
    yield opened
    opened.close()


@pytest.fixture
def results(world):
    opened = world.backend.results()
    yield opened
    opened.close()


def end(world, outcome, **known):
    """A task that ended; returns its id."""
    message = world.message(**known)
    world.open("client").exchange([Transition(message=message, outcome=outcome)])
    return message.id


def test_what_is_not_known_is_pending(results):
    assert results.get(["nobody"]) == [Document(id="nobody")]
    assert results.get(["nobody"])[0].state is State.PENDING
    assert not results.get(["nobody"])[0].ready


def test_what_waits_is_pending_and_what_runs_is_started(world, results):
    message = world.message()
    world.send(message)
    (before,) = results.get([message.id])
    commit = world.open()
    (item,) = world.take(commit)
    (during,) = results.get([message.id])
    commit.release([item])
    (released,) = results.get([message.id])
    (item,) = world.take(commit)
    commit.exchange([Transition(message=message, outcome=ok(1), delivery=item.delivery)])
    (after,) = results.get([message.id])

    assert [before.state, during.state, released.state, after.state] == [
        State.PENDING,
        State.STARTED,
        State.PENDING,
        State.SUCCESS,
    ]
    assert [before.ready, during.ready, after.ready] == [False, False, True]


def test_documents_come_in_the_order_of_their_ids(world, results):
    ids = [end(world, ok(number)) for number in range(5)]
    asked = [ids[3], "nobody", ids[0], ids[3], ids[4]]

    documents = results.get(asked)

    assert [document.id for document in documents] == asked
    assert [document.value for document in documents] == ["3", "null", "0", "3", "4"]


def test_no_ids_give_no_documents(results):
    assert list(results.get([])) == []
    assert results.wait([], 0)
    results.forget([])


def test_many_documents_come_in_one_call(world, results):
    messages = [world.message() for _ in range(1_200)]
    world.open("client").exchange([Transition(message=message, outcome=ok(1)) for message in messages])
    ids = [message.id for message in messages]

    assert all(document.ready for document in results.get(ids))
    assert results.wait(ids, 0)


ERROR = Error(
    type="ValueError",
    module="somewhere.else",
    args=Json('["a", 1, null, {"x": [1.5]}]'),
    text="a text with ünïcode and \x00 and 'quotes'",
    node="node",
    cause=Error(type="KeyError", args=Json('["k"]'), text="'k'", cause=Error(type="OSError", text="deep")),
)


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Success(value=Json('{"a": [1, 2.5, null, true, "ü\\u0000"]}')), State.SUCCESS),
        (Success(value=Json("null")), State.SUCCESS),
        (Success(value=Json('{"exc_type": "no error", "exc_message": []}')), State.SUCCESS),
        (Failure(error=ERROR, traceback="Traceback ..."), State.FAILURE),
        (Revoked(reason="expired"), State.REVOKED),
        (Rejected(reason="no"), State.REJECTED),
        (Ignored(), State.IGNORED),
    ],
)
def test_documents_come_back_as_they_were(world, results, outcome, state):
    id_ = end(world, outcome)

    (document,) = results.get([id_])

    assert document.state is state
    assert document.ready
    if isinstance(outcome, Success):
        assert json.loads(document.value) == json.loads(outcome.value)
        assert document.error is None
    if isinstance(outcome, Failure):
        assert document.error == ERROR
        assert document.traceback == "Traceback ..."


def test_a_retry_is_not_ready(world, results):
    id_ = end(world, Retry(eta_us=1, error=ERROR))

    (document,) = results.get([id_])

    assert document.state is State.RETRY
    assert document.error == ERROR
    assert not document.ready
    assert not results.wait([id_], 0)


def test_waiting_for_what_is_ready_ends_at_once(world, results):
    ids = [end(world, ok(1)), end(world, broken())]

    assert results.wait(ids, 0)
    assert results.wait(ids, None)


def test_waiting_in_vain_ends_with_the_time(world, results):
    id_ = end(world, ok(1))

    assert not results.wait([id_, "nobody"], 0.05)
    assert not results.wait(["nobody"], 0)


@pytest.mark.parametrize("timeout", [20.0, None])
def test_waiting_ends_when_the_last_result_comes(world, results, timeout):
    messages = [world.message() for _ in range(3)]
    commit = world.open("client")

    def work():
        for message in messages:
            time.sleep(0.02)
            commit.exchange([Transition(message=message, outcome=ok(1))])

    worker = threading.Thread(target=work)
    worker.start()
    started = time.monotonic()
    ready = results.wait([message.id for message in messages], timeout)
    waited = time.monotonic() - started
    worker.join()

    assert ready
    assert waited < 20
    assert all(document.ready for document in results.get([message.id for message in messages]))


def test_several_threads_wait_through_one_object(world, results):
    messages = [world.message() for _ in range(8)]
    commit = world.open("client")
    ready = {}

    def wait(message):
        ready[message.id] = results.wait([message.id], 20)

    waiters = [threading.Thread(target=wait, args=(message,)) for message in messages]
    for waiter in waiters:
        waiter.start()
    for message in reversed(messages):
        commit.exchange([Transition(message=message, outcome=ok(1))])
    for waiter in waiters:
        waiter.join()

    assert ready == {message.id: True for message in messages}


def test_waiting_ends_when_a_task_can_no_longer_run(world, results):
    from backbeat.canvas.flow import Settle

    message = world.message()
    settling = threading.Timer(0.05, world.do, [world.open("client"), Settle(message.id, broken())])
    settling.start()
    ready = results.wait([message.id], 20)
    settling.join()

    assert ready


def test_a_result_that_was_forgotten_is_not_known_and_others_are(world, results):
    gone, kept = end(world, ok(1)), end(world, ok(2))
    results.forget([gone, "nobody"])
    results.forget([gone])

    assert [document.state for document in results.get([gone, kept])] == [State.PENDING, State.SUCCESS]


def test_closing_twice_is_closing_once(world):
    opened = world.backend.results()
    opened.get(["x"])
    opened.wait(["x"], 0.01)
    opened.close()
    opened.close()
