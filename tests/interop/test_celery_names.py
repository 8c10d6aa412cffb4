"""Names that Celery projects write, as the real Celery 5.7 has them: of requests, tasks, states, exceptions and signals."""

from __future__ import annotations

import pytest
from backbeat.canvas import App, Task, exceptions, signals, states
from backbeat.canvas.request import Request
from backbeat.canvas.task_options import OPTION_NAMES

from support.celery_env import only_newest, run_celery

pytestmark = only_newest

SCRIPT = """
import json
from celery import Celery, exceptions, signals, states
from celery.app.task import Context, Task
from celery.app.registry import TaskRegistry

app = Celery("proj", broker="memory://")
message = {"lang": "py", "task": "t", "id": "i", "group": None, "retries": 0, "timelimit": [30, 20], "argsrepr": "()",
           "kwargsrepr": "{}", "stamps": {}, "mine": 5, "properties": {}, "delivery_info": {}, "hostname": "h"}
context = Context(message, args=[1], called_directly=False, kwargs={})
public = lambda thing: sorted(name for name in dir(thing) if not name.startswith("_"))
print(json.dumps({
    "request": public(context),
    "options": sorted(context.as_execution_options()),
    "limits": [context.timelimit, context.time_limit, context.soft_time_limit],
    "header": [context.mine, context.get("mine"), context.get("nobody"), context.headers],
    "task": public(Task),
    "app": public(app),
    "registry": public(TaskRegistry),
    "exceptions": list(exceptions.__all__),
    "signals": list(signals.__all__),
    "states": list(states.__all__),
    "order": sorted(states.ALL_STATES | {"PROGRESS"}, key=states.precedence),
}))
"""

NOT_OURS = {
    "request": {
        "lang": "the header of a message; every message of ours is Python's",
        "mine": "a header, see below",
        "clear": "a request is a run's own, and does not change",
        "update": "likewise",
    },
    "task": {
        "Request": "see OPTION_NAMES",
        "Strategy": "see OPTION_NAMES",
        "abstract": "see OPTION_NAMES",
        "acks_on_failure": "see OPTION_NAMES",
        "acks_on_timeout": "see OPTION_NAMES",
        "retry_on_worker_lost": "see OPTION_NAMES",
        "OperationalError": "exceptions.OperationalError",
        "add_around": "patches a class of tasks",
        "annotate": "task_annotations is not obeyed",
        "annotation": "likewise",
        "apply": "eager runs",
        "bind": "app.register_task binds",
        "chunks": "canvas",
        "from_config": "how Celery finds defaults in settings",
        "pop_request": "requests are kept for each thread and coroutine",
        "push_request": "likewise",
        "request_stack": "likewise",
        "send_event": "workers send no events",
        "shadow_name": "the option shadow",
        "signature_from_request": "self.retry, self.replace",
        "start_strategy": "see Strategy",
        "subtask_from_request": "self.retry, self.replace",
        "add_to_chord": "canvas",
        "map": "canvas",
        "starmap": "canvas",
        "on_replace": "canvas",
    },
}
"""What Celery has and this layer has not, and what stands for it, or whose it is."""


@pytest.fixture(scope="module")
def celerys():
    return run_celery(SCRIPT)


def test_a_request_has_celery_s_names(celerys):
    request = Request(headers={"mine": 5}, timelimit=[30, 20])

    assert set(celerys["request"]) - set(NOT_OURS["request"]) <= set(dir(request))
    assert celerys["options"] == sorted(request.as_execution_options())
    assert celerys["limits"] == [request.timelimit, request.time_limit, request.soft_time_limit]
    assert celerys["header"] == [request.mine, request.get("mine"), request.get("nobody"), request.headers]


def test_a_task_has_celery_s_names_or_it_is_said_what_stands_for_them(celerys):
    task = App("proj", broker="memory://", set_as_current=False).task(name="t")(lambda: None)

    missing = {name for name in celerys["task"] if not (name in dir(task) or hasattr(Task, name))}

    assert missing <= set(NOT_OURS["task"])
    assert {name for name, text in NOT_OURS["task"].items() if text == "see OPTION_NAMES"} <= OPTION_NAMES


def test_exceptions_signals_and_states_have_celery_s_names(celerys):
    assert set(celerys["exceptions"]) <= set(exceptions.__all__)
    assert set(celerys["signals"]) <= set(signals.__all__)
    assert all(hasattr(states, name) for name in celerys["states"])
    assert sorted(celerys["order"], key=states.precedence) == celerys["order"]
