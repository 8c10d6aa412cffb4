"""Tasks: their names, arguments, options and retries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from backbeat.canvas import App, Signature, shared_task
from backbeat.canvas.errors import (
    ImproperlyConfigured,
    MaxRetriesExceededError,
    NotRegistered,
    Retry,
)
from backbeat.canvas.request import Request, running
from backbeat.canvas.task_making import task_name

from support.number_doubles import Whole

app = App("proj", broker="memory://", set_as_current=False)


@app.task
def add(x, y=0):
    """Adds."""
    return x + y


@app.task(bind=True, max_retries=2, default_retry_delay=7, queue="slow", time_limit=30)
def bound(self, x):
    return self.name, x


def request(**known):
    return Request(**{"id": "t1", "called_directly": False, **known})


# --- what it is ----------------------------------------------------------------------------------------------------------------


def test_a_task_is_named_after_its_module_and_function_unless_told():
    assert add.name == f"{__name__}.add"
    assert app.tasks[add.name] is add

    @app.task(name="other")
    def named():
        pass

    assert (named.name, app.tasks["other"]) == ("other", named)


def test_functions_of_the_main_program_are_named_after_the_app():
    def main():
        pass

    main.__module__ = "__main__"

    assert task_name(main, "proj") == "proj.main"
    assert task_name(main) == "__main__.main"


def test_a_task_is_still_the_function():
    assert add(1, y=2) == 3
    assert (add.__name__, add.__doc__, add.__module__) == ("add", "Adds.", __name__)
    assert add.__wrapped__ is add.run
    assert repr(add) == f"<@task: {add.name}>"


def test_bind_passes_the_task_itself_first():
    assert bound(5) == (bound.name, 5)


def test_the_options_that_each_message_carries():
    assert bound.options.sent() == {"queue": "slow", "time_limit": 30}
    assert add.options.sent() == {}


@pytest.mark.parametrize("known", [{"retrys": 3}, {"acks_late": True, "nonsense": 1}])
def test_an_unknown_task_option_is_a_type_error_that_lists_the_options(known):
    with pytest.raises(
        TypeError, match=rf"task {__name__}\.f: there is no option .*Options are: name, bind, "
    ):

        @app.task(**known)
        def f():
            pass


NAN = float("nan")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        *[
            ({name: value}, f"{name} must be seconds above 0")
            for name in ("time_limit", "soft_time_limit")
            for value in (NAN, float("inf"), -1, 0, "5")
        ],
        *[
            ({name: value}, f"{name} must be True or False")
            for name in ("acks_late", "bind", "ignore_result")
            for value in ("no", 0, 1)
        ],
        (
            {"time_limit": 5, "soft_time_limit": 5},
            "soft_time_limit must be below time_limit: 5 is not below 5",
        ),
        ({"priority": 256}, "priority must be a whole number from 0 to 255"),
        ({"queue": ""}, "queue must be a printable text"),
        ({"queue": 5}, "queue must be a printable text"),
        ({"expires": NAN}, "expires must be seconds"),
        ({"expires": -3}, "expires must be above 0"),
        ({"expires": 0}, "expires must be above 0"),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused_where_the_task_is_defined(options, text):
    with pytest.raises(ImproperlyConfigured, match=f"^task proj.wrong: {text}"):
        app.task(name="proj.wrong", **options)(lambda *_: None)
    assert "proj.wrong" not in app.tasks


@pytest.mark.parametrize("name", ["", 5, "a\nb", "x" * 256])
def test_a_name_that_no_message_can_have_is_refused(name):
    with pytest.raises(
        ImproperlyConfigured, match="a task's name must be a printable text of 1 to 255 bytes"
    ):
        app.task(name=name)(lambda: None)


def test_there_is_no_rate_limit():
    with pytest.raises(
        TypeError,
        match=r"^task proj\.wrong: rate_limit is not supported by this version: give the task a queue",
    ):
        app.task(name="proj.wrong", rate_limit="10/m")(lambda: None)


@pytest.mark.parametrize(
    "known",
    [
        {"rate_limit": None},
        {"typing": True},
        {"typing": None},
        {"trail": True},
        {"send_events": False},
        {"track_started": False},
        {"shared": False},
        {"reject_on_worker_lost": None},
        {"Strategy": None},
    ],
)
def test_options_of_celery_s_that_ask_for_nothing_are_passed_over(known):
    assert app.task(name="plain", **known)(print).options == app.task(name="plain")(print).options


@pytest.mark.parametrize(
    "known",
    [
        {"acks_on_failure_or_timeout": False},
        {"reject_on_worker_lost": False},
        {"Strategy": "mine:strategy"},
        {"store_errors_even_if_ignored": True},
        {"backend": "redis://"},
    ],
)
def test_options_of_celery_s_that_cannot_be_met_are_refused_with_the_reason(known):
    (name,) = known
    with pytest.raises(TypeError, match=rf"task proj\.wrong: {name} cannot be .*, it is always .*: \w+ "):
        app.task(name="proj.wrong", **known)(lambda: None)


def test_with_typing_off_arguments_are_the_worker_s_matter():
    loose = app.task(name="loose", typing=False)(lambda x: x)

    loose._check([], {"no": 1})
    with pytest.raises(TypeError, match="task strict"):
        app.task(name="strict")(lambda x: x)._check([], {"no": 1})


def test_every_way_to_write_the_decorator():
    @app.task()
    def one():
        return 1

    two = app.task(lambda: 2)

    assert (one(), two()) == (1, 2)
    assert {one.name, two.name} <= set(app.tasks)


def test_a_misspelt_task_option_gets_a_suggestion():
    with pytest.raises(TypeError, match="no option 'max_retry'; did you mean 'max_retries'"):
        app.task(max_retry=3)(lambda: None)


# --- arguments -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("args", "kwargs"), [((), {}), ((1, 2, 3), {}), ((1,), {"z": 1}), ((1,), {"x": 1})])
def test_arguments_that_the_function_does_not_take_are_a_type_error_at_the_call(args, kwargs):
    with pytest.raises(TypeError, match=add.name):
        add.delay(*args, **kwargs)
    with pytest.raises(TypeError, match=add.name):
        add.apply_async(args, kwargs)


def test_a_task_that_is_given_another_function_takes_the_arguments_of_that():
    own = App("own", broker="memory://", set_as_current=False)
    task = own.task(name="changing")(lambda x: x)
    task.delay(1)

    task.run = lambda x, y: (x, y)

    task.delay(1, 2)
    with pytest.raises(TypeError, match="changing"):
        task.delay(1)


def test_self_is_not_an_argument_of_a_bound_task():
    with pytest.raises(TypeError):
        bound.delay()
    with pytest.raises(TypeError):
        bound.delay(1, 2)


def test_an_unknown_option_is_a_type_error_with_a_suggestion():
    with pytest.raises(TypeError, match="did you mean 'countdown'"):
        add.apply_async((1,), coundown=3)


def test_calling_by_name_needs_a_task():
    assert app.call_task(add.name, (1,), {"y": 2}) == 3
    with pytest.raises(NotRegistered, match="no task 'nope'"):
        app.call_task("nope", (), {})


# --- retry ---------------------------------------------------------------------------------------------------------------------


def test_retry_raises_with_the_default_delay():
    with running(request()), pytest.raises(Retry) as caught:
        bound.retry()
    assert (caught.value.when, caught.value.exc) == (7, None)


@pytest.mark.parametrize(
    ("known", "when"),
    [
        ({"countdown": 3}, 3),
        ({"countdown": 0}, 0),
        ({"countdown": -1}, -1),
        ({"countdown": timedelta(minutes=1)}, 60.0),
        ({"eta": datetime(2026, 1, 1, tzinfo=UTC)}, datetime(2026, 1, 1, tzinfo=UTC)),
        ({"eta": datetime(2026, 1, 1, tzinfo=UTC), "countdown": 3}, datetime(2026, 1, 1, tzinfo=UTC)),
    ],
)
def test_when_it_shall_run_again(known, when):
    with running(request()), pytest.raises(Retry) as caught:
        bound.retry(**known)
    assert caught.value.when == when


def test_a_retry_takes_numbers_of_other_types():
    @app.task(
        bind=True, name="other_numbers", max_retries=Whole(5), default_retry_delay=Whole(9), priority=Whole(1)
    )
    def f(self):
        pass

    assert (f.max_retries, f.default_retry_delay, f.options.priority) == (5, 9.0, 1)
    with running(request(retries=1)):
        retry = f.retry(
            countdown=Whole(3), max_retries=Whole(2), time_limit=timedelta(minutes=1), throw=False
        )
        with pytest.raises(MaxRetriesExceededError):
            f.retry(max_retries=Whole(1))
    assert (retry.when, retry.fields["options"]) == (3.0, {"time_limit": 60.0})


@pytest.mark.parametrize(
    "known",
    [
        {"eta": datetime(2026, 1, 1)},
        {"countdown": "3"},
        {"countdown": 1e300},
        {"countdown": NAN},
        {"time_limit": NAN},
        {"time_limit": 5, "soft_time_limit": 5},
    ],
)
def test_a_time_that_cannot_be_is_refused_where_it_is_written(known):
    with running(request()), pytest.raises(ImproperlyConfigured):
        bound.retry(**known)


def test_retry_may_be_returned_instead_and_may_bring_arguments():
    with running(request()):
        retry = bound.retry(args=(9,), kwargs={"a": 1}, exc=ValueError("x"), throw=False)

    assert isinstance(retry, Retry)
    assert (retry.fields["args"], retry.fields["kwargs"], str(retry.exc)) == ((9,), {"a": 1}, "x")


def test_the_reason_is_the_cause():
    reason = ValueError("x")
    with running(request()), pytest.raises(Retry) as caught:
        bound.retry(exc=reason)
    assert caught.value.__cause__ is reason


#    done so far, given limit, allowed
LIMITS = [(0, None, True), (1, None, True), (2, None, False), (0, 0, False), (5, 6, True), (6, 6, False)]


@pytest.mark.parametrize(("retries", "limit", "allowed"), LIMITS)
def test_after_max_retries_it_is_over(retries, limit, allowed):
    with running(request(retries=retries)):
        with pytest.raises(Retry if allowed else MaxRetriesExceededError):
            bound.retry(max_retries=limit)
        with pytest.raises(Retry if allowed else KeyError):
            bound.retry(max_retries=limit, exc=KeyError("x"))


def test_without_a_limit_it_is_never_over():
    @app.task(bind=True, max_retries=None)
    def forever(self):
        pass

    with running(request(retries=1_000)), pytest.raises(Retry):
        forever.retry()


def test_three_retries_are_allowed_by_default():
    assert add.max_retries == 3
    assert add.options.default_retry_delay == 180


def test_a_task_that_was_called_directly_raises_its_own_error():
    with pytest.raises(KeyError):
        bound.retry(exc=KeyError("x"))
    with pytest.raises(ImproperlyConfigured, match="called directly"):
        bound.retry()

    def in_except():
        try:
            _ = 1 / 0
        except ZeroDivisionError:
            bound.retry()

    with pytest.raises(ZeroDivisionError):
        in_except()


def test_outside_of_a_run_the_request_is_empty():
    assert (add.request.id, add.request.called_directly, add.request.retries) == (None, True, 0)


# --- shared tasks --------------------------------------------------------------------------------------------------------------


def test_a_shared_task_belongs_to_an_app_that_comes_later():
    @shared_task(name="lib.shared", queue="lib")
    def shared(x):
        return x * 2

    later = App("later", broker="memory://")

    assert shared(2) == 4
    assert shared.app is later
    assert shared.s(1).app is later
    assert "lib.shared" in later.tasks
    assert later.call_task("lib.shared", (3,), {}) == 6
    assert App("latest", broker="memory://") is shared.app


def test_an_apps_own_task_goes_before_a_shared_one_of_its_name():
    shared_task(name="lib.same")(lambda: "shared")
    own = App("own", set_as_current=False)
    other = App("other", set_as_current=False)

    @own.task(name="lib.same")
    def mine():
        return "own"

    assert own.tasks["lib.same"]() == "own"
    assert other.tasks["lib.same"]() == "shared"
    assert len(own.tasks) == len(list(own.tasks))
    del own.tasks["lib.same"]
    assert own.tasks["lib.same"]() == "shared"


def test_a_task_makes_signatures_of_its_app():
    assert add.s(1).app is app
    assert add.si(1).immutable
    assert isinstance(add.signature((1,)), Signature)
    assert add.AsyncResult("x").id == "x"
