"""The tasks that every worker serves itself: called with nonsense, forwarded by Celery workers, and a canvas as one message."""

from __future__ import annotations

import base64
import json

import pytest
from backbeat.canvas import flow, own_tasks
from backbeat.canvas.continuation import Member, ref_of
from backbeat.canvas.effect import Publish
from backbeat.canvas.errors import ChordError, Reject, TaskRevokedError
from backbeat.canvas.message import CONTROL_QUEUE, Message
from backbeat.canvas.node import Call, Chain, Group, calls, freeze, root_of
from backbeat.canvas.node_data import node_to_data
from backbeat.canvas.sending import send

from support.foreign import put


def result(fleet, id_):
    return fleet.app.AsyncResult(id_)


@pytest.mark.parametrize(
    ("task", "args"),
    [
        (own_tasks.JOIN_TASK, []),
        (own_tasks.JOIN_TASK, [5]),
        (own_tasks.JOIN_TASK, [["j"]]),
        (own_tasks.START_TASK, []),
        (own_tasks.START_TASK, [5]),
        (own_tasks.START_TASK, ["text"]),
        (own_tasks.START_TASK, [None]),
        (own_tasks.START_TASK, [{}]),
        (own_tasks.START_TASK, [{"task": "one", "options": {"countdown": "soon"}}]),
        (own_tasks.START_TASK, [{"task": "one", "options": {"headers": [1]}}]),
        (own_tasks.START_TASK, [{"task": "c", "subtask_type": "chain", "kwargs": {"tasks": []}}]),
        (own_tasks.START_TASK, [{"task": "c", "subtask_type": "chain", "kwargs": []}]),
        (own_tasks.NEXT_TASK, [1]),
        (own_tasks.NEXT_TASK, [1, 5]),
        (own_tasks.NEXT_TASK, [1, "step:x"]),
        (own_tasks.NEXT_TASK, [1, "step:x:y"]),
        (own_tasks.FAILED_TASK, [1, 2, 3]),
        (own_tasks.FAILED_TASK, [["x"], "member:j:1"]),
        (own_tasks.FAILED_TASK, ["x", None]),
    ],
)
def test_our_own_tasks_called_with_nonsense_fail_and_are_kept(fleet, task, args):
    put(fleet, CONTROL_QUEUE, task=task, args=args)

    fleet.drain()

    with pytest.raises(Reject, match="arguments that it cannot have"):
        result(fleet, "t1").get(timeout=0)
    assert len(fleet.store.state.dead) == 1
    assert not fleet.store.state.mail.held


@pytest.mark.parametrize("position", ["step:gone:1", "member:gone:1"])
def test_a_continuation_that_is_gone_does_no_harm(fleet, position):
    put(fleet, CONTROL_QUEUE, task=own_tasks.NEXT_TASK, args=[1, position])

    fleet.drain()

    assert result(fleet, "t1").ready()


def test_the_message_of_a_join_that_is_gone_or_not_complete_does_nothing(fleet):
    send(fleet.open("client"), [Publish(own_tasks.join_message("gone"))])

    assert fleet.drain() == 1
    assert not fleet.store.state.dead


# --- what a Celery worker forwards ---------------------------------------------------------------------------------------------


def open_chord(fleet):
    """A chord of two whose first member is taken by a Celery worker; returns it frozen."""
    node = freeze(
        Chain(
            steps=(
                Group(members=(Call(task="elsewhere", options={"queue": "theirs"}), Call(task="one"))),
                Call(task="count", id="body", link_error=(Call(task="note"),)),
                Call(task="double"),
            )
        ),
        "last",
    )
    send(fleet.open("client"), flow.start(node, root_of(node)))
    fleet.drain("celery", "backbeat")
    assert not result(fleet, "last").ready()
    return node


def their_message(fleet):
    """What the Celery worker took, as it sees it."""
    (taken,) = fleet.open("theirs", "theirs").exchange([], take=9).taken
    text = taken.delivery.raw
    envelope = json.loads(text)
    return envelope["headers"], json.loads(base64.b64decode(envelope["body"]))[2]


def forward(fleet, signature, *front):
    """Send an embedded signature as a Celery worker does: with `front` before its arguments."""
    put(
        fleet,
        signature["options"]["queue"],
        id=signature["options"]["task_id"],
        task=signature["task"],
        args=[*front, *signature["args"]],
    )


def test_a_value_that_a_celery_worker_forwards_goes_on_where_it_belongs(fleet):
    node = open_chord(fleet)
    _, embed = their_message(fleet)
    (following,) = embed["chain"]
    assert following["task"] == own_tasks.NEXT_TASK
    assert following["args"] == [ref_of(Member(node.steps[0].id, 0))]

    for _ in range(2):  # it may come twice
        forward(fleet, following, {"their": "value"})
    fleet.drain()

    assert result(fleet, "body").get(timeout=0) == 2
    assert result(fleet, "last").get(timeout=0) == 4
    assert fleet.executed.count("count") == 1


