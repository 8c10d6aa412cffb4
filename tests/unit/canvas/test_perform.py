"""Between flow and a store: verdicts, outcomes that stand, results that are too large, and messages that are none."""

from __future__ import annotations

import json

import pytest
from backbeat.canvas import flow
from backbeat.canvas.commit.taken import Taken
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.commit.verdict import Later, Poison, Run, Settled, Stale, Standing, WasRevoked
from backbeat.canvas.continuation import Member, Step
from backbeat.canvas.delivery import Delivery
from backbeat.canvas.effect import AddPart, Publish
from backbeat.canvas.errors import ChordError, Reject, Unavailable
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import Message
from backbeat.canvas.node import Call, Chain, Group, calls, freeze, root_of
from backbeat.canvas.outcome import Error, Failure, Revoked, Success
from backbeat.canvas.perform import ABSENT_PAUSE_US, RESULT_BYTES, Execute, Performer
from backbeat.canvas.sending import send
from msgspec.structs import replace

from support.foreign import put


def result(fleet, id_):
    return fleet.app.AsyncResult(id_)


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


@pytest.fixture
def herald(fleet):
    """A performer to whom queue `news` is a broadcast, and its commit."""
    commit = fleet.open("w", "news")
    return Performer(commit, fleet.app.results, now_us=fleet.clock.now_us, is_broadcast="news".__eq__), commit


def test_a_broadcast_ends_as_it_is_handed_out_to_all_who_are_there_and_twice_under_the_same_ids(herald):
    performer, commit = herald
    for name in ("a", "b"):
        commit.present("news", f"bcast.news.{name}", 30.0)
    sent = message(queue="news", then=Member("j", 0))

    once, twice = performer.route(taken(sent)), performer.route(taken(sent))

    part, *copies = once.effects
    assert once == twice
    assert (once.outcome, once.delivery.tag, part.outcome) == (
        Success(value="null"),
        "tag",
        Success(value="null"),
    )
    assert [each.message.queue for each in copies] == ["bcast.news.a", "bcast.news.b"]
    assert {each.message.copy_of for each in copies} == {"t1"}
    assert len({"t1", *(each.message.id for each in copies)}) == 3
    assert all(isinstance(performer.route(taken(each.message)), Execute) for each in copies)


def test_a_broadcast_for_which_nobody_is_there_is_looked_at_again(herald, fleet):
    performer, _ = herald
    sent = message(queue="news")

    again = performer.route(taken(sent))

    assert again.outcome is None
    assert again.effects == (Publish(sent, fleet.clock.now_us() + ABSENT_PAUSE_US),)


def test_a_broadcast_that_was_revoked_or_is_too_late_is_handed_out_to_nobody(herald):
    performer, commit = herald
    commit.present("news", "bcast.news.a", 30.0)

    revoked = performer.route(taken(message(queue="news"), WasRevoked()))
    late = performer.route(taken(message(queue="news", expires_us=0)))

    assert (revoked.outcome, late.outcome) == (Revoked(reason="revoked"), Revoked(reason="expired"))
    assert (revoked.effects, late.effects) == ((), ())


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [
        (WasRevoked(), Revoked(reason="revoked")),
        (Settled(Standing(Success(value="7"), 0)), Success(value="7")),
    ],
)
def test_what_has_ended_already_goes_through_flow_again(performer, verdict, outcome):
    transition = performer.route(taken(message(then=Member("j", 0)), verdict))

    assert transition.outcome == outcome
    assert [type(effect) for effect in transition.effects] == [AddPart]
    assert transition.delivery.tag == "tag"


@pytest.mark.parametrize(
    "verdict",
    [
        Stale(),
        Settled(Standing(None, 3)),
        Settled(Standing(Success(value="7"), 2)),
        Settled(Standing(Success(value="7"), 0, 1)),
    ],
)
def test_k6_a_copy_of_an_older_attempt_is_only_acknowledged(performer, verdict):
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

    one, *both = [effect.message.id for effect in transition.effects if isinstance(effect, Publish)]
    call, ((_, parent), members) = transition.children
    assert (call, parent, members) == (one, None, tuple(((id_, None), None) for id_ in both))


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


def test_a_failure_keeps_its_traceback_when_it_is_settled_downstream(fleet):
    failure = Failure(error=Error(type="ValueError"), traceback="tb")
    performer = fleet.performer(fleet.open("w"))
    chain = flow.Inline((Call(task="one", id="next"),))

    transition = performer.finished(taken(None), replace(message(), then=chain), failure)
    fleet.open("w").exchange([replace(transition, delivery=None)])

    assert result(fleet, "next").traceback == "tb"


# --- what is no message --------------------------------------------------------------------------------------------------------


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
