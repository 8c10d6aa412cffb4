"""What a task can read of its own run: the fields, the headers as attributes, and what another call would need to be like it."""

from __future__ import annotations

import pytest
from backbeat.canvas.errors import ImproperlyConfigured
from backbeat.canvas.request import Context, Request

from support.eager import Fleet

CELERYS = set(
    "args callbacks called_directly chain chord correlation_id delivery_info errbacks eta expires group group_index headers hostname id "
    "ignore_result is_eager kwargs logfile loglevel origin parent_id properties retries reply_to replaced_task_nesting root_id shadow "
    "taskset timelimit time_limit soft_time_limit utc stamped_headers stamps children task argsrepr kwargsrepr".split()
)
"""What a request of Celery 5.7 has in a worker: the attributes of its Context, and the headers task, argsrepr and kwargsrepr."""


@pytest.fixture
def fleet():
    return Fleet()


def seen(fleet, look, *links, **options):
    """What `look(request)` gives inside a task that is sent with these options."""
    found = []

    @fleet.app.task(bind=True, name="seen")
    def task(self, *args, **kwargs):
        found.append(look(self.request))

    task.apply_async((1,), {"k": "v"}, **options)
    fleet.drain("celery")
    return found[0]


def test_a_request_has_all_that_celery_s_has(fleet):
    known = seen(fleet, lambda request: {name: getattr(request, name) for name in CELERYS}, shadow="other")

    assert (known["task"], known["args"], known["kwargs"], known["shadow"]) == (
        "seen",
        [1],
        {"k": "v"},
        "other",
    )
    assert (known["argsrepr"], known["kwargsrepr"]) == ("[1]", '{"k":"v"}')
    assert (known["is_eager"], known["called_directly"], known["utc"]) == (False, False, True)
    assert known["properties"]["correlation_id"] == known["id"] == known["correlation_id"]
    assert set(known["delivery_info"]) == {"exchange", "routing_key", "priority", "redelivered"}
    for name in ("chord", "chain", "callbacks", "errbacks", "logfile", "loglevel", "stamped_headers"):
        assert known[name] is None, name
    assert (known["stamps"], known["children"]) == ({}, [])
    assert set(dir(Request)) >= CELERYS
    assert Context is Request


def test_headers_are_attributes_too_but_never_in_place_of_a_field(fleet):
    headers = {"tenant": "acme", "hostname": "forged"}

    def look(request):
        return (
            request.tenant,
            request.get("tenant"),
            request.hostname,
            request.get("nobody"),
            request.get("retries", 5),
        )

    assert seen(fleet, look, headers=headers) == ("acme", "acme", "celery@test", None, 0)
    with pytest.raises(AttributeError, match="the request has no 'nobody', and no header of that name"):
        Request().nobody  # noqa: B018 - it raises
    assert not hasattr(Request(headers={"_private": 1}), "_private")


def test_limits_are_read_together_and_one_by_one(fleet):
    look = seen(
        fleet,
        lambda request: (request.timelimit, request.time_limit, request.soft_time_limit),
        time_limit=30,
        soft_time_limit=20,
    )

    assert look == ([30, 20], 30, 20)


def test_callbacks_are_signatures_as_data(fleet):
    add = fleet.app.task(name="add")(lambda x: x)
    callbacks, errbacks = seen(fleet, lambda r: (r.callbacks, r.errbacks), link=add.s(1), link_error=add.s(2))

    assert [(each["task"], each["args"]) for each in callbacks] == [("add", [1])]
    assert [(each["task"], each["args"]) for each in errbacks] == [("add", [2])]


def test_children_are_handles_of_what_was_sent(fleet):
    other = fleet.app.task(name="other")(lambda: 5)

    @fleet.app.task(bind=True, name="parent")
    def parent(self):
        sent = other.delay()
        assert self.request.children == [sent]
        assert self.add_trail(other.AsyncResult("by hand")) == self.request.children[1]

    handle = parent.delay()
    fleet.drain()

    assert handle.successful()
    assert [child.id for child in handle.children][1:] == ["by hand"]
    assert handle.children[0].get(timeout=0) == 5


def test_a_task_without_a_trail_has_no_children(fleet):
    other = fleet.app.task(name="other")(lambda: 5)
    parent = fleet.app.task(name="parent", trail=False)(lambda: other.delay() and None)

    handle = parent.delay()
    fleet.drain()

    assert (handle.successful(), handle.children) == (True, [])


def test_execution_options_name_all_that_another_call_would_be_like(fleet):
    def look(request):
        assert request.execution_options == request.as_execution_options()
        return request.as_execution_options()

    options = seen(fleet, look, headers={"tenant": "acme"}, time_limit=30, task_id="i")

    # the names are those of Celery 5.7
    assert set(options) == set(
        "task_id root_id parent_id group_id group_index shadow chord chain link link_error expires soft_time_limit time_limit headers "
        "retries reply_to replaced_task_nesting origin".split()
    )
    assert (options["task_id"], options["root_id"], options["time_limit"]) == ("i", "i", 30)
    assert options["headers"] == {"tenant": "acme"}


def test_outside_of_a_task_the_request_is_empty_and_says_so(fleet):
    task = fleet.app.task(name="t")(lambda: 1)

    assert (task.request.called_directly, task.request.id, task.request.children) == (True, None, [])
    with pytest.raises(ImproperlyConfigured):
        task.replace(task.s())