@pytest.mark.parametrize("known", [True, False], ids=["stored", "unknown"])
def test_a_failure_that_a_celery_worker_forwards_settles_what_depends_on_it(fleet, known):
    open_chord(fleet)
    headers, embed = their_message(fleet)
    (errback,) = embed["errbacks"]
    assert errback["task"] == own_tasks.FAILED_TASK
    if known:  # their worker stored its result where we look for it
        fleet.store.state.documents[headers["id"]] = json.dumps(
            {
                "status": "FAILURE",
                "result": {"exc_type": "KeyError", "exc_module": "builtins", "exc_message": ["k"]},
                "traceback": "theirs",
                "task_id": headers["id"],
                "date_done": "2026-01-01T00:00:00+00:00",
            }
        )

    forward(fleet, errback, headers["id"])
    fleet.drain()

    with pytest.raises(ChordError) as caught:
        result(fleet, "last").get(timeout=0)
    assert ("KeyError('k')" if known else f"task {headers['id']} failed in a Celery worker") in str(
        caught.value
    )
    assert result(fleet, "body").state == "FAILURE"
    assert fleet.noted == ["body"]


def test_a_step_of_a_chain_is_forwarded_too(fleet):
    node = freeze(
        Chain(
            steps=(
                Call(task="elsewhere", options={"queue": "theirs"}),
                Call(task="double", link=(Call(task="note"),)),
            )
        ),
        "last",
    )
    send(fleet.open("client"), flow.start(node, root_of(node)))
    _, embed = their_message(fleet)

    forward(fleet, embed["chain"][0], 21)
    fleet.drain()

    assert result(fleet, "last").get(timeout=0) == 42
    assert fleet.noted == [42]


# --- a canvas as one message ---------------------------------------------------------------------------------------------------


def start_message(node, **known):
    args = json.dumps([node_to_data(node, json.loads)])
    return Message(id="start", task=own_tasks.START_TASK, args=args, queue=CONTROL_QUEUE, **known)


def test_a_canvas_that_travelled_as_one_message_is_started_once(fleet):
    node = Chain(steps=(Group(members=(Call(task="one"), Call(task="one"))), Call(task="count")))
    start = start_message(node)

    send(fleet.open("client"), [Publish(start), Publish(start)])
    fleet.drain()

    handle = result(fleet, "start")
    assert handle.get(timeout=0) == own_tasks.started_id("start")
    assert result(fleet, own_tasks.started_id("start")).get(timeout=0) == 2
    assert fleet.executed == ["one", "one", "count"]


def test_a_group_that_travelled_as_one_message_tells_its_members(fleet):
    send(fleet.open("client"), [Publish(start_message(Group(members=(Call(task="one"),) * 2)))])
    fleet.drain()

    members = result(fleet, "start").get(timeout=0)
    assert [result(fleet, member).get(timeout=0) for member in members] == [1, 1]


def test_the_headers_of_the_firing_reach_what_starts_first(fleet):
    headers = fleet.app.task(name="headers", bind=True)(lambda self, *_args: dict(self.request.headers))
    del headers
    own = {"headers": {"mine": 1}}
    node = Chain(steps=(Group(members=(Call(task="headers", options=own),)), Call(task="headers", id="body")))

    send(fleet.open("client"), [Publish(start_message(node, headers={"periodic_task_name": "nightly"}))])
    fleet.drain()

    group_id = freeze(node, own_tasks.started_id("start")).steps[0].id
    member = fleet.app.GroupResult(group_id, 1)
    assert member.get(timeout=0) == [{"periodic_task_name": "nightly", "mine": 1}]
    assert result(fleet, "body").get(timeout=0) == {}


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_a_canvas_that_travelled_as_one_message_and_never_started_settles_too(fleet, how):
    errback = Call(task="note", id="errback")
    header = Group(members=(Call(task="one"), Call(task="one")))
    node = Chain(steps=(header, Call(task="count", link_error=(errback,)), Call(task="one")))
    frozen = freeze(node, own_tasks.started_id("start"))
    client = fleet.open("client")
    if how == "revoked":
        client.revoke(["start"])
    send(client, [Publish(start_message(node, expires_us=1 if how == "expired" else None))])
    fleet.drain()

    assert result(fleet, "start").state == "REVOKED"
    for call in calls(frozen):
        with pytest.raises(TaskRevokedError):
            result(fleet, call.id).get(timeout=0)
    assert fleet.executed == ["note"]
    assert fleet.noted == [frozen.steps[1].id]
