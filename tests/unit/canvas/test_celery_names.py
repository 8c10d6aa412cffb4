"""The modules that Celery projects import by name: states, exceptions, utils; `current_app` and `current_task`."""

from __future__ import annotations

import logging
from uuid import UUID

import pytest
from backbeat.canvas import App, current_app, current_task, errors, exceptions, states, uuid
from backbeat.canvas.errors import NotRegistered
from backbeat.canvas.outcome import READY_STATES, State
from backbeat.canvas.utils import gen_unique_id
from backbeat.canvas.utils.dispatch import Signal
from backbeat.canvas.utils.log import get_task_logger

from support.eager import Fleet

CELERYS = (
    "reraise CeleryWarning AlwaysEagerIgnored DuplicateNodenameWarning DuplicateTaskNameWarning FixupWarning NotConfigured "
    "SecurityWarning CeleryError ImproperlyConfigured SecurityError OperationalError TaskPredicate Ignore Reject Retry TaskError "
    "QueueNotFound IncompleteStream NotRegistered AlreadyRegistered TimeoutError MaxRetriesExceededError TaskRevokedError "
    "InvalidTaskError ChordError BackendError BackendGetMetaError BackendStoreError SoftTimeLimitExceeded TimeLimitExceeded "
    "WorkerLostError Terminated CPendingDeprecationWarning CDeprecationWarning WorkerShutdown WorkerTerminate CeleryCommandException"
).split()
"""All of celery.exceptions 5.7."""


def test_every_exception_of_celery_s_has_its_name_and_ours_are_the_same():
    for name in CELERYS:
        assert name in exceptions.__all__
        assert hasattr(exceptions, name)
    for name, cls in errors.SHARED_WITH_CELERY.items():
        assert getattr(exceptions, name) is cls
    assert issubclass(exceptions.Retry, exceptions.TaskPredicate)
    assert issubclass(exceptions.ChordError, exceptions.CeleryError)
    assert issubclass(exceptions.NotRegistered, KeyError)
    assert exceptions.CeleryCommandException("no", 3).exit_code == 3


def test_an_exception_is_raised_again_with_its_traceback():
    with pytest.raises(KeyError) as first:
        {}["k"]

    with pytest.raises(KeyError) as caught:
        exceptions.reraise(KeyError, first.value, first.tb)
    assert caught.value is first.value
    assert caught.traceback[-1].lineno == first.traceback[-1].lineno


def test_states_are_ordered_by_what_they_say():
    order = [
        states.PENDING,
        "RETRY",
        "REJECTED",
        "RECEIVED",
        "STARTED",
        "REVOKED",
        "PROGRESS",
        "FAILURE",
        "SUCCESS",
    ]

    assert sorted(map(states.state, reversed(order))) == order
    assert states.state("PROGRESS") > states.state(states.STARTED)
    assert states.state("PROGRESS") >= states.state("IGNORED")
    assert states.state("PROGRESS") <= states.state("IGNORED")
    assert not states.state("PROGRESS") < states.state("OTHER")
    assert (states.precedence("SUCCESS"), states.precedence("PENDING")) == (0, 8)
    assert states.state("SUCCESS") == "SUCCESS"


def test_states_are_in_the_sets_that_handles_go_by():
    assert states.READY_STATES == READY_STATES
    assert states.READY_STATES | states.UNREADY_STATES == states.ALL_STATES
    assert set(states.ALL_STATES) == {str(each) for each in State} - {"UNKNOWN"}
    assert {"RETRY"} == states.EXCEPTION_STATES - states.PROPAGATE_STATES
    assert all(type(each) is str for each in states.ALL_STATES)


def test_ids_are_drawn():
    assert UUID(uuid()).version == 4
    assert uuid() != gen_unique_id()
    assert Signal("x").name == "x"


def test_loggers_of_tasks_are_below_one_unless_the_project_says_otherwise():
    logger = get_task_logger("proj_of_this_test.tasks")
    below = logging.getLogger("proj_of_this_test")
    child = get_task_logger("proj_of_this_test.other")

    assert logger.name == "proj_of_this_test.tasks"
    assert logging.getLogger("proj_of_this_test.tasks") is logger
    assert (child.parent is below, below.parent is logging.root) == (True, True)
    assert get_task_logger("alone_of_this_test").parent.name == "backbeat.task"
    with pytest.raises(ValueError, match="backbeat's own"):
        get_task_logger("backbeat.task")


def test_the_current_app_is_whichever_was_made_so_last():
    first, second = (App(name, broker="memory://", set_as_current=False) for name in ("first", "second"))

    first.set_default()
    assert (current_app.name, current_app == first, isinstance(current_app, App)) == ("first", True, True)
    second.set_current()
    current_app.conf.task_default_queue = "q"
    current_app.mark = 1

    assert (current_app._get_current_object(), second.conf.task_default_queue, second.mark) == (
        second,
        "q",
        1,
    )
    assert (repr(current_app), hash(current_app)) == (repr(second), hash(second))
    del current_app.mark
    assert not hasattr(second, "mark")


def test_the_current_task_is_the_one_that_runs_here():
    fleet, seen = Fleet(), []

    @fleet.app.task(name="t")
    def t():
        seen.extend((current_task.name, current_task.request.id, fleet.app.current_task, bool(current_task)))

    handle = t.delay()
    fleet.drain()

    assert seen == ["t", handle.id, t, True]
    assert not current_task
    assert (fleet.app.current_task, fleet.app.current_worker_task) == (None, None)


def test_a_task_that_is_not_there_is_told_as_celery_does():
    app = App("proj", broker="memory://", set_as_current=False)
    task = app.task(name="t")(lambda: 1)

    assert (app.tasks.regular()["t"], app.tasks.periodic(), app.tasks.get("nobody")) == (task, {}, None)
    app.tasks.unregister(task)
    with pytest.raises(NotRegistered, match=r"^t$"):
        app.tasks["t"]
    with pytest.raises(NotRegistered):
        app.tasks.unregister("t")
    app.tasks.register(task)
    assert app.tasks["t"] is task
