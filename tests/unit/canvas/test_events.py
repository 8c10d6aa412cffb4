"""Events: what they say of messages and outcomes, and what a State makes of them."""

from __future__ import annotations

import pytest
from backbeat.canvas.config import Config
from backbeat.canvas.events.event import ended, received, sent, shown, started
from backbeat.canvas.events.kombu import event_layout_of
from backbeat.canvas.events.state import State
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import Message
from backbeat.canvas.outcome import Error, Failure, Ignored, Rejected, Retry, Revoked, Success

MESSAGE = Message(
    id="one",
    task="shop.add",
    args=Json("[1, 2]"),
    kwargs=Json('{"deep": null}'),
    root_id="root",
    parent_id="parent",
    queue="celery",
    eta_us=1_800_000_000_000_000,
    attempt=2,
)
ERROR = Error(type="ValueError", text="broke", args=Json('["broke"]'))


def test_what_is_said_of_a_task_that_a_worker_has():
    assert received(MESSAGE) == {
        "type": "task-received",
        "uuid": "one",
        "name": "shop.add",
        "args": "[1, 2]",
        "kwargs": "{'deep': None}",
        "root_id": "root",
        "parent_id": "parent",
        "retries": 2,
        "eta": "2027-01-15T08:00:00+00:00",
        "expires": None,
    }
    assert started(MESSAGE) == {"type": "task-started", "uuid": "one"}
    assert sent(MESSAGE)["routing_key"] == sent(MESSAGE)["queue"] == "celery"


@pytest.mark.parametrize(
    ("outcome", "event"),
    [
        (Success(value=Json('"x"')), {"type": "task-succeeded", "result": "'x'", "runtime": 1.5}),
        (
            Failure(error=ERROR, traceback="Traceback"),
            {"type": "task-failed", "exception": "ValueError('broke')", "traceback": "Traceback"},
        ),
        (
            Retry(eta_us=0, error=ERROR),
            {"type": "task-retried", "exception": "ValueError('broke')", "traceback": None},
        ),
        (
            Revoked(reason="expired"),
            {"type": "task-revoked", "terminated": False, "signum": None, "expired": True},
        ),
        (
            Revoked(reason="terminated"),
            {"type": "task-revoked", "terminated": True, "signum": "SIGTERM", "expired": False},
        ),
        (Rejected(), {"type": "task-rejected", "requeue": False}),
        (Ignored(), {"type": "task-succeeded", "result": "None", "runtime": 1.5}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_ending_has_its_event(outcome, event):
    assert ended(MESSAGE, outcome, 1.5) == {**event, "uuid": "one"}


def test_a_value_is_shown_as_python_writes_it_and_no_longer_than_some_size():
    assert shown('{"a": [1, true, null]}') == "{'a': [1, True, None]}"
    assert len(shown('"' + "x" * 100_000 + '"')) < 2_000
    assert shown("no json") == "no json"


@pytest.mark.parametrize(
    ("url", "is_fanout"),
    [
        ("redis://localhost", True),
        ("rediss://localhost", True),
        ("amqp://localhost", False),
        ("pyamqp://", False),
    ],
)
def test_where_a_broker_knows_no_topics_for_who_comes_and_goes_all_get_all(url, is_fanout):
    assert event_layout_of(Config(), url).exchange_of().type == ("fanout" if is_fanout else "topic")


def told(type_, *, at=100.0, node="a@one", **fields):
    return {"type": type_, "timestamp": at, "hostname": node, "clock": 1, "pid": 7, **fields}


def test_a_task_is_in_the_state_that_its_events_tell():
    state = State()
    for event in (
        told("task-sent", uuid="one", name="shop.add", args="[1, 2]", at=1.0, node="client"),
        told("task-received", uuid="one", name="shop.add", at=2.0),
        told("task-started", uuid="one", at=3.0),
        told("task-succeeded", uuid="one", result="3", runtime=0.5, at=4.0),
    ):
        state.event(event)

    task = state.tasks["one"]
    assert (task.state, task.name, task.args, task.result, task.runtime) == (
        "SUCCESS",
        "shop.add",
        "[1, 2]",
        "3",
        0.5,
    )
    assert (task.sent, task.received, task.started, task.succeeded) == (1.0, 2.0, 3.0, 4.0)
    assert task.worker.hostname == "a@one"
    assert task.ready
    assert (state.event_count, state.task_count, dict(state.counts())) == (4, 1, {"SUCCESS": 1})


def test_events_that_come_late_do_not_set_a_task_back():
    state = State()
    state.event(told("task-succeeded", uuid="one", result="3", at=4.0))
    state.event(told("task-started", uuid="one", at=3.0))
    state.event(told("task-received", uuid="one", name="shop.add", at=2.0))

    assert (state.tasks["one"].state, state.tasks["one"].name) == ("SUCCESS", "shop.add")


def test_a_task_that_is_retried_starts_again():
    state = State()
    for type_ in ("task-started", "task-retried", "task-received", "task-started"):
        state.event(told(type_, uuid="one"))

    assert state.tasks["one"].state == "STARTED"


def test_a_worker_is_there_as_long_as_it_tells():
    state = State()
    state.event(told("worker-online", freq=2.0, at=100.0))
    state.event(told("worker-heartbeat", freq=2.0, active=3, processed=9, at=102.0))

    (worker,) = state.alive_workers(105.9)
    assert (worker.hostname, worker.active, worker.processed, worker.pid) == ("a@one", 3, 9, 7)
    assert state.alive_workers(106.1) == []
    state.event(told("worker-offline", freq=2.0, at=105.0))
    assert state.alive_workers(105.1) == []


def test_the_oldest_go_where_there_are_too_many():
    state = State(max_workers_in_memory=2, max_tasks_in_memory=3)
    for number in range(5):
        state.event(told("task-received", uuid=str(number), name="t", node=f"a@{number}", at=float(number)))

    assert [*state.tasks] == ["2", "3", "4"]
    assert [*state.workers] == ["a@3", "a@4"]
    assert [id_ for id_, _ in state.tasks_by_time(2)] == ["4", "3"]
    assert state.task_types() == ["t"]
    state.clear()
    assert (state.event_count, len(state.tasks)) == (0, 0)


def test_who_gives_a_callback_is_told_of_every_event():
    heard = []
    state = State(callback=lambda known, event: heard.append((known, event["type"])))
    state.event(told("worker-online"))

    assert heard == [(state, "worker-online")]
