"""One run of a task and how it ends: above all, which endings are another run, when, and with what message."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from backbeat.canvas import App, Task
from backbeat.canvas.continuation import Member
from backbeat.canvas.effect import Publish
from backbeat.canvas.errors import Ignore, Reject, SoftTimeLimitExceeded
from backbeat.canvas.execute import Requeued, driven, execute
from backbeat.canvas.flow import next_steps
from backbeat.canvas.message import Message, us_of
from backbeat.canvas.node import Call
from backbeat.canvas.outcome import (
    Failure,
    Ignored,
    Rejected,
    Retry,
    Success,
    outcome_from_data,
    outcome_to_data,
)
from backbeat.canvas.wire import from_wire, to_wire
from msgspec.structs import replace

NOW = 1_750_000_000_000_000
SECOND = 1_000_000


@pytest.fixture
def app():
    return App("proj", broker="memory://", set_as_current=False)


def run(app, message, draw=0.5):
    return execute(message, app.tasks, "celery@test", now_us=lambda: NOW, draw=lambda: draw)


def message(**known):
    return Message(**{"id": "t1", "task": "t", **known})


def fail(exc):
    raise exc


def raising(app, exc, **options):
    """A task that raises `exc`."""

    @app.task(name="t", **options)
    def t(*_args, **_kwargs):
        raise exc

    return t


def again(first, outcome):
    """The message of the next attempt, as it comes out of a store and a broker."""
    kept = outcome_from_data(json.loads(json.dumps(outcome_to_data(outcome))))
    (publish,) = next_steps(first, kept, {})
    assert isinstance(publish, Publish)
    return from_wire(to_wire(publish.message), publish.message.queue)


# --- autoretry_for -------------------------------------------------------------------------------------------------------------


def test_what_autoretry_for_names_is_run_again_after_the_default_delay(app):
    raising(app, KeyError("x"), autoretry_for=(LookupError,))

    outcome = run(app, message())

    assert isinstance(outcome, Retry)
    assert outcome.eta_us == NOW + 180 * SECOND
    assert (outcome.error.type, outcome.error.args, outcome.error.node) == ("KeyError", '["x"]', "t1")
    assert "raise exc\nKeyError: 'x'" in outcome.traceback
    assert (outcome.args, outcome.kwargs, outcome.changes) == (None, None, None)


def test_other_exceptions_are_failures_as_ever(app):
    raising(app, ValueError("x"), autoretry_for=(LookupError,))

    assert isinstance(run(app, message()), Failure)


def test_what_dont_autoretry_for_names_is_a_failure(app):
    raising(app, KeyError("x"), autoretry_for=(Exception,), dont_autoretry_for=(LookupError,))

    assert isinstance(run(app, message()), Failure)


@pytest.mark.parametrize("draw", [0.0, 0.25, 0.75])
def test_the_backoff_of_each_attempt_is_drawn(app, draw):
    raising(app, KeyError("x"), autoretry_for=(KeyError,), retry_backoff=2, max_retries=None)

    etas = [run(app, message(attempt=attempt), draw).eta_us - NOW for attempt in (0, 1, 2, 20)]

    assert etas == [round(seconds * draw * SECOND) for seconds in (2, 4, 8, 600)]


def test_backoff_goes_before_a_countdown_of_retry_kwargs(app):
    options = {"autoretry_for": (KeyError,), "retry_kwargs": {"countdown": 5}}
    raising(app, KeyError("x"), **options)
    fixed = run(app, message(attempt=2)).eta_us
    raising(app, KeyError("x"), **options, retry_backoff=True, retry_jitter=False)

    assert fixed == NOW + 5 * SECOND
    assert run(app, message(attempt=2)).eta_us == NOW + 4 * SECOND


#    task's   retry_kwargs'  caller's  retries that there are
LIMITS = [
    (3, {}, None, 3),
    (0, {}, None, 0),
    (3, {"max_retries": 5, "countdown": 2}, None, 5),
    (3, {"max_retries": None}, None, 3),
    (3, {"max_retries": 5}, 1, 1),
    (None, {}, 2, 2),
    (3, {}, 0, 0),
]


@pytest.mark.parametrize(("own", "kwargs", "callers", "allowed"), LIMITS)
def test_the_limit_of_the_caller_goes_before_retry_kwargs_and_these_before_the_tasks(
    app, own, kwargs, callers, allowed
):
    raising(app, KeyError("x"), autoretry_for=(KeyError,), max_retries=own, retry_kwargs=kwargs)

    outcomes = [run(app, message(attempt=attempt, max_retries=callers)) for attempt in range(allowed + 1)]

    assert [type(outcome) for outcome in outcomes] == [Retry] * allowed + [Failure]


def test_without_a_limit_it_goes_on(app):
    raising(app, KeyError("x"), autoretry_for=(KeyError,), max_retries=None)

    assert isinstance(run(app, message(attempt=1_000_000)), Retry)


def test_when_retries_are_exhausted_the_original_exception_is_the_outcome_with_its_cause(app):
    @app.task(name="t", autoretry_for=(KeyError,), max_retries=1)
    def t():
        try:
            fail(OSError("disk"))
        except OSError as cause:
            raise KeyError("x") from cause

    outcome = run(app, message(attempt=1))

    assert isinstance(outcome, Failure)
    assert (outcome.error.type, outcome.error.cause.type, outcome.error.cause.text) == (
        "KeyError",
        "OSError",
        "disk",
    )
    assert "raise KeyError" in outcome.traceback


@pytest.mark.parametrize(("order", "ending"), [(Ignore(), Ignored), (Reject("no"), Rejected)])
def test_ignore_and_reject_are_never_run_again(app, order, ending):
    raising(app, order, autoretry_for=(Exception,))

    assert isinstance(run(app, message()), ending)


def test_a_hand_back_is_none_of_its_attempts(app):
    raising(app, Reject(requeue=True), autoretry_for=(Exception,))

    with pytest.raises(Requeued):
        run(app, message())


def test_a_retry_that_the_task_asked_for_is_that_retry(app):
    @app.task(name="t", bind=True, autoretry_for=(Exception,), retry_backoff=True)
    def t(self):
        raise self.retry(countdown=7)

    assert run(app, message()).eta_us == NOW + 7 * SECOND


@pytest.mark.parametrize("exc", [None, KeyError("x")])
def test_a_limit_that_self_retry_gave_is_one_for_autoretry_too(app, exc):
    @app.task(name="t", bind=True, autoretry_for=(Exception,), max_retries=10)
    def t(self):
        try:
            fail(ValueError("first"))
        except ValueError:
            self.retry(exc=exc, max_retries=1)

    outcome = run(app, message(attempt=1))

    assert isinstance(outcome, Failure)
    assert outcome.error.type == ("MaxRetriesExceededError" if exc is None else "KeyError")
    assert outcome.error.cause.text == "first"


def test_sys_exit_and_an_interrupt_are_no_reasons(app):
    raising(app, SystemExit(3), autoretry_for=(Exception,))
    exited = run(app, message())
    raising(app, KeyboardInterrupt(), autoretry_for=(Exception,))

    assert isinstance(exited, Failure)
    with pytest.raises(KeyboardInterrupt):
        run(app, message())


def test_a_soft_time_limit_is_a_reason_where_it_is_named(app):
    raising(app, SoftTimeLimitExceeded("late"), autoretry_for=(SoftTimeLimitExceeded,))

    assert isinstance(run(app, message()), Retry)


def test_a_result_that_cannot_be_written_is_no_reason_as_the_function_has_ended(app):
    app.task(name="t", autoretry_for=(Exception,))(object)

    outcome = run(app, message())

    assert isinstance(outcome, Failure)
    assert outcome.error.type == "EncodeError"


def test_an_async_task_is_run_again_as_any(app):
    @app.task(name="auto", autoretry_for=(KeyError,), retry_kwargs={"countdown": 1})
    async def auto():
        raise KeyError("x")

    @app.task(name="asks", bind=True)
    async def asks(self):
        raise self.retry(countdown=2, exc=KeyError("y"))

    outcomes = [run(app, message(task=name)) for name in ("auto", "asks")]

    assert [(outcome.eta_us - NOW, outcome.error.args) for outcome in outcomes] == [
        (1 * SECOND, '["x"]'),
        (2 * SECOND, '["y"]'),
    ]


# --- self.retry ----------------------------------------------------------------------------------------------------------------


def asking(app, **known):
    @app.task(name="t", bind=True)
    def t(self, *_args, **_kwargs):
        raise self.retry(**known)


def test_its_eta_is_absolute_and_part_of_the_outcome(app):
    asking(app, eta=datetime(2030, 1, 1, tzinfo=UTC))

    outcome = run(app, message())

    assert outcome.eta_us == us_of(datetime(2030, 1, 1, tzinfo=UTC))
    assert again(message(), outcome).eta_us == outcome.eta_us


def test_a_naive_eta_is_a_failure_that_says_what_to_write(app):
    asking(app, eta=datetime(2030, 1, 1))

    assert "has no time zone; write datetime.now(UTC)" in run(app, message()).error.text


def test_what_was_being_handled_is_the_reason_if_none_is_given(app):
    @app.task(name="t", bind=True)
    def t(self):
        try:
            fail(KeyError("handled"))
        except KeyError:
            self.retry()

    outcome = run(app, message())

    assert (outcome.error.type, outcome.error.text) == ("KeyError", "'handled'")
    assert "fail(KeyError" in outcome.traceback


def test_the_reason_may_be_a_class(app):
    asking(app, exc=KeyError)

    assert run(app, message()).error.type == "KeyError"


def test_what_is_no_exception_is_no_reason(app):
    asking(app, exc="broken")

    assert "exc must be an exception, found 'broken'" in run(app, message()).error.text


def test_exhausted_without_a_reason_it_says_how_often_it_was_tried(app):
    asking(app)

    error = run(app, message(attempt=3)).error

    assert (error.module, error.type) == ("celery.exceptions", "MaxRetriesExceededError")
    assert error.text == "t[t1] was tried 4 times and cannot be retried again: max_retries is 3"


def test_the_callers_limit_is_one_for_self_retry(app):
    asking(app)

    assert isinstance(run(app, message(attempt=4, max_retries=5)), Retry)
    assert isinstance(run(app, message(max_retries=0)), Failure)


def test_a_task_can_tell_that_it_is_over(app):
    @app.task(name="t", bind=True, max_retries=1)
    def t(self):
        try:
            self.retry()
        except self.MaxRetriesExceededError:
            return "gave up"

    assert isinstance(run(app, message()), Retry)
    assert run(app, message(attempt=1)) == Success(value='"gave up"')


def test_without_throw_the_run_goes_on_and_then_it_is_run_again(app):
    seen = []

    @app.task(name="t", bind=True)
    def t(self, then):
        self.retry(countdown=5, throw=False)
        seen.append("went on")
        if isinstance(then, str):
            raise {"key": KeyError, "ignore": Ignore}[then]
        return then

    outcomes = [run(app, message(args=json.dumps([then]))) for then in (1, "key", "ignore")]

    assert seen == ["went on"] * 3
    assert [type(outcome) for outcome in outcomes] == [Retry, Retry, Ignored]
    assert [outcome.eta_us for outcome in outcomes[:2]] == [NOW + 5 * SECOND] * 2
    assert [outcome.error and outcome.error.type for outcome in outcomes[:2]] == [None, "KeyError"]


def test_a_task_that_another_one_calls_is_called_directly(app):
    @app.task(name="inner", bind=True)
    def inner(self):
        try:
            fail(KeyError("inner"))
        except KeyError as error:
            self.retry(exc=error)

    @app.task(name="t", autoretry_for=(KeyError,), retry_kwargs={"countdown": 1})
    def t():
        return inner()

    outcome = run(app, message())

    assert outcome.eta_us == NOW + 1 * SECOND
    assert outcome.error.text == "'inner'"


def test_called_directly_autoretry_for_has_no_part_in_it(app):
    with pytest.raises(KeyError):
        raising(app, KeyError("x"), autoretry_for=(KeyError,))()
    with pytest.raises(KeyError):
        app.task(name="asks", bind=True)(lambda self: self.retry(exc=KeyError("x")))()


# --- the next attempt's message --------------------------------------------------------------------------------------------------

WHOLE = message(
    args="[1]",
    kwargs='{"a":2}',
    root_id="root",
    parent_id="parent",
    then=Member("join", 3),
    link=(Call(task="l", id="link"),),
    link_error=(Call(task="e", id="errback"),),
    generation=1,
    group_id="join",
    group_index=3,
    expires_us=NOW + 900 * SECOND,
    queue="own",
    priority=6,
    ignore_result=True,
    time_limit=50.0,
    soft_time_limit=40.0,
    max_retries=9,
    shadow="shown",
    reply_to="somebody",
    origin="gen1@host",
    headers={"trace": "abc"},
)


@pytest.mark.parametrize("attempt", [0, 1])
@pytest.mark.parametrize("by", ["self.retry", "autoretry_for"])
def test_a_retry_keeps_all_but_its_attempt_and_its_eta(app, by, attempt):
    if by == "self.retry":
        asking(app, countdown=7)
    else:
        raising(app, KeyError("x"), autoretry_for=(KeyError,), retry_kwargs={"countdown": 7})
    first = replace(WHOLE, attempt=attempt)

    outcome = run(app, first)

    assert again(first, outcome) == replace(first, attempt=attempt + 1, eta_us=NOW + 7 * SECOND)


def test_a_retry_may_change_its_arguments_and_how_it_travels_and_runs(app):
    asking(
        app,
        args=(9,),
        kwargs={"b": 1},
        countdown=0,
        queue="slow",
        priority=0,
        expires=60,
        headers={"own": "x"},
        time_limit=500,
        soft_time_limit=400.0,
        shadow="other",
        serializer="json",
    )

    assert again(WHOLE, run(app, WHOLE)) == replace(
        WHOLE,
        attempt=1,
        eta_us=NOW,
        args="[9]",
        kwargs='{"b":1}',
        queue="slow",
        priority=0,
        expires_us=NOW + 60 * SECOND,
        headers={"trace": "abc", "own": "x"},
        time_limit=500,
        soft_time_limit=400.0,
        shadow="other",
    )


def test_options_may_stand_in_retry_kwargs(app):
    options = {
        "queue": "slow",
        "expires": datetime(2030, 1, 1, tzinfo=UTC),
        "countdown": timedelta(seconds=1),
    }
    raising(app, KeyError("x"), autoretry_for=(KeyError,), retry_kwargs=options)

    sent = again(WHOLE, run(app, WHOLE))

    assert (sent.queue, sent.eta_us) == ("slow", NOW + 1 * SECOND)
    assert sent.expires_us == us_of(datetime(2030, 1, 1, tzinfo=UTC))


def test_k6_an_old_copy_makes_the_same_next_message_although_attempts_between_changed_it(app):
    """The outcome that stands may be of a later attempt than the copy at hand, whose arguments and queue are the first ones."""

    @app.task(name="t", bind=True)
    def t(self, x, **_kwargs):
        change = {"args": (x + 1,), "queue": "slow"} if self.request.retries == 0 else {}
        raise self.retry(countdown=5, **change)

    second = again(WHOLE, run(app, WHOLE))
    outcome = run(app, second)

    from_newest, from_old_copy = again(second, outcome), again(replace(WHOLE, attempt=1), outcome)

    assert from_newest == from_old_copy
    assert (from_old_copy.args, from_old_copy.queue, from_old_copy.attempt) == ("[2]", "slow", 2)


def test_an_option_that_does_not_exist_is_a_failure_that_names_it(app):
    asking(app, link="x")

    error = run(app, message()).error

    assert (error.type, error.text.startswith("a retry cannot have 'link'")) == ("TypeError", True)


# --- throws --------------------------------------------------------------------------------------------------------------------


def test_an_exception_that_the_task_throws_is_expected_and_a_failure(app):
    raising(app, KeyError("x"), throws=(LookupError,))
    expected = run(app, message())
    raising(app, ValueError("x"), throws=(LookupError,))

    assert isinstance(expected, Failure)
    assert (expected.expected, run(app, message()).expected) == (True, False)
    assert "KeyError" in expected.traceback


# --- one way for all pools -----------------------------------------------------------------------------------------------------


def test_what_waits_for_something_cannot_be_driven_to_its_end():
    async def waits():
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="in one step waits for something"):
        driven(waits())


def test_a_function_that_raises_stop_iteration_has_failed_with_that():
    app = App("x", set_as_current=False)

    @app.task(name="t")
    def first():
        return next(iter([]))

    outcome = execute(Message(id="t1", task="t"), app.tasks, "celery@test")

    assert outcome.error.type == "StopIteration"


def test_only_a_coroutine_function_is_called_in_an_event_loop():
    app = App("x", set_as_current=False)

    @app.task(name="plain")
    def plain(): ...

    @app.task(name="awaited", bind=True)
    async def awaited(self): ...

    class Called(Task):
        async def __call__(self): ...

    class CalledPlainly(Task):
        def __call__(self): ...

    by_class = app.task(name="a", base=Called)(plain.run)
    plainly = app.task(name="b", base=CalledPlainly)(awaited.run)

    assert [task.is_coroutine for task in (plain, awaited, by_class, plainly)] == [False, True, True, False]
