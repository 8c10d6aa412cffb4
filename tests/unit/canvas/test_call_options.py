"""What calls without options of their own are sent with is kept, until something is set anew on which it depends."""

from __future__ import annotations

import pytest
from backbeat.canvas import App
from backbeat.canvas.call_options import CallOptions
from backbeat.canvas.json_text import EMPTY_LIST, EMPTY_MAP
from backbeat.canvas.node import Call

CALL = Call(task="work", args=EMPTY_LIST, kwargs=EMPTY_MAP)


@pytest.fixture
def app():
    app = App("calls", broker="memory://", set_as_current=False)
    app.task(name="work")(lambda: None)
    return app


@pytest.fixture
def options(app):
    """What a call of the task is sent with now."""
    calls = CallOptions(app.conf, app.tasks, lambda _foreign: ())
    return lambda: calls.of(CALL)


def test_it_is_found_once(options):
    assert options() is options()


def test_a_setting_that_is_given_later_counts(app, options):
    assert "priority" not in options()
    app.conf.task_default_priority = 3
    assert options()["priority"] == 3


def test_an_attribute_of_the_task_that_is_set_later_counts(app, options):
    assert options()["queue"] == "celery"
    app.tasks["work"].queue = "slow"
    assert options()["queue"] == "slow"


def test_a_route_that_is_changed_in_place_counts(app, options):
    app.conf.task_routes = {"work": {"queue": "first"}}
    assert options()["queue"] == "first"
    app.conf.task_routes["work"]["queue"] = "second"
    assert options()["queue"] == "second"


@pytest.mark.parametrize(
    ("queues", "change"),
    [(["fast"], lambda queues: queues.append("slow")), ({"fast": {}}, lambda queues: queues.update(slow={}))],
    ids=["list", "map"],
)
def test_queues_that_are_changed_in_place_count(app, queues, change):
    calls = CallOptions(app.conf, app.tasks, lambda _foreign: ())
    app.conf.task_queues = queues
    before = calls.table

    assert calls.table is before
    change(app.conf.task_queues)
    assert calls.table is not before


def test_a_route_by_a_function_is_asked_each_time(app, options):
    queues = iter(["first", "second"])
    app.conf.task_routes = lambda *_args, **_kwargs: next(queues)
    assert [options()["queue"], options()["queue"]] == ["first", "second"]


def test_what_only_the_broker_knows_is_asked_each_time(app):
    app.tasks["work"].exchange, app.tasks["work"].routing_key = "elsewhere", "key"
    bound = iter([["first"], ["second"]])
    calls = CallOptions(app.conf, app.tasks, lambda _foreign: next(bound))
    assert [calls.of(CALL)["queue"], calls.of(CALL)["queue"]] == ["first", "second"]


def test_settings_that_were_lent_are_given_back(app, options):
    with app.conf.lent({"task_default_queue": "lent"}):
        assert options()["queue"] == "lent"
    assert options()["queue"] == "celery"
