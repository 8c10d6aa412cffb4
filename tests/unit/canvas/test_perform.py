"""Between flow and a store: slices of a sender, verdicts, what Celery workers forward, and messages that are none."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest
from backbeat.canvas import flow
from backbeat.canvas.commit.taken import Taken
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.commit.verdict import Later, Poison, Run, Settled, Stale, Standing, WasRevoked
from backbeat.canvas.continuation import Member, Step, ref_of
from backbeat.canvas.delivery import Delivery
from backbeat.canvas.effect import AddPart, Publish
from backbeat.canvas.errors import ChordError, Reject, SendInterrupted, TaskRevokedError, Unavailable
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import CONTROL_QUEUE, Message
from backbeat.canvas.node import Call, Chain, Group, calls, freeze, node_to_data, root_of
from backbeat.canvas.outcome import Error, Failure, Revoked, Success
from backbeat.canvas.perform import RESULT_BYTES, Execute, Performer
from backbeat.canvas.sending import SENDER_LEASE_SECONDS, SLICE, send

from support.eager import Fleet

MEMBERS = 2 * SLICE + 100
"""So many that they go in three slices."""


class Died(Exception):
    """The sender is gone."""


class DyingCommit:
    """A Commit whose process dies after so many exchanges."""

    def __init__(self, inner, exchanges):
        self._inner, self._left = inner, exchanges

    def exchange(self, transitions, **known):
        if self._left == 0:
            raise Died
        self._left -= 1
        return self._inner.exchange(transitions, **known)


@pytest.fixture
def fleet():
    fleet = Fleet()
    fleet.app.task(name="one")(lambda *_args: 1)
    fleet.app.task(name="count")(lambda values: len(values))  # noqa: PLW0108 - its arguments are checked
    fleet.app.task(name="double")(lambda x: x * 2)
    fleet.noted = []
    fleet.app.task(name="note")(fleet.noted.append)
    return fleet


def big_chord(*, tail=()):
    errback = Call(task="note", id="errback")
    body = Call(task="count", id="body", link_error=(errback,))
    return freeze(Chain(steps=(Group(members=(Call(task="one"),) * MEMBERS), body, *tail)), "last")


def result(fleet, id_):
    return fleet.app.AsyncResult(id_)


# --- sending in slices ---------------------------------------------------------------------------------------------------------


def test_a_small_canvas_is_one_commit(fleet):
    effects = flow.start(freeze(Group(members=(Call(task="one"),) * 10), "g"), "g")

    send(DyingCommit(fleet.open("client"), 1), effects)

    assert fleet.drain() == 10


def test_a_large_canvas_goes_in_slices_and_its_join_is_sealed_at_the_end(fleet):
    node = big_chord()
    effects = flow.start(node, root_of(node))

    send(fleet.open("client"), effects)
    join = fleet.store.state.joins.load(node.steps[0].id)
    assert (len(join.parts), join.complete) == (0, False)
    fleet.drain(limit=5_000)

    assert result(fleet, "body").get(timeout=0) == MEMBERS
    assert fleet.executed.count("count") == 1


def test_parts_that_come_before_the_seal_do_not_complete_the_join(fleet):
    node = big_chord()
    effects = flow.start(node, root_of(node))

    with pytest.raises(Died):
        send(DyingCommit(fleet.open("client"), 3), effects)  # all members are sent, the seal is not
    fleet.drain(limit=5_000)
    assert fleet.executed.count("one") == MEMBERS
    assert not result(fleet, "body").ready()

    send(fleet.open("client"), effects)  # whoever repeats it finishes it
    fleet.drain(limit=5_000)
    assert result(fleet, "body").get(timeout=0) == MEMBERS
    assert fleet.executed.count("one") == MEMBERS


@pytest.mark.parametrize("exchanges", [1, 2, 3])
def test_k4_a_sender_that_dies_leaves_a_canvas_that_is_settled_after_its_lease(fleet, exchanges):
    node = big_chord(tail=(Call(task="one"),))
    with pytest.raises(Died):
        send(DyingCommit(fleet.open("client"), exchanges), flow.start(node, root_of(node)))

    fleet.drain(limit=5_000)
    fleet.clock.advance(SENDER_LEASE_SECONDS - 1)
    fleet.sweep()
    assert not result(fleet, "last").ready()
    fleet.clock.advance(2)
    fleet.sweep()
    fleet.drain(limit=5_000)

    for id_ in ("body", "last"):
        with pytest.raises(SendInterrupted, match="sending this canvas died"):
            result(fleet, id_).get(timeout=0)
    assert fleet.noted == ["body"]
    assert "count" not in fleet.executed
    fleet.sweep()
    fleet.drain()
    assert fleet.noted == ["body"]


def test_a_canvas_whose_sender_died_and_whose_chain_is_gone_is_given_up_once_and_kept(fleet):
    node = big_chord(tail=(Call(task="one"),))
    with pytest.raises(Died):
        send(DyingCommit(fleet.open("client"), 2), flow.start(node, root_of(node)))
    fleet.store.state.chains.clear()
    fleet.clock.advance(SENDER_LEASE_SECONDS + 1)

    for _ in range(2):
        fleet.sweep()
        fleet.drain(limit=5_000)

    join_id, letter = node.steps[0].id, the_dead_letter(fleet)
    assert (letter.task_id, "JoinLost: the store no longer has chain" in letter.reason) == (join_id, True)
    assert (fleet.noted, "count" in fleet.executed) == ([], False)


def test_a_part_that_comes_after_the_interruption_changes_nothing(fleet):
    node = big_chord()
    with pytest.raises(Died):
        send(DyingCommit(fleet.open("client"), 1), flow.start(node, root_of(node)))
    fleet.clock.advance(SENDER_LEASE_SECONDS + 1)
    fleet.sweep()

    fleet.drain(limit=5_000)

    assert result(fleet, "body").state == "FAILURE"


def test_a_living_sender_is_not_interrupted(fleet):
    node = big_chord()
    effects = flow.start(node, root_of(node))
    client = fleet.open("client")

    class Slow:
        def exchange(self, transitions, **known):
            fleet.clock.advance(SENDER_LEASE_SECONDS - 1)
            fleet.sweep()
            return client.exchange(transitions, **known)

    send(Slow(), effects)
    fleet.drain(limit=5_000)

    assert result(fleet, "body").get(timeout=0) == MEMBERS


def test_a_large_plain_group_has_no_join(fleet):
    node = freeze(Group(members=(Call(task="one"),) * MEMBERS), "g")

    send(fleet.open("client"), flow.start(node, "g"))

    assert not fleet.store.state.joins
    assert fleet.drain(limit=5_000) == MEMBERS


# --- verdicts ------------------------------------------------------------------------------------------------------------------


def taken(message, verdict=None):
    return Taken(Delivery("tag", "celery", None, "raw"), message, verdict or Run())


def message(**known):
    return Message(**{"id": "t1", "task": "one", "root_id": "r", **known})


@pytest.fixture
def performer(fleet):
    commit = fleet.open("w", "celery")
    return Performer(commit, fleet.app.results, now_us=fleet.clock.now_us)


def test_what_may_run_is_to_be_executed(performer):
    assert performer.route(taken(message())) == Execute(taken(message()), message())


def test_k7_what_another_worker_runs_is_put_back_as_a_timer_and_acknowledged(performer):
    later = taken(message(), Later(9, "w"))

    assert performer.route(later) == Transition(effects=(Publish(message(), 9),), delivery=later.delivery)


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [
        (WasRevoked(), Revoked(reason="revoked")),
        (Settled(Standing(Success(value="7"), 2)), Success(value="7")),
    ],
)
def test_what_has_ended_already_goes_through_flow_again(performer, verdict, outcome):
    transition = performer.route(taken(message(then=Member("j", 0)), verdict))

    assert transition.outcome == outcome
    assert [type(effect) for effect in transition.effects] == [AddPart]
    assert transition.delivery.tag == "tag"


def test_a_settled_copy_is_of_the_attempt_that_ended(performer):
    transition = performer.route(taken(message(), Settled(Standing(Success(value="7"), 2, 1))))

    assert (transition.message.attempt, transition.message.generation) == (2, 1)


@pytest.mark.parametrize("verdict", [Stale(), Settled(Standing(None, 3))])
def test_a_copy_of_an_older_attempt_is_only_acknowledged(performer, verdict):
    transition = performer.route(taken(message(), verdict))

    assert (transition.outcome, transition.effects, transition.delivery.tag) == (None, (), "tag")


def test_poison_is_a_failure_and_a_dead_letter(performer):
    transition = performer.route(taken(message(then=Member("j", 0)), Poison(3)))

    assert transition.outcome.error.type == "WorkerLostError"
    assert "3 workers" in transition.dead.reason
    assert (transition.dead.raw, transition.dead.task_id) == ("raw", "t1")
    assert [type(effect) for effect in transition.effects] == [AddPart]


def test_what_has_expired_is_revoked(performer, fleet):
    transition = performer.route(taken(message(expires_us=fleet.clock.now_us())))

    assert transition.outcome == Revoked(reason="expired")


def test_a_chain_that_the_store_lost_ends_with_a_dead_letter(performer):
    transition = performer.finished(taken(None), message(then=Step("gone", 1)), Success(value="1"))

    assert transition.outcome == Success(value="1")
    assert "no longer has chain" in transition.dead.reason
    assert transition.effects == ()


def test_messages_that_follow_are_children_but_a_retry_is_not(performer):
    links = (Call(task="one"), Group(members=(Call(task="one"), Call(task="one"))))

    transition = performer.finished(taken(None), message(link=links), Success(value="1"))

    assert transition.children == tuple(
        effect.message.id for effect in transition.effects if isinstance(effect, Publish)
    )
    assert len(transition.children) == 3


def test_steps_that_name_no_queue_go_to_that_of_their_task(fleet):
    performer = Performer(fleet.open("w"), None, now_us=fleet.clock.now_us, queue_of=lambda task: f"q-{task}")
    links = (Call(task="one"), Call(task="two", options={"queue": "own"}))

    transition = performer.finished(taken(None), message(link=links), Success(value="1"))

    assert [effect.message.queue for effect in transition.effects] == ["q-one", "own"]


def test_whoever_is_second_brings_what_follows_from_the_outcome_that_stands(fleet):
    first, second = fleet.open("w1", "celery"), fleet.open("w2", "celery")
    original = message(link=(Call(task="double"),))
    send(fleet.open("client"), [Publish(original), Publish(original)])
    (one,) = fleet.performer(first).commit([], take=1)
    fleet.clock.advance(60)  # the first is taken for dead
    fleet.sweep()
    (two,) = fleet.performer(second).commit([], take=1)
    for commit, item, value in ((second, two, "2"), (first, one, "1")):
        performer = fleet.performer(commit)
        performer.commit([performer.finished(item, item.message, Success(value=value))])
    fleet.drain()

    handle = result(fleet, "t1")
    assert handle.get(timeout=0) == 2
    (child,) = handle.children
    assert child.get(timeout=0) == 4


class FailsBeaten:
    """A Commit that cannot be reached for what takes the place of a beaten transition, while `is_away`."""

    def __init__(self, inner):
        self._inner, self.is_away = inner, True

    def exchange(self, transitions, *, take=0):
        if self.is_away and not take:
            raise Unavailable("away")
        return self._inner.exchange(transitions, take=take)


def test_what_a_commit_that_could_not_be_ended_had_taken_is_left_and_returned_by_the_next(fleet):
    commit = FailsBeaten(fleet.open("w1", "celery"))
    performer = fleet.performer(commit)
    send(fleet.open("client"), [Publish(message())])
    (item,) = performer.commit([], take=1)
    send(fleet.open("client"), [Publish(replace(message(), id="t2"))])
    fleet.open("other").exchange([Transition(message=item.message, outcome=Success(value="1"))])
    beaten = performer.finished(item, item.message, Success(value="2"))

    with pytest.raises(Unavailable):
        performer.commit([beaten], take=1)
    assert [left.message.id for left in performer.left] == ["t2"]
    commit.is_away = False

    assert [taken.message.id for taken in performer.commit([beaten])] == ["t2"]
    assert performer.left == []


# --- what is no message --------------------------------------------------------------------------------------------------------


def put(fleet, queue, *, id="t1", task="one", args=(), kwargs=None, body=None, properties=None, **headers):
    """A message as another program might write it."""
    content = json.dumps(body or [list(args), kwargs or {}, {}])
    text = json.dumps(
        {
            "body": base64.b64encode(content.encode()).decode(),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": {"id": id, "task": task, **headers},
            "properties": {"body_encoding": "base64", "delivery_info": {}, **(properties or {})},
        }
    )
    fleet.store.state.mail.put(queue, text)


def the_dead_letter(fleet):
    (kept,) = fleet.store.state.dead.newest(2, "")
    return kept.letter


@pytest.mark.parametrize("text", ["[]", "null", "{", '{"headers": {"task": "one"}, "properties": {}}'])
def test_what_has_no_id_is_a_dead_letter(fleet, text):
    fleet.store.state.mail.put("celery", text)

    assert fleet.drain() == 1

    dead = the_dead_letter(fleet)
    assert (dead.raw, dead.task_id) == (text, None)
    assert dead.reason
    assert not fleet.store.state.mail.held


@pytest.mark.parametrize(
    "wrong", [{"retries": "x"}, {"task": ["a"]}, {"timelimit": 5}, {"eta": "soon"}, {"body": {"a": 1}}]
)
def test_what_has_an_id_is_a_dead_letter_and_its_handle_is_settled(fleet, wrong):
    put(fleet, "celery", **wrong)

    fleet.drain()

    dead = the_dead_letter(fleet)
    assert dead.task_id == "t1"
    with pytest.raises(Reject, match="the message was refused"):
        result(fleet, "t1").get(timeout=0)
    assert not fleet.store.state.mail.held
    assert not fleet.executed


def test_a_refused_copy_of_what_has_succeeded_changes_nothing(fleet):
    fleet.app.send_task("one", task_id="t1")
    fleet.drain()
    put(fleet, "celery", retries="x")
    fleet.drain()

    assert result(fleet, "t1").get(timeout=0) == 1


@pytest.mark.parametrize(
    ("task", "args"),
    [
        (flow.JOIN_TASK, []),
        (flow.JOIN_TASK, [5]),
        (flow.JOIN_TASK, [["j"]]),
        (flow.START_TASK, []),
        (flow.START_TASK, [5]),
        (flow.START_TASK, ["text"]),
        (flow.START_TASK, [None]),
        (flow.START_TASK, [{}]),
        (flow.START_TASK, [{"task": "one", "options": {"countdown": "soon"}}]),
        (flow.START_TASK, [{"task": "one", "options": {"headers": [1]}}]),
        (flow.START_TASK, [{"task": "c", "subtask_type": "chain", "kwargs": {"tasks": []}}]),
        (flow.START_TASK, [{"task": "c", "subtask_type": "chain", "kwargs": []}]),
        (flow.NEXT_TASK, [1]),
        (flow.NEXT_TASK, [1, 5]),
        (flow.NEXT_TASK, [1, "step:x"]),
        (flow.NEXT_TASK, [1, "step:x:y"]),
        (flow.FAILED_TASK, [1, 2, 3]),
        (flow.FAILED_TASK, [["x"], "member:j:1"]),
        (flow.FAILED_TASK, ["x", None]),
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
    put(fleet, CONTROL_QUEUE, task=flow.NEXT_TASK, args=[1, position])

    fleet.drain()

    assert result(fleet, "t1").ready()


def test_the_message_of_a_join_that_is_gone_or_not_complete_does_nothing(fleet):
    send(fleet.open("client"), [Publish(flow.join_message("gone"))])

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
    assert following["task"] == flow.NEXT_TASK
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
    assert errback["task"] == flow.FAILED_TASK
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
    return Message(id="start", task=flow.START_TASK, args=args, queue=CONTROL_QUEUE, **known)


def test_a_canvas_that_travelled_as_one_message_is_started_once(fleet):
    node = Chain(steps=(Group(members=(Call(task="one"), Call(task="one"))), Call(task="count")))
    start = start_message(node)

    send(fleet.open("client"), [Publish(start), Publish(start)])
    fleet.drain()

    handle = result(fleet, "start")
    assert handle.get(timeout=0) == flow.started_id("start")
    assert result(fleet, flow.started_id("start")).get(timeout=0) == 2
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

    group_id = freeze(node, flow.started_id("start")).steps[0].id
    member = fleet.app.GroupResult(group_id, 1)
    assert member.get(timeout=0) == [{"periodic_task_name": "nightly", "mine": 1}]
    assert result(fleet, "body").get(timeout=0) == {}


def test_a_failure_keeps_its_traceback_when_it_is_settled_downstream(fleet):
    failure = Failure(error=Error(type="ValueError"), traceback="tb")
    performer = fleet.performer(fleet.open("w"))
    chain = flow.Inline((Call(task="one", id="next"),))

    transition = performer.finished(taken(None), replace(message(), then=chain), failure)
    fleet.open("w").exchange([replace(transition, delivery=None)])

    assert result(fleet, "next").traceback == "tb"


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_a_canvas_that_travelled_as_one_message_and_never_started_settles_too(fleet, how):
    errback = Call(task="note", id="errback")
    header = Group(members=(Call(task="one"), Call(task="one")))
    node = Chain(steps=(header, Call(task="count", link_error=(errback,)), Call(task="one")))
    frozen = freeze(node, flow.started_id("start"))
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


# --- sizes ---------------------------------------------------------------------------------------------------------------------


def test_k19_a_result_that_is_too_large_is_a_failure_that_says_what_to_do(fleet):
    performer = Performer(fleet.open("w"), None, now_us=fleet.clock.now_us, result_bytes=10)

    fits = performer.ended(taken(message()), message(), Success(value=Json('"12345678"')))
    large = performer.ended(taken(message()), message(), Success(value=Json('"123456789"')))

    assert isinstance(fits.outcome, Success)
    assert isinstance(large.outcome, Failure)
    assert large.outcome.error.type == "EncodeError"
    assert "11 bytes, more than 10" in large.outcome.error.text
    assert "result_max_bytes" in large.outcome.error.text


def test_k19_a_chord_whose_members_are_larger_together_than_one_result_may_be_works(fleet):
    fleet.app.task(name="long")(lambda: "x" * (RESULT_BYTES - 2))
    members = Group(members=(Call(task="long"),) * 3)
    fleet.app.task(name="lengths")(lambda values: [len(value) for value in values])
    canvas = freeze(Chain(steps=(members, Call(task="lengths", id="body"))), "body")

    send(fleet.open("client"), flow.start(canvas, root_of(canvas)))
    fleet.drain()

    assert result(fleet, "body").get(timeout=0) == [RESULT_BYTES - 2] * 3


def spoil(fleet):
    """Whatever lies in the queues gets a body that cannot be read."""
    for queue, texts in fleet.store.state.mail.waiting().items():
        taken_ones = fleet.open("thief", queue).exchange([], take=len(texts)).taken
        for item, text in zip(taken_ones, texts, strict=True):
            envelope = json.loads(text)
            fleet.store.state.mail.ack(item.delivery.tag)
            fleet.store.state.mail.put(queue, json.dumps({**envelope, "body": "bm8="}))
    fleet.store.state.runs.clear()


@pytest.mark.parametrize("shape", ["chord", "long chain", "short chain"])
def test_what_depends_on_a_message_whose_body_cannot_be_read_is_settled(fleet, shape):
    filler = "x" * (3_000 if shape == "long chain" else 3)  # what is long does not travel inline
    one = Call(task="one", kwargs=Json(json.dumps({"filler": filler})))
    first = Group(members=(Call(task="one"), Call(task="one"))) if shape == "chord" else one
    node = freeze(Chain(steps=(first, Call(task="count"), Call(task="one"))), "last")
    send(fleet.open("client"), flow.start(node, root_of(node), parent_id=None))
    spoil(fleet)
    fleet.drain()

    for call in calls(node):
        with pytest.raises((Reject, ChordError)):
            result(fleet, call.id).get(timeout=0)
    assert fleet.executed == []


@pytest.mark.parametrize("shape", ["call", "member", "step"])
def test_the_errback_of_a_message_whose_body_cannot_be_read_is_called_once(fleet, shape):
    errback = Call(task="note", kwargs=Json("{}"), options={"queue": "celery"})
    one = Call(task="one", kwargs=Json('{"id": "é"}'), link_error=(errback,))
    parents = {"call": one, "member": Chain(steps=(Group(members=(one,)), Call(task="count")))}
    node = freeze(parents.get(shape, Chain(steps=(one, Call(task="one")))), "last")
    first = next(calls(node))
    send(fleet.open("client"), flow.start(node, root_of(node), parent_id=None))
    spoil(fleet)
    fleet.drain()

    assert fleet.noted == [first.id]
    assert {result(fleet, call.id).state for call in calls(node)} == {"FAILURE"}


def test_a_copy_whose_body_cannot_be_read_neither_ends_nor_goes_on_with_what_has_ended(fleet):
    first, second = (Call(task=name, options={"queue": name}) for name in ("one", "double"))
    node = freeze(Chain(steps=(first, second)), "last")
    send(fleet.open("client"), flow.start(node, root_of(node), parent_id=None))
    ((text,),) = fleet.store.state.mail.waiting().values()
    fleet.drain("one")
    fleet.put("one", json.dumps({**json.loads(text), "body": "bm8="}))
    fleet.drain("one", "celery")
    fleet.drain()

    assert result(fleet, "last").get(timeout=0) == 2
    assert fleet.executed == ["one", "double"]
    assert len(fleet.store.state.dead) == 1
