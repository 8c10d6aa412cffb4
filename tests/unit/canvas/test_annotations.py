"""task_annotations: what is said of tasks without touching their code."""

from __future__ import annotations

import pytest
from backbeat.canvas import App, shared_task
from backbeat.canvas.errors import ImproperlyConfigured


def app_with(annotations):
    return App("a", broker="memory://", set_as_current=False, task_annotations=annotations)


def add(x, y):
    return x + y


def test_a_task_has_what_is_said_of_it_and_the_others_do_not():
    app = app_with({"shop.add": {"time_limit": 9, "max_retries": 7}})
    one, two = app.task(name="shop.add")(add), app.task(name="shop.other")(add)

    assert (one.time_limit, one.options.time_limit, one.max_retries) == (9, 9, 7)
    assert (two.time_limit, two.max_retries) == (None, 3)


def test_what_is_said_of_a_task_by_its_name_comes_after_what_is_said_of_all():
    app = app_with({"*": {"time_limit": 9, "priority": 3}, "shop.add": {"time_limit": 5}})
    task = app.task(name="shop.add", time_limit=100)(add)

    assert (task.time_limit, task.priority) == (5, 3)


def test_a_function_takes_the_place_of_a_method_and_gets_the_task():
    heard = []

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        heard.append((self.name, type(exc).__name__))

    app = app_with({"*": {"on_failure": on_failure}})

    @app.task(name="shop.fails")
    def fails():
        raise ValueError

    fails.apply()

    assert heard == [("shop.fails", "ValueError")]


def test_an_attribute_can_be_wrapped():
    app = app_with({"shop.add": {"@run": lambda run: lambda x, y: -run(x, y)}})
    task = app.task(name="shop.add")(add)
    app.import_modules()

    assert task(1, 2) == -3  # wrapped once


class Annotate:
    def annotate(self, task):
        return {"time_limit": 5} if task.name.startswith("shop.") else None

    def annotate_any(self):
        return {"priority": 3}


def test_an_object_may_say_it():
    app = app_with([Annotate(), {"mail.send": {"priority": 9}}])
    shop, mail = app.task(name="shop.add")(add), app.task(name="mail.send")(add)

    assert (shop.time_limit, shop.priority) == (5, 3)
    assert (mail.time_limit, mail.priority) == (None, 9)


def test_tasks_that_were_there_before_have_it_when_the_app_imports_its_modules():
    app = App("a", broker="memory://", set_as_current=False)
    task = app.task(name="shop.add")(add)
    app.conf.task_annotations = {"shop.add": {"time_limit": 9}}

    app.import_modules()

    assert task.options.time_limit == 9


def test_a_shared_task_has_it_too():
    task = shared_task(name="annotated.shared")(add)
    app = app_with({"annotated.shared": {"resultrepr_maxsize": 9}})

    app.import_modules()

    assert app.tasks["annotated.shared"].resultrepr_maxsize == task.resultrepr_maxsize == 9


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"shop.add": 5}, r"task_annotations\['shop.add'\] must be a map of attributes"),
        (5, "task_annotations must be a map such as"),
        ([5], "task_annotations must be a map such as"),
    ],
)
def test_what_says_nothing_of_tasks_is_refused_where_it_is_set(value, text):
    with pytest.raises(ImproperlyConfigured, match=text):
        app_with(value)


def test_an_option_that_cannot_be_meant_is_refused_with_the_task():
    app = app_with({"shop.add": {"time_limit": -1}})

    with pytest.raises(ImproperlyConfigured, match=r"task shop\.add: .*time_limit"):
        app.task(name="shop.add")(add)
