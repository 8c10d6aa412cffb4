"""Classes of tasks: options and state as attributes, what they are told of their runs, and how they are registered."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from backbeat.canvas import App, Task, shared_task, tasks
from backbeat.canvas.errors import Ignore, ImproperlyConfigured, Reject, Retry
from backbeat.canvas.execute import execute
from backbeat.canvas.message import Message
from backbeat.canvas.outcome import Failure, Ignored, Success
from backbeat.canvas.outcome import Retry as RetryOutcome

from support.eager import Fleet


@pytest.fixture
def app():
    return App("proj", broker="memory://", set_as_current=False)


class Telling(Task):
    """Writes down what it is told."""

    abstract = True
    told: list

    def __init__(self):
        self.told = []

    def before_start(self, task_id, args, kwargs):
        self.told.append(("before_start", task_id, list(args), kwargs))

    def on_success(self, retval, task_id, args, kwargs):
        self.told.append(("on_success", retval, task_id, list(args), kwargs))

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        self.told.append(
            ("on_failure", repr(exc), task_id, list(args), kwargs, einfo.traceback[-20:].strip())
        )

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        self.told.append(("on_retry", repr(exc), task_id, list(args), kwargs, einfo.type))

    def after_return(self, status, retval, task_id, args, kwargs, einfo):
        self.told.append(("after_return", status, repr(retval), task_id, einfo is None))


def run(app, name, *args, **known):
    import json

    from backbeat.canvas.json_text import Json

    message = Message(id="t1", task=name, args=Json(json.dumps(args)), **known)
    return execute(message, app.tasks, "celery@test")


# --- defining ------------------------------------------------------------------------------------------------------------------


def test_a_class_with_a_name_and_options_becomes_a_task():
    fleet = Fleet()

    class Add(Task):
        name = "shop.add"
        queue = "sums"
        max_retries = 7
        ignore_result = False
        autoretry_for = (KeyError,)

        def run(self, x, y=0):
            """Adds."""
            return self.name, x + y

    task = fleet.app.register_task(Add())
    handle = task.delay(1, y=2)
    fleet.drain()

    assert handle.get(timeout=0) == ("shop.add", 3)
    assert (task.app, fleet.app.tasks["shop.add"], task(4)) == (fleet.app, task, ("shop.add", 4))
    assert (task.queue, task.max_retries, task.options.queue, task.retrying.retry_for) == (
        "sums",
        7,
        "sums",
        (KeyError,),
    )
    assert fleet.app.queue_of("shop.add") == "sums"
    with pytest.raises(TypeError, match=r"shop\.add"):
        task.delay()


def test_a_class_without_a_name_is_named_after_itself_and_a_class_is_registered_as_its_instance(app):
    class Nameless(Task):
        def run(self):
            return 1

    task = app.register_task(Nameless)

    assert task.name == f"{__name__}.Nameless"
    assert isinstance(task, Nameless)
    assert run(app, task.name).value == "1"


def test_what_init_sets_counts_also_if_it_never_calls_the_base_s(app):
    class Own(Task):
        def __init__(self, name, retries):
            self.name = name
            self.max_retries = retries
            self.calls = 0

        def run(self):
            self.calls += 1
            return self.calls

    first, second = app.register_task(Own("first", 1)), app.register_task(Own("second", 2))

    assert [run(app, "first").value, run(app, "first").value, run(app, "second").value] == ["1", "2", "1"]
    assert (first.retrying.max_retries, second.retrying.max_retries) == (1, 2)


def test_a_class_that_is_no_task_and_a_wrong_attribute_are_refused_when_they_are_registered(app):
    class Slow(Task):
        name = "slow"
        time_limit = 5
        soft_time_limit = 10

        def run(self):
            pass

    with pytest.raises(ImproperlyConfigured, match=r"task slow: .*soft_time_limit"):
        app.register_task(Slow())
    with pytest.raises(TypeError, match="a task is an instance of a subclass of Task, found 5"):
        app.register_task(5)
    assert "slow" not in app.tasks


def test_a_base_without_run_is_no_task_of_its_own(app):
    class Base(Task):
        pass

    class Called(Task):
        name = "called"

        def __call__(self, x):
            return x

    app.register_task(Called())

    with pytest.raises(TypeError, match=r"Base has no run\(\): define it, or use the class as a base"):
        app.register_task(Base())
    assert run(app, "called", 5) == Success(value="5")


def test_a_function_takes_options_state_and_methods_of_its_base(app):
    class Base(Task):
        queue = "slow"
        retry_backoff = 3
        colour = "red"

        def __init__(self):
            self.connections = 0

        @property
        def connection(self):
            self.connections += 1
            return "open"

    @app.task(base=Base, bind=True, name="f", max_retries=1, colour="blue")
    def f(self, x):
        return [self.connection, self.colour, x]

    plain = app.task(base=Base, name="plain", queue="fast")(lambda: 1)

    assert isinstance(f, Base)
    assert f.run(1) == f(1) == ["open", "blue", 1]
    assert (f.connections, f.queue, f.retrying.backoff_seconds, f.max_retries) == (2, "slow", 3.0, 1)
    assert (plain.options.queue, plain.colour, Base.queue) == ("fast", "red", "slow")
    with pytest.raises(TypeError, match="there is no option 'color'"):
        app.task(base=Base, name="wrong", color="green")(lambda: 1)
    with pytest.raises(TypeError, match="task wrong: base must be a subclass of Task, found <class 'int'>"):
        app.task(base=int, name="wrong")(lambda: 1)


def test_a_call_of_the_class_s_own_is_what_a_worker_calls(app):
    class Wrapping(Task):
        def __call__(self, *args, **kwargs):
            return ["around", super().__call__(*args, **kwargs)]

    @app.task(base=Wrapping, name="wrapped")
    def wrapped(x):
        return x

    assert run(app, "wrapped", 5).value == '["around",5]'
    assert (wrapped(1), wrapped.run(1)) == (["around", 1], 1)


def test_an_app_s_tasks_are_of_its_own_class():
    class Ours(Task):
        max_retries = 9

    app = App("proj", broker="memory://", set_as_current=False, task_cls=Ours)
    other = App("other", broker="memory://", set_as_current=False, task_cls=f"{__name__}:Telling")

    class Late(app.Task):
        def run(self):
            return self.app.name

    plain = app.task(name="plain")(lambda: 1)

    assert isinstance(plain, Ours)
    assert (plain.max_retries, Late().app, Late()()) == (9, app, "proj")
    assert isinstance(other.task(name="told")(lambda: 1), Telling)
    with pytest.raises(TypeError, match="task_cls must be a subclass of Task, or its name, found 5"):
        App("x", set_as_current=False, task_cls=5).Task  # noqa: B018 - it is made when it is first asked for


def test_a_shared_task_works_before_there_is_an_app_and_runs_in_any(monkeypatch):
    monkeypatch.setattr(tasks, "_shared", {})

    @shared_task(base=Telling, name="shared.told", max_retries=4)
    def told(x):
        return x

    app = App("late", broker="memory://", set_as_current=False)

    assert (told(3), told.max_retries, told.name) == (3, 4, "shared.told")
    assert run(app, "shared.told", 3) == Success(value="3")
    assert [what for what, *_ in told.told] == ["before_start", "on_success", "after_return"]
    assert told.s(1).task == "shared.told"


# --- attributes ----------------------------------------------------------------------------------------------------------------


def test_an_attribute_that_is_set_later_counts_from_then_on(app):
    task = app.task(name="t")(lambda: None)
    before = task.options

    task.max_retries, task.acks_late = 5, False
    task.default_retry_delay = timedelta(minutes=1)

    assert (before.max_retries, task.options.max_retries, task.options.acks_late) == (3, 5, False)
    assert task.retrying.delay_seconds == 60.0


def test_what_a_task_leaves_open_reads_as_the_setting_and_is_not_the_task_s_own(app):
    task = app.task(name="t")(lambda: None)
    app.conf.task_ignore_result, app.conf.task_time_limit = True, 30

    read = task.acks_late, task.ignore_result, task.time_limit, task.serializer, task.track_started

    assert read == (True, True, 30, "json", True)
    assert (task.options.acks_late, task.options.ignore_result, task.options.time_limit) == (None, None, None)
    assert (task.rate_limit, task.expires, task.reject_on_worker_lost) == (None, None, True)
    assert task.__wrapped__ is task.run


# --- hooks ---------------------------------------------------------------------------------------------------------------------


def told_of(app, function, *args, **options):
    task = app.task(base=Telling, name="told", **options)(function)
    return run(app, "told", *args), task.told


def test_a_success_is_told_with_what_it_returned(app):
    outcome, told = told_of(app, lambda x: x + 1, 1)

    assert outcome == Success(value="2")
    assert told == [
        ("before_start", "t1", [1], {}),
        ("on_success", 2, "t1", [1], {}),
        ("after_return", "SUCCESS", "2", "t1", True),
    ]


def test_a_failure_is_told_with_its_exception_and_traceback(app):
    outcome, told = told_of(app, lambda x: 1 // x, 0)

    assert isinstance(outcome, Failure)
    (_, *_), (name, exc, id_, args, kwargs, text), after = told
    assert (name, exc[:17], id_, args, kwargs) == ("on_failure", "ZeroDivisionError", "t1", [0], {})
    assert text.endswith("by zero") or "zero" in text
    assert (after[0], after[1], after[3:]) == ("after_return", "FAILURE", ("t1", False))


def test_what_cannot_be_written_down_is_a_failure_and_no_success(app):
    outcome, told = told_of(app, object)

    assert isinstance(outcome, Failure)
    assert [what for what, *_ in told] == ["before_start", "on_failure", "after_return"]


def test_another_run_is_told_with_its_reason_whoever_asked_for_it(app):
    def asks(self):
        raise self.retry(exc=KeyError("k"), countdown=1)

    def breaks():
        raise KeyError("k")

    def later(self):
        self.retry(throw=False)

    for function, options in ((asks, {"bind": True}), (breaks, {"autoretry_for": (KeyError,)})):
        outcome, told = told_of(app, function, **options)
        assert isinstance(outcome, RetryOutcome)
        assert told[1] == ("on_retry", "KeyError('k')", "t1", [], {}, Retry)
        assert told[2] == ("after_return", "RETRY", "KeyError('k')", "t1", False)
    outcome, told = told_of(app, later, bind=True)
    assert told[1] == ("on_retry", "None", "t1", [], {}, Retry)


@pytest.mark.parametrize("exc", [Ignore(), Reject("no")])
def test_what_is_ignored_or_rejected_is_not_told(app, exc):
    def leave():
        raise exc

    _, told = told_of(app, leave)

    assert [what for what, *_ in told] == ["before_start"]


def test_what_before_start_raises_is_as_if_the_function_raised_it(app):
    class Refusing(Telling):
        def before_start(self, task_id, args, kwargs):
            raise {"fail": KeyError("k"), "ignore": Ignore()}[args[0]]

    task = app.task(base=Refusing, name="t")(lambda how: pytest.fail("it was called"))

    assert run(app, "t", "fail").error.type == "KeyError"
    assert run(app, "t", "ignore") == Ignored()
    assert [what for what, *_ in task.told] == ["on_failure", "after_return"]


@pytest.mark.parametrize("hook", ["on_success", "on_failure", "on_retry", "after_return"])
def test_what_a_hook_raises_is_logged_and_changes_nothing(app, caplog, hook):
    def breaks(self, *_):
        raise RuntimeError("hook broke")

    base = type("Breaking", (Task,), {hook: breaks})

    @app.task(base=base, name="t", bind=True)
    def t(self, how):
        if how == "retry":
            raise self.retry()
        return {"ok": 1}[how]

    with caplog.at_level(logging.ERROR):
        outcomes = [type(run(app, "t", how)) for how in ("ok", "fail", "retry")]

    assert outcomes == [Success, Failure, RetryOutcome]
    records = [record for record in caplog.records if record.action == "hook_failed"]
    assert {record.message for record in records} == {"Task t[t1]: its hook breaks raised"}
    assert len(records) == (3 if hook == "after_return" else 1)
