"""Routes: which options a task is sent with, by its name or by what a router says of the call."""

from __future__ import annotations

import re

import pytest
from backbeat.canvas import App, chain, group
from backbeat.canvas.errors import ImproperlyConfigured
from backbeat.canvas.route import asks, route_of


class ByTenant:
    """A router as Celery knows it: an object."""

    def route_for_task(self, task, args=None, kwargs=None):
        return {"queue": f"tenant-{kwargs['tenant']}"} if kwargs and "tenant" in kwargs else None


def by_size(name, args, kwargs, options, task=None, **kw):
    """A router as Celery knows it: a function."""
    return {"queue": "large", "priority": 2} if args and args[0] > 100 else None


def named_router(name, args, kwargs, options, task=None, **kw):
    return f"of-{name}"


no_router = 5


def prepared(routes, name="feeds.read", args=(), kwargs=None, **options):
    app = App("proj", set_as_current=False, task_routes=routes)
    return app.prepare(app.signature(name), args, kwargs, options).options


@pytest.mark.parametrize(
    ("routes", "name", "queue"),
    [
        ({"feeds.read": "a", "feeds.*": "b"}, "feeds.read", "a"),
        ({"feeds.*": "b", "feeds.read": "a"}, "feeds.read", "a"),
        ({"feeds.*": "b", "*": "c"}, "feeds.write", "b"),
        ({"feeds.*": "b"}, "other", "celery"),
        ({"feeds.*": {"queue": "b"}}, "feeds.read", "b"),
        ({"feeds.?": "b"}, "feeds.x", "b"),
        ({re.compile(r"(video|image)\..*"): "media"}, "image.crop", "media"),
        ({re.compile(r"(video|image)\..*"): "media"}, "text.crop", "celery"),
        ([("feeds.*", "b"), ("*", "c")], "feeds.read", "b"),
        ([[("feeds.*", "b"), ("*", "c")]], "other", "c"),
        (([("feeds.*", "b")], {"other": "d"}), "other", "d"),
        ([{"feeds.*": "b"}, {"feeds.read": "d"}], "feeds.read", "b"),
        (named_router, "x", "of-x"),
        ([{"feeds.*": "b"}, named_router], "x", "of-x"),
        (f"{__name__}.named_router", "x", "of-x"),
        (f"{__name__}:named_router", "x", "of-x"),
        ([f"{__name__}.ByTenant", {"*": "rest"}], "x", "rest"),
        (None, "x", "celery"),
        ({}, "x", "celery"),
        ([], "x", "celery"),
    ],
)
def test_the_first_route_that_matches_says_the_queue_and_a_name_comes_before_patterns(routes, name, queue):
    assert prepared(routes, name)["queue"] == queue


@pytest.mark.parametrize("router", [ByTenant(), ByTenant, f"{__name__}.ByTenant"])
def test_a_router_that_is_an_object_sees_the_arguments(router):
    assert prepared(router, kwargs={"tenant": 7})["queue"] == "tenant-7"
    assert prepared(router)["queue"] == "celery"


def test_a_router_that_is_a_function_sees_each_call_of_a_canvas():
    app = App("proj", set_as_current=False, task_routes=by_size)
    node = app.prepare(group(app.signature("t", (size,)) for size in (1, 101, 2, 102)))

    assert [member.options["queue"] for member in node.members] == ["celery", "large", "celery", "large"]
    assert [member.options.get("priority") for member in node.members] == [None, 2, None, 2]


def test_a_router_is_told_the_task_and_the_options_of_the_call():
    told = []

    def route(name, args, kwargs, options, task=None, **kw):
        told.append((name, args, kwargs, options.get("priority"), getattr(task, "name", None)))

    app = App("proj", set_as_current=False, task_routes=route)
    add = app.task(name="add")(lambda x, y: x + y)
    app.prepare(add.s(1, y=2).set(priority=4))

    assert told == [("add", [1], {"y": 2}, 4, "add")]


def test_what_the_task_or_the_caller_says_comes_before_the_route():
    app = App(
        "proj", set_as_current=False, task_routes={"*": {"queue": "routed", "priority": 3, "expires": 5}}
    )
    slow = app.task(name="slow", queue="slow")(lambda: None)

    assert app.prepare(slow.s()).options["queue"] == "slow"
    assert app.prepare(slow.s()).options["priority"] == 3
    assert (
        app.prepare(app.signature("t"), options={"queue": "mine", "priority": 1}).options["queue"] == "mine"
    )
    assert app.prepare(app.signature("t"), options={"priority": 1}).options["priority"] == 1
    assert app.prepare(app.signature("t")).options["expires"] == 5


def test_callbacks_and_later_steps_are_routed_by_their_own_names():
    app = App("proj", set_as_current=False, task_routes={"a": "qa", "b": "qb", "c": "qc"})
    node = app.prepare(chain(app.signature("a"), app.signature("b")), options={"link": app.signature("c")})

    assert [step.options["queue"] for step in node.steps] == ["qa", "qb"]
    assert [link.options["queue"] for link in node.steps[-1].link] == ["qc"]


def test_routes_that_are_changed_in_place_are_seen():
    app = App("proj", set_as_current=False, task_routes={"a": "qa"})
    app.conf.task_routes["b"] = "qb"

    assert app.prepare(app.signature("b")).options["queue"] == "qb"


@pytest.mark.parametrize(
    ("routes", "text"),
    [
        ("no_such_module.route", "module no_such_module cannot be imported"),
        (f"{__name__}.missing", "has no 'missing'"),
        (f"{__name__}.no_router", f"task_routes: {__name__}.no_router is no router"),
        (lambda *_, **__: 5, "gives for task t must be a printable text"),
        (
            lambda *_, **__: {"queu": "q"},
            "gives for task t: apply_async() has no option 'queu'; did you mean",
        ),
        (lambda *_, **__: {"priority": "high"}, "gives for task t: priority must be a whole number"),
    ],
)
def test_a_router_that_cannot_be_asked_or_says_what_cannot_be_is_an_error_of_the_call(routes, text):
    with pytest.raises(ImproperlyConfigured) as error:
        prepared(routes, "t")

    assert text in str(error.value)


def test_only_routers_that_are_asked_may_depend_on_more_than_the_name():
    assert not asks({"a": "q"})
    assert not asks([("a", "q")])
    assert asks([{"a": "q"}, by_size])


def test_no_route_is_no_option():
    assert route_of({"a": "q"}, "b") == {}
    assert route_of(by_size, "b", [1]) == {}
