"""The contract of canvas.commit.base.Commit and the decisions of run.py, over every implementation and every split pair."""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from collections import Counter

import pytest
from backbeat.canvas.commit import memory, redis, sql_revoked
from backbeat.canvas.commit.dead_letter import DeadLetter
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.commit.role import Role
from backbeat.canvas.commit.taken import Taken
from backbeat.canvas.commit.transition import Closing, Transition
from backbeat.canvas.commit.verdict import Later, Poison, Run, Settled, Stale, Standing, WasRevoked
from backbeat.canvas.continuation import ChainRecord, Inline, JoinRecord, Step
from backbeat.canvas.effect import AddPart, CloseChain, OpenChain, OpenJoin, Publish, Revoke, SealJoin, Settle
from backbeat.canvas.errors import Unavailable
from backbeat.canvas.incarnation import incarnation, name_of
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import DEFAULT_QUEUE
from backbeat.canvas.node import Call, Policy
from backbeat.canvas.outcome import Retry, Revoked, State, state_of
from backbeat.canvas.perform import Performer
from msgspec.structs import replace

from support.commit_world import DYING, LIVING, CommitWorld, broken, ok, part
from support.gone import gone_incarnation
from support.kinds import IN_TURN, ON_SQS, OUTBOXES, open_backend
from support.processes import wait_until
from support.stacks import IS_WHOLE

MORTAL = Limits(lease_seconds=2.0)
"""For a worker that dies after a test has looked at what it holds: long enough for a busy machine."""


@pytest.fixture(params=[*IN_TURN, ON_SQS] if IS_WHOLE else IN_TURN)
def world(request):
    opened = CommitWorld(open_backend(request.param, request), request.param)
    yield opened
    opened.close()


def taken_by(world, commit, message, count=1):
    """Send one message and take it."""
    world.send(*[message] * count)
    return world.take(commit, count)


# --- outcomes --------------------------------------------------------------------------------------------------------------------


def test_k2_the_first_outcome_stands(world):
    commit, message = world.open(), world.message()

    first = commit.exchange([Transition(message=message, outcome=ok(1))]).standing
    second = world.open().exchange([Transition(message=message, outcome=ok(2))]).standing

    assert list(first) == [None]
    assert list(second) == [Standing(ok(1), 0)]
    assert world.document(message.id).value == "1"


@pytest.mark.parametrize(
    "later", [broken(), Revoked(), Retry(eta_us=5), ok(2)], ids=lambda it: type(it).__name__
)
def test_k2_a_success_is_never_overwritten(world, later):
    commit, message = world.open(), world.message()
    commit.exchange([Transition(message=message, outcome=ok(1))])

    (standing,) = commit.exchange([Transition(message=message, outcome=later)]).standing
    world.do(commit, Settle(message.id, broken()))

    assert standing == Standing(ok(1), 0)
    assert world.document(message.id).state is State.SUCCESS


def test_bringing_the_same_outcome_again_is_applied_again(world):
    """Who does not know whether a transition was applied brings it again; its effects are idempotent."""
    commit, message, follower = world.open(), world.message(), world.message("follower")
    transition = Transition(message=message, outcome=ok(1), effects=(Publish(follower),))

    for _ in range(2):
        assert list(commit.exchange([transition]).standing) == [None]

    verdicts = {item.message.id for item in world.take(commit, 2)}
    assert verdicts == {follower.id}


def test_k2_what_is_beaten_has_no_effect_and_keeps_its_message(world):
    commit, other = world.open("a", DYING), world.open("b")
    message, follower = world.message(), world.message("follower")
    (item,) = taken_by(world, commit, message)
    other.exchange([Transition(message=message, outcome=ok(1))])

    answer = commit.exchange(
        [Transition(message=message, outcome=ok(2), effects=(Publish(follower),), delivery=item.delivery)]
    )
    commit.close()
    world.pass_lease()
    (again,) = world.take(other)

    assert list(answer.standing) == [Standing(ok(1), 0)]
    assert again.message.id == message.id
    assert again.verdict == Settled(Standing(ok(1), 0))
    assert world.none(other)


def test_transitions_are_applied_each_for_itself_and_in_order(world):
    commit, one, two = world.open(), world.message(), world.message()

    answer = commit.exchange(
        [
            Transition(message=one, outcome=ok(1)),
            Transition(message=one, outcome=ok(2)),
            Transition(message=two, outcome=broken()),
        ]
    )

    assert list(answer.standing) == [None, Standing(ok(1), 0), None]
    assert world.document(two.id).state is State.FAILURE


def test_a_duplicate_gets_the_standing_outcome(world):
    commit, message = world.open(), world.message()
    (item,) = taken_by(world, commit, message)
    commit.exchange([Transition(message=message, outcome=broken(), delivery=item.delivery)])

    (duplicate,) = taken_by(world, commit, message)

    assert duplicate.verdict == Settled(Standing(broken(), 0))


def test_a_retry_is_an_outcome_of_its_attempt_only(world):
    commit, message = world.open(), world.message()
    next_attempt = world.message(message.id.split("-")[0], attempt=1)
    retry = Retry(eta_us=7)
    assert next_attempt.id == message.id
    (item,) = taken_by(world, commit, message)
    commit.exchange([Transition(message=message, outcome=retry, delivery=item.delivery)])

    assert world.document(message.id).state is State.RETRY
    assert not world.document(message.id).ready
    (duplicate,) = taken_by(world, commit, message)
    commit.exchange([Transition(delivery=duplicate.delivery)])
    (later,) = taken_by(world, commit, next_attempt)

    assert duplicate.verdict == Settled(Standing(retry, 0))
    assert later.verdict == Run()


def test_k6_an_older_attempt_is_superseded_by_a_later_one(world):
    commit, message = world.open(), world.message("m")
    later = world.message("m", attempt=1)
    (running,) = taken_by(world, commit, later)
    (copy,) = taken_by(world, commit, message)

    (under_way,) = commit.exchange([Transition(message=message, outcome=ok(0))]).standing
    commit.exchange([Transition(delivery=copy.delivery)])
    commit.exchange([Transition(message=later, outcome=ok(1), delivery=running.delivery)])
    (ended,) = commit.exchange([Transition(message=message, outcome=ok(0))]).standing
    (copy_again,) = taken_by(world, commit, message)

    assert copy.verdict == Stale()
    assert under_way == Standing(None, 1)
    assert ended == Standing(ok(1), 1)
    assert copy_again.verdict == Settled(Standing(ok(1), 1))
    assert world.document(message.id).value == "1"


def two_attempts_later(world, commit, *, eta_us):
    """A task whose attempts 0 and 1 ended in a retry; returns its first message, and the performer that brought them."""
    performer = Performer(commit, None, now_us=world.now_us)
    follower = Call(task="t", id=f"follower-{world.mark}", options={"queue": DEFAULT_QUEUE})
    first = world.message("m", link=(follower,))
    world.send(first)
    for retry in (
        Retry(eta_us=0, args=Json("[1]")),
        Retry(eta_us=eta_us, args=Json("[1]"), kwargs=Json("{}")),
    ):
        (item,) = world.take(commit)
        assert item.verdict == Run()
        performer.commit([performer.finished(item, item.message, retry)])
    return first, performer


def redelivered(world, commit, performer, message):
    """Another copy of `message` is delivered and dealt with; returns its verdict and its transition."""
    (copy,) = taken_by(world, commit, message)
    transition = performer.route(copy)
    performer.commit([transition])
    return copy.verdict, transition


def test_k6_attempt_0_redelivered_while_attempt_2_waits(world):
    commit = world.open()
    due = world.now_us() + 3_000_000  # what follows has ended by then, also on a machine that is busy
    first, performer = two_attempts_later(world, commit, eta_us=due)

    verdict, transition = redelivered(world, commit, performer, first)
    state = world.document(first.id).state
    world.pass_time(max(0.0, (due - world.now_us()) / 1e6))
    (item,) = world.take(commit)

    assert verdict == Settled(Standing(Retry(eta_us=due, args=Json("[1]"), kwargs=Json("{}")), 1))
    assert transition == Transition(delivery=transition.delivery)  # attempt 2 is on its way
    assert state is State.RETRY
    assert world.now_us() >= due
    assert (item.message.attempt, item.message.args, item.verdict) == (2, "[1]", Run())


def test_k6_attempt_0_redelivered_while_attempt_2_runs(world):
    commit = world.open()
    first, performer = two_attempts_later(world, commit, eta_us=0)
    (running,) = world.take(commit)

    verdict, transition = redelivered(world, commit, performer, first)
    (under_way,) = commit.exchange([Transition(message=first, outcome=ok(0))]).standing
    nothing_came = world.none(commit)
    performer.commit([performer.finished(running, running.message, ok(2))])

    assert (running.message.attempt, running.verdict) == (2, Run())
    assert verdict == Stale()
    assert transition == Transition(delivery=transition.delivery)
    assert under_way == Standing(None, 2)
    assert nothing_came
    assert world.document(first.id).value == "2"


def test_k6_attempt_0_redelivered_when_attempt_2_has_ended(world):
    commit = world.open()
    first, performer = two_attempts_later(world, commit, eta_us=0)
    (running,) = world.take(commit)
    performer.commit([performer.finished(running, running.message, ok(2))])
    (follower,) = world.take(commit)
    commit.exchange([Transition(message=follower.message, outcome=ok(3), delivery=follower.delivery)])

    verdict, transition = redelivered(world, commit, performer, first)

    assert verdict == Settled(Standing(ok(2), 2))
    assert transition == Transition(delivery=transition.delivery)  # what follows was sent with the outcome
    assert world.none(commit)
    assert world.document(first.id).value == "2"


def test_k6_attempt_0_redelivered_when_attempt_2_was_revoked_leaves_the_result_as_it_is(world):
    """The result of what was revoked before its message was known is written anew when that comes; not by another attempt's."""
    commit = world.open()
    first, performer = two_attempts_later(world, commit, eta_us=0)
    (running,) = world.take(commit)
    performer.commit([performer.finished(running, running.message, Revoked(reason="expired"))])

    verdict, _ = redelivered(world, commit, performer, first)

    assert verdict == Settled(Standing(Revoked(reason="expired"), 2))
    assert (world.document(first.id).state, world.document(first.id).args) == (State.REVOKED, "[1]")


def test_k6_a_later_generation_runs_again_what_has_ended(world):
    commit, message = world.open(), world.message("m", attempt=2)
    commit.exchange([Transition(message=message, outcome=broken())])

    resumed = world.message("m", generation=1)
    (item,) = taken_by(world, commit, resumed)
    (standing,) = commit.exchange(
        [Transition(message=resumed, outcome=ok(5), delivery=item.delivery)]
    ).standing

    assert item.verdict == Run()
    assert standing is None
    assert world.document(message.id).value == "5"


def test_a_task_that_ignores_its_result_has_no_document_but_an_outcome(world):
    commit, message = world.open(), world.message(ignore_result=True)
    commit.exchange([Transition(message=message, outcome=ok(1))])

    (standing,) = commit.exchange([Transition(message=message, outcome=ok(2))]).standing

    assert standing == Standing(ok(1), 0)
    assert world.document(message.id).state is State.PENDING


def test_settle_ends_what_has_not_ended(world):
    commit, pending, done = world.open(), world.message(), world.message()
    commit.exchange([Transition(message=done, outcome=ok(1))])

    world.do(commit, Settle(pending.id, broken(), "t"), Settle(done.id, broken(), "t"))
    world.do(commit, Settle(pending.id, broken("again"), "t"))
    (item,) = taken_by(world, commit, pending)

    assert world.document(pending.id).error.text == "broken"
    assert world.document(pending.id).name == "t"
    assert world.document(done.id).state is State.SUCCESS
    assert item.verdict == Settled(Standing(broken(), 0))


def by_hand(id_, outcome):
    return Settle(id_, outcome, attempt=None)


@pytest.mark.parametrize("outcome", [ok(7), broken(), Revoked()], ids=lambda it: type(it).__name__)
def test_what_is_said_by_hand_ends_what_nobody_knows_what_waits_and_what_runs(world, outcome):
    commit, unknown, waiting, running = world.open(), *(world.message() for _ in range(3))
    (ran,) = taken_by(world, commit, running)
    for message in (unknown, waiting, running):
        world.do(commit, by_hand(message.id, outcome))
    (came,) = taken_by(world, commit, waiting)
    ended = Transition(message=running, outcome=ok(1), delivery=ran.delivery)
    (standing,) = commit.exchange([ended]).standing

    states = [world.document(message.id).state for message in (unknown, waiting, running)]
    assert states == [state_of(outcome)] * 3
    assert came.verdict == Settled(Standing(outcome, 0))
    assert standing == Standing(outcome, 0)


def test_what_is_said_by_hand_ends_what_would_run_again(world):
    commit, message = world.open(), world.message()
    commit.exchange([Transition(message=message, outcome=Retry(eta_us=1))])
    again = replace(message, attempt=1)
    world.do(commit, by_hand(message.id, ok(7)))

    (standing,) = commit.exchange([Transition(message=again, outcome=ok(1))]).standing

    assert standing == Standing(ok(7), 1)
    assert world.document(message.id).value == "7"


def test_what_is_said_by_hand_of_a_later_attempt_ends_that_one(world):
    commit, message = world.open(), world.message()
    later = replace(message, attempt=1)
    commit.exchange([Transition(message=message, outcome=Retry(eta_us=1))])
    (ran,) = taken_by(world, commit, later)
    world.do(commit, by_hand(message.id, ok(7)))
    ended = Transition(message=later, outcome=ok(1), delivery=ran.delivery)
    (standing,) = commit.exchange([ended]).standing

    assert standing == Standing(ok(7), 1)


def test_k2_what_has_ended_is_not_ended_by_hand(world):
    commit, done, failed = world.open(), world.message(), world.message()
    commit.exchange(
        [Transition(message=done, outcome=ok(1)), Transition(message=failed, outcome=broken("first"))]
    )
    world.do(commit, by_hand(done.id, ok(2)), by_hand(failed.id, ok(2)))

    assert world.document(done.id).value == "1"
    assert world.document(failed.id).error.text == "first"


def test_the_document_names_the_task_its_arguments_and_its_children(world):
    commit = world.open("me")
    message = world.message(args=Json("[1, 2]"), group_id="g", parent_id="p")
    commit.exchange([Transition(message=message, outcome=ok(1), children=("c1", "c2"))])

    document = world.document(message.id)

    assert (document.name, json.loads(document.args), document.children) == ("t", [1, 2], ("c1", "c2"))
    assert (document.worker, document.group_id, document.parent_id) == ("me", "g", "p")


# --- claims ----------------------------------------------------------------------------------------------------------------------


def test_k7_what_another_living_worker_runs_is_for_later(world):
    one, two, message = world.open(), world.open(), world.message()
    (running,) = taken_by(world, one, message)
    world.send(message)
    (copy,) = world.take_any([two, one])

    assert running.verdict == Run()
    assert isinstance(copy.verdict, Later)
    assert copy.verdict.until_us > world.now_us()


def test_k7_what_a_dead_worker_ran_is_taken_over(world):
    dying, message = world.open("dying", DYING), world.message()
    (held,) = taken_by(world, dying, message)
    dying.close()
    world.pass_lease()

    other = world.open("other")
    (item,) = world.take(other)
    other.exchange([Transition(message=message, outcome=ok(1), delivery=item.delivery)])

    assert (held.verdict, item.verdict) == (Run(), Run(lost=1))
    assert world.none(other)


def test_k7_a_dead_worker_that_comes_back_gets_the_outcome_that_stands(world):
    dying, message = world.open("dying", DYING), world.message()
    (held,) = taken_by(world, dying, message)
    dying.close()
    world.pass_lease()
    other = world.open("other")
    (item,) = world.take(other)
    other.exchange([Transition(message=message, outcome=ok(1), delivery=item.delivery)])

    risen = world.open("dying", DYING)
    (standing,) = risen.exchange(
        [Transition(message=message, outcome=ok(2), delivery=held.delivery)]
    ).standing

    assert standing == Standing(ok(1), 0)


def test_k2_a_late_result_of_a_lost_claim_stands_if_it_is_first(world):
    dying, message = world.open("dying", DYING), world.message()
    taken_by(world, dying, message)
    dying.close()
    world.pass_lease()
    other = world.open("other")
    (item,) = world.take(other)

    late = world.open("dying", DYING).exchange([Transition(message=message, outcome=ok(1))]).standing
    own = Transition(message=message, outcome=ok(2), delivery=item.delivery)
    (standing,) = other.exchange([own]).standing

    assert item.verdict == Run(lost=1)
    assert list(late) == [None]
    assert standing == Standing(ok(1), 0)
    assert world.document(message.id).value == "1"


def copy_of_what_runs(world, held, runner, other):
    """A copy of what `runner` runs comes to one of them, and goes back until the claim is over; its verdict."""
    world.send(held.message)
    runner.renew([held])
    takers = itertools.cycle([other, runner])  # RabbitMQ deals messages out
    taker, copy = next((taker, item) for taker in takers for item in world.take(taker, 1, 0.01))
    performer = Performer(taker, None, now_us=world.now_us)
    performer.commit([performer.route(copy)])
    return copy.verdict


def test_k7_a_copy_that_came_while_it_ran_completes_when_the_first_worker_dies(world):
    dying, other = world.open("dying", MORTAL), world.open("other")
    (held,) = taken_by(world, dying, world.message())

    verdict = copy_of_what_runs(world, held, dying, other)
    dying.exchange([Transition(delivery=held.delivery)])  # the copy is all that is left
    dying.close()
    world.pass_time(MORTAL.lease_seconds * 1.1)
    (copy,) = world.take(other)
    other.exchange([Transition(message=copy.message, outcome=ok(1), delivery=copy.delivery)])

    assert isinstance(verdict, Later)
    assert (copy.message.id, copy.verdict) == (held.message.id, Run(lost=1))
    assert world.document(held.message.id).value == "1"
    assert world.none(other)


def test_k7_of_two_copies_that_are_taken_together_one_runs(world):
    commit, message = world.open(), world.message()
    world.send(message)
    world.send(message)

    verdicts = [item.verdict for item in world.take(commit, 2)]

    assert [type(verdict) for verdict in verdicts] == [Run, Later]


def test_k8_a_task_that_takes_three_workers_with_it_is_poison(world):
    message = world.message()
    world.send(message)
    verdicts = []
    for number in range(4):
        worker = world.open(f"victim{number}", Limits(lease_seconds=0.06, max_lost=3))
        verdicts += [item.verdict for item in world.take(worker)]
        worker.close()
        world.pass_lease()

    assert verdicts == [Run(0), Run(1), Run(2), Poison(3)]


def test_poison_ends_by_an_outcome_as_everything_does(world):
    message = world.message()
    world.send(message)
    for number in range(2):
        worker = world.open(f"victim{number}", Limits(lease_seconds=0.06, max_lost=1))
        (item,) = world.take(worker)
        if number == 0:
            worker.close()
            world.pass_lease()
    (standing,) = worker.exchange(
        [Transition(message=message, outcome=broken(), delivery=item.delivery)]
    ).standing

    assert item.verdict == Poison(1)
    assert standing is None
    assert world.document(message.id).state is State.FAILURE


def test_k8_handing_back_does_not_count_but_a_lost_process_does(world):
    commit, message = world.open(limits=Limits(lease_seconds=60, max_lost=2)), world.message()
    world.send(message)
    verdicts = []
    for lost in [False, False, True, False, True, None]:
        (item,) = world.take(commit)
        verdicts.append(item.verdict)
        if lost is not None:
            commit.release([item], lost=lost)

    assert verdicts == [*[Run()] * 3, *[Run(lost=1)] * 2, Poison(2)]


def test_k8_a_new_attempt_counts_its_losses_anew(world):
    commit, message = world.open(limits=Limits(lease_seconds=60, max_lost=2)), world.message("m")
    (item,) = taken_by(world, commit, message)
    commit.release([item], lost=True)
    (item,) = world.take(commit)
    commit.exchange([Transition(message=message, outcome=Retry(eta_us=1), delivery=item.delivery)])

    (item,) = taken_by(world, commit, world.message("m", attempt=1))
    commit.release([item], lost=True)
    (again,) = world.take(commit)

    assert again.verdict == Run(lost=1)


def test_what_is_released_can_be_run_by_another_at_once(world):
    one, message = world.open("one"), world.message()
    (item,) = taken_by(world, one, message)
    one.release([item])
    one.close()

    (again,) = world.take(world.open("two"))

    assert again.message.id == message.id
    assert again.verdict == Run()


def test_what_a_worker_that_pauses_has_not_given_out_can_be_taken_by_others_and_by_itself_later(world):
    first, second = world.open(), world.open()
    world.send(*(world.message() for _ in range(6)))
    (held,) = world.take(first)

    first.pause()
    first.pause()
    others = world.take(second, 5)
    second.release(others)
    second.pause()
    back = world.take(first, 5)

    assert len({item.message.id for item in [held, *others]}) == 6
    assert {item.message.id for item in back} == {item.message.id for item in others}
    assert all(item.verdict == Run() for item in [held, *others, *back])


def test_k7_what_is_renewed_is_neither_taken_nor_claimed_by_others(world):
    limits = Limits(lease_seconds=2.0)  # a server that is slow for a second is not the one that lets it lapse
    one, two, message = world.open("one", limits), world.open("two", limits), world.message()
    (item,) = taken_by(world, one, message)
    for _ in range(2):
        world.pass_time(1.1)
        one.renew([item])
    world.send(message)
    (copy,) = world.take_any([two, one])

    assert isinstance(copy.verdict, Later)
    assert world.none(two)


def test_releasing_and_renewing_what_is_not_held_does_nothing(world):
    one, two, message = world.open("one", DYING), world.open("two"), world.message()
    (item,) = taken_by(world, one, message)
    one.close()
    world.pass_lease()
    (held,) = world.take(two)
    risen = world.open("one", DYING)

    risen.renew([item])
    risen.release([item], lost=True)
    risen.release([])
    risen.renew([])
    (standing,) = two.exchange([Transition(message=message, outcome=ok(1), delivery=held.delivery)]).standing

    assert standing is None
    assert world.none(two)


# --- revoking --------------------------------------------------------------------------------------------------------------------


def test_k20_what_was_revoked_does_not_start(world):
    commit = world.open()
    by_id, by_root, other = world.message(), world.message(root_id="root"), world.message(root_id="other")
    commit.revoke([by_id.id, "root"])
    commit.revoke([by_id.id])
    commit.revoke([])
    world.send(by_id, by_root, other)

    verdicts = {item.message.id: item.verdict for item in world.take(commit, 3)}

    ended = Settled(Standing(Revoked(), 0))
    assert verdicts == {by_id.id: ended, by_root.id: WasRevoked(), other.id: Run()}


def test_k20_what_tells_of_the_end_of_a_canvas_is_not_revoked_with_its_root(world):
    commit = world.open()
    telling, other = (world.message(root_id="root", errback=report) for report in ({"id": "x"}, None))
    by_itself = world.message(root_id="root", errback={"id": "x"})
    commit.revoke(["root", by_itself.id])
    world.send(telling, other, by_itself)

    verdicts = {item.message.id: item.verdict for item in world.take(commit, 3)}

    assert verdicts == {
        telling.id: Run(),
        other.id: WasRevoked(),
        by_itself.id: Settled(Standing(Revoked(), 0)),
    }


def test_k20_a_transition_revokes_what_shall_not_start_any_more(world):
    commit, running, waiting, timer = world.open(), world.message(), world.message(), world.message()
    (item,) = taken_by(world, commit, running)
    later = replace(timer, eta_us=world.now_us() + 3_600_000_000)
    never = f"never-sent-{world.mark}"

    world.send(waiting, later)
    world.do(commit, Revoke((running.id, waiting.id, timer.id, never)))

    assert world.document(running.id).state is State.STARTED
    assert {world.document(id_).state for id_ in (waiting.id, timer.id, never)} == {State.REVOKED}
    ended = Settled(Standing(Revoked(), 0))
    assert [each.verdict for each in world.take(commit, 2)] == [ended, ended]
    done = Transition(message=running, outcome=ok(1), delivery=item.delivery)
    assert commit.exchange([done]).standing == [None]


def test_k20_what_nobody_runs_is_revoked_at_once(world):
    commit, message = world.open(), world.message()
    world.send(message)
    commit.revoke([message.id, f"never-sent-{world.mark}"])

    assert world.document(message.id).state is State.REVOKED
    assert world.document(f"never-sent-{world.mark}").state is State.REVOKED


def test_k20_what_a_worker_runs_ends_by_that_worker(world):
    commit, message = world.open(), world.message()
    (item,) = taken_by(world, commit, message)
    commit.revoke([message.id])

    assert world.document(message.id).state is State.STARTED
    done = Transition(message=message, outcome=ok(1), delivery=item.delivery)
    assert commit.exchange([done]).standing == [None]
    assert world.document(message.id).state is State.SUCCESS


def test_k20_a_task_that_waits_for_its_next_attempt_is_revoked_at_once(world):
    commit, message = world.open(), world.message()
    (item,) = taken_by(world, commit, message)
    again = replace(message, attempt=1, eta_us=world.now_us() + 3_600_000_000)
    retry = Retry(eta_us=again.eta_us)
    commit.exchange(
        [Transition(message=message, outcome=retry, effects=(Publish(again),), delivery=item.delivery)]
    )
    commit.revoke([message.id])

    assert world.document(message.id).state is State.REVOKED
    (early,) = world.take(commit)
    assert early.verdict == Settled(Standing(Revoked(), 1))


def test_k20_a_timer_of_a_revoked_task_comes_at_once_so_that_what_depends_on_it_is_settled(world):
    commit = world.open()
    message = world.message(eta_us=world.now_us() + 3_600_000_000)
    world.send(message, world.message(eta_us=world.now_us() + 3_600_000_000))
    assert world.none(commit)
    commit.revoke([message.id])

    (item,) = world.take(commit)
    assert item.message.id == message.id
    assert item.verdict == Settled(Standing(Revoked(), 0))
    assert world.none(commit)


def test_k20_what_runs_can_be_ended_by_a_signal(world):
    commit = world.open()
    one, other = world.message(), world.message()
    world.send(one, other)
    assert [item.verdict for item in world.take(commit, 2)] == [Run()] * 2
    world.open().revoke([one.id], signum=15)
    world.open().revoke([other.id])

    assert commit.terminations([one.id, other.id, "unknown"]) == {one.id: 15}
    assert commit.terminations([]) == {}


def test_k20_a_revoked_root_is_forgotten_when_its_time_is_over_and_no_sooner(world, monkeypatch):
    for module in (memory, redis, sql_revoked):
        monkeypatch.setattr(module, "REVOKED_KEEP_US", 2_000_000)
    commit, old, young = world.open(), world.message(root_id="old"), world.message(root_id="young")
    commit.revoke(["old"])
    world.pass_time(2.1)
    commit.revoke(["young"])
    commit.sweep()
    world.send(old, young)

    verdicts = {item.message.id: item.verdict for item in world.take(commit, 2)}

    assert verdicts == {old.id: Run(), young.id: WasRevoked()}


def test_k20_a_dead_claim_of_a_revoked_task_is_not_taken_over(world):
    message, dying = world.message(), world.open(limits=DYING)
    taken_by(world, dying, message)
    dying.close()
    world.pass_lease()
    commit = world.open()
    commit.revoke([message.id])

    (item,) = world.take(commit)
    assert item.verdict == Settled(Standing(Revoked(), 0))


def test_k20_what_runs_goes_on_when_it_is_revoked_also_if_a_copy_of_it_comes(world):
    message = world.message()
    worker, other = world.open(), world.open()
    assert taken_by(world, worker, message)[0].verdict == Run()
    worker.revoke([message.id])

    world.send(message)
    assert isinstance(world.take_any([worker, other])[0].verdict, Later)
    assert worker.exchange([Transition(message=message, outcome=ok(1))]).standing == [None]
    assert world.document(message.id).value == "1"


def test_k20_what_was_revoked_while_it_ran_ends_when_it_asks_to_run_again(world):
    message, worker = world.message(), world.open()
    (item,) = taken_by(world, worker, message)
    worker.revoke([message.id])
    due = world.now_us() + 3_600_000_000

    again = replace(message, attempt=1, eta_us=due)
    retried = Transition(
        message=message, outcome=Retry(eta_us=due), effects=(Publish(again),), delivery=item.delivery
    )
    assert worker.exchange([retried]).standing == [None]

    (item,) = world.take(worker)
    assert (item.message.attempt, item.verdict) == (1, WasRevoked())


def test_k6_a_claim_is_dead_as_soon_as_its_process_is_known_to_be_over(world):
    dead, message = world.open(gone_incarnation()), world.message()
    assert taken_by(world, dead, message)[0].verdict == Run()
    dead.close()  # RabbitMQ delivers it again, and it is sent again for the others, which hold it until they sweep
    world.send(message)

    other = world.open(incarnation("alive"))
    assert world.take(other)[0].verdict == Run(lost=1)
    world.send(message)
    waiting = world.take_any([world.open(), other])[0].verdict
    assert isinstance(waiting, Later)
    assert name_of(waiting.holder) == "alive"


# --- early acknowledgement -------------------------------------------------------------------------------------------------------


def begun_early(world, commit, message):
    (item,) = taken_by(world, commit, message)
    assert item.verdict == Run()
    assert commit.exchange([Transition(early=message, delivery=item.delivery)]).standing == [None]
    return item


def next_ended(world, commit):
    """The next message that is no guard of a claim which still lives, or of an attempt that has ended."""
    while True:
        (item,) = world.take(commit)
        match item.verdict:
            case Later(until_us):
                again = Publish(item.message, until_us)
                commit.exchange([Transition(effects=(again,), delivery=item.delivery)])
            case Stale() | Settled() if item.message.guards:
                commit.exchange([Transition(delivery=item.delivery)])
            case _:
                return item


def test_k9_what_was_acknowledged_early_ends_when_its_claim_dies_and_never_runs_again(world):
    message = world.message()
    dying = world.open(limits=DYING)
    begun_early(world, dying, message)
    dying.close()
    world.pass_lease()

    item = next_ended(world, world.open())
    assert item.message.id == message.id
    assert item.verdict == Poison(1, early=True)


def test_k9_what_was_acknowledged_early_ends_as_everything_does(world):
    commit, message = world.open(), world.message()
    item = begun_early(world, commit, message)
    done = Transition(message=message, outcome=ok(1), delivery=item.delivery)

    assert commit.exchange([done]).standing == [None]
    assert world.document(message.id).state is State.SUCCESS
    assert world.none(commit)


def test_k9_a_lost_process_ends_what_was_acknowledged_early(world):
    commit, message = world.open(limits=DYING), world.message()
    item = begun_early(world, commit, message)
    commit.release([item], lost=True)
    commit.close()
    world.pass_lease()

    assert next_ended(world, world.open()).verdict == Poison(1, early=True)


def test_k9_a_later_attempt_is_early_only_if_it_says_so(world):
    commit, message = world.open(limits=DYING), world.message()
    item = begun_early(world, commit, message)
    again = replace(message, attempt=1)
    commit.exchange(
        [
            Transition(
                message=message,
                outcome=Retry(eta_us=0),
                effects=(Publish(again),),
                delivery=item.delivery,
            )
        ]
    )
    assert next_ended(world, commit).verdict == Run()
    commit.close()
    world.pass_lease()

    assert next_ended(world, world.open()).verdict == Run(lost=1)


# --- dead letters ----------------------------------------------------------------------------------------------------------------


def test_k8_dead_letters_are_listed_newest_first_shown_and_dropped(world):
    commit = world.open()
    for number in range(5):
        letter = DeadLetter(f"reason {number}", f'{{"n": {number}}}', f"id{number}", "celery")
        commit.exchange([Transition(dead=letter)])

    first, all_of_them = commit.dead_letters(2), commit.dead_letters(9)
    assert [kept.letter.reason for kept in first] == ["reason 4", "reason 3"]
    older = commit.dead_letters(2, before=first[-1].key)
    assert [kept.letter.reason for kept in older] == ["reason 2", "reason 1"]
    assert commit.dead_letter(first[0].key) == first[0]
    assert first[0].letter == DeadLetter("reason 4", '{"n": 4}', "id4", "celery")
    assert abs(first[0].at_us - world.now_us()) < 60_000_000
    assert commit.drop_dead([kept.key for kept in first]) == 2
    assert commit.drop_dead([first[0].key, "unknown"]) == 0
    assert commit.dead_letters(9) == all_of_them[2:]
    assert commit.dead_letter(first[0].key) is None


def test_k6_a_dead_letter_is_requeued_once_with_the_next_generation(world):
    commit, message = world.open(), world.message()
    dead = DeadLetter("it died", "raw", message.id)
    commit.exchange([Transition(message=message, outcome=broken(), dead=dead)])
    (kept,) = commit.dead_letters(9)
    again = replace(message, generation=1)
    requeue = Transition(effects=(Publish(again),), digs_up=kept.key)
    commit.exchange([requeue])
    commit.exchange([requeue])

    (item,) = world.take(commit)
    assert (item.message.generation, item.verdict) == (1, Run())
    assert world.none(commit)
    assert commit.dead_letters(9) == []


def test_revoking_what_has_ended_changes_nothing(world):
    commit, message = world.open(), world.message()
    commit.exchange([Transition(message=message, outcome=ok(1))])
    commit.revoke([message.id])

    (item,) = taken_by(world, commit, message)

    assert item.verdict == Settled(Standing(ok(1), 0))


# --- timers ----------------------------------------------------------------------------------------------------------------------


def test_k16_nothing_comes_before_its_time_and_all_of_it_afterwards(world):
    commit = world.open()
    due = world.now_us() + 600_000
    by_eta, parked, countdown = world.message(eta_us=due), world.message(), world.message(countdown=0.6)
    client = world.open("client")
    world.do(client, Publish(by_eta), Publish(parked, due), Publish(countdown))
    client.close()

    taken = world.take(commit, 1, 0.1)
    world.pass_time(0.6)
    taken += world.take(commit, 3 - len(taken))

    assert {item.message.id for item in taken} == {by_eta.id, parked.id, countdown.id}
    assert all(item.verdict == Run() and item.verdict.started_us >= due for item in taken)
    (late,) = [item for item in taken if item.message.id == countdown.id]
    assert late.message.eta_us is not None
    assert late.message.countdown is None


def test_i_eta_a_message_that_comes_too_early_is_for_later(world):
    """A foreign client may send it to the queue at once."""
    if world.kind == "split-memory":
        pytest.skip("its broker keeps timers itself, so nothing comes too early")
    commit = world.open()
    due = world.now_us() + 60_000_000
    message = world.message(eta_us=due)
    world.do(commit, Publish(message, world.now_us() - 1))

    (item,) = world.take(commit)

    assert item.verdict == Later(due)


def test_a_relative_expiry_becomes_absolute(world):
    commit = world.open()
    before = world.now_us()
    world.send(world.message(expires_after=100.0))

    (item,) = world.take(commit)

    assert before + 99_000_000 < item.message.expires_us < world.now_us() + 101_000_000


# --- joins -----------------------------------------------------------------------------------------------------------------------


def test_a_join_is_complete_when_all_parts_are_in_and_then_sends_its_message(world):
    commit = world.open()
    join_id = world.open_join(commit, 3)
    world.do(commit, part(join_id, 2), part(join_id, 0))
    before = commit.load(joins=[join_id]).joins[join_id]
    nothing = world.none(commit)
    world.do(commit, part(join_id, 1))

    after = commit.load(joins=[join_id]).joins[join_id]

    assert not before.complete
    assert nothing
    assert after.complete
    assert after.record.join_id == join_id
    assert sorted((p.index, p.id, p.outcome) for p in after.parts) == [
        (n, f"member{n}", ok(n)) for n in range(3)
    ]
    assert world.join_messages(commit) == [join_id]


def test_k3_a_part_that_comes_twice_counts_once_and_the_first_stands(world):
    commit = world.open()
    join_id = world.open_join(commit, 2)
    world.do(commit, part(join_id, 0, 10), part(join_id, 0, 11))
    world.do(commit, part(join_id, 0, 12))

    state = commit.load(joins=[join_id]).joins[join_id]

    assert not state.complete
    assert [(p.index, p.outcome) for p in state.parts] == [(0, ok(10))]
    assert world.none(commit)


def test_k3_a_part_that_completes_its_join_waits_for_no_other(world):
    commit, join_id = world.open(), f"join-{world.mark}"
    record = JoinRecord(join_id=join_id, then=None, root_id="r", policy=Policy.FAIL_FAST, members=("a", "b"))
    world.do(commit, OpenJoin(record, 3), AddPart(join_id, 1, "b", ok(1)))
    assert world.none(commit)

    world.do(commit, AddPart(join_id, 0, "a", broken(), completes=True))

    assert world.join_messages(commit) == [join_id]
    state = commit.load(joins=[join_id]).joins[join_id]
    assert (state.record, state.complete) == (record, True)
    assert sorted(part.index for part in state.parts) == [0, 1]


def test_k3_a_part_completes_a_join_that_is_not_sealed_yet(world):
    commit, join_id = world.open(), f"join-{world.mark}"
    world.do(commit, OpenJoin(JoinRecord(join_id=join_id, then=None, root_id="r"), None, 60.0))

    world.do(commit, AddPart(join_id, 0, "a", broken(), completes=True))

    assert world.join_messages(commit) == [join_id]
    world.do(commit, SealJoin(join_id, 5))
    assert commit.load(joins=[join_id]).joins[join_id].complete


def test_k3_a_part_of_a_complete_join_sends_its_message_again(world):
    commit = world.open()
    join_id = world.open_join(commit, 1)
    world.do(commit, part(join_id, 0))
    first = world.join_messages(commit)
    world.do(commit, part(join_id, 0))

    assert first == world.join_messages(commit) == [join_id]


def test_parts_may_be_failures(world):
    commit = world.open()
    join_id = world.open_join(commit, 1)
    failed = broken()
    world.do(commit, part(join_id, 0).__class__(join_id, 0, "member0", failed))

    (found,) = commit.load(joins=[join_id]).joins[join_id].parts

    assert found.outcome == failed


def test_opening_a_join_or_a_chain_again_changes_nothing(world):
    commit = world.open()
    join_id = world.open_join(commit, 2)
    world.do(commit, part(join_id, 0))
    world.open_join(commit, 2)
    world.do(commit, OpenChain(chain(world, "c", 1)))
    world.do(commit, OpenChain(chain(world, "c", 2)))

    loaded = commit.load(chains=[f"c-{world.mark}"], joins=[join_id])

    assert len(loaded.joins[join_id].parts) == 1
    assert loaded.chains[f"c-{world.mark}"] == chain(world, "c", 1)


def test_k4_an_unsealed_join_is_complete_once_it_is_sealed(world):
    commit = world.open()
    join_id = world.open_join(commit, None, lease_seconds=60)
    world.do(commit, part(join_id, 0), part(join_id, 1))
    unsealed = commit.load(joins=[join_id]).joins[join_id].complete
    nothing = world.none(commit)
    world.do(commit, SealJoin(join_id, 2))

    assert not unsealed
    assert nothing
    assert world.join_messages(commit) == [join_id]
    assert commit.load(joins=[join_id]).joins[join_id].complete


def test_to_seal_a_join_that_is_not_there_changes_nothing(world):
    commit = world.open()

    world.do(commit, SealJoin("nowhere", 2))

    assert commit.load(joins=["nowhere"]).joins == {}


def test_a_size_that_is_set_stays(world):
    commit = world.open()
    join_id = world.open_join(commit, 2)
    world.do(commit, part(join_id, 0))

    world.do(commit, SealJoin(join_id, 1))

    assert not commit.load(joins=[join_id]).joins[join_id].complete


def test_a_sealed_join_waits_for_its_missing_parts(world):
    commit = world.open()
    join_id = world.open_join(commit, None, lease_seconds=60)
    world.do(commit, part(join_id, 0))
    world.do(commit, SealJoin(join_id, 2))
    world.do(commit, SealJoin(join_id, 2))
    nothing = world.none(commit)
    world.do(commit, part(join_id, 1))

    assert nothing
    assert world.join_messages(commit) == [join_id]


def test_a_join_is_opened_filled_and_sealed_in_one_exchange(world):
    from backbeat.canvas.continuation import JoinRecord
    from backbeat.canvas.effect import OpenJoin

    commit = world.open()
    join_id = f"all-{world.mark}"
    record = JoinRecord(join_id=join_id, then=None, root_id="r")
    world.do(commit, OpenJoin(record, None, 60), part(join_id, 0), SealJoin(join_id, 1))

    assert set(world.join_messages(commit)) == {join_id}


def test_k4_joins_whose_sender_died_are_returned_by_sweep_until_they_are_closed(world):
    commit = world.open()
    interrupted = world.open_join(commit, None, "interrupted", lease_seconds=0.05)
    sealed = world.open_join(commit, None, "sealed", lease_seconds=0.05)
    world.do(commit, SealJoin(sealed, 3))
    redelivered = world.open_join(commit, None, "redelivered")
    alive = world.open_join(commit, None, "alive", lease_seconds=0.05)
    world.open_join(commit, None, "alive", lease_seconds=600)
    world.pass_time(0.1)

    found = {record.join_id for record in commit.sweep()}
    commit.exchange([Transition(closes=Closing(interrupted))])
    after = {record.join_id for record in commit.sweep()}

    assert found & {interrupted, sealed, redelivered, alive} == {interrupted}
    assert interrupted not in after


def test_k4_an_interrupted_join_whose_chain_is_gone_is_closed_and_kept_as_a_dead_letter(world):
    commit = world.open()
    record = JoinRecord(join_id=f"lost-{world.mark}", then=Step(f"gone-{world.mark}", 1), root_id="root")
    world.do(commit, OpenJoin(record, None, lease_seconds=0.05))
    world.pass_time(0.1)
    (found,) = [each for each in commit.sweep() if each.join_id == record.join_id]

    Performer(commit, None, now_us=world.now_us).settle_interrupted(found)

    (kept,) = [dead for dead in commit.dead_letters(9) if dead.letter.task_id == record.join_id]
    assert f"no longer has chain 'gone-{world.mark}'" in kept.letter.reason
    assert record.join_id in kept.letter.raw
    assert record.join_id not in {each.join_id for each in commit.sweep()}


def test_k22_a_join_is_closed_only_once(world):
    commit = world.open()
    join_id = world.open_join(commit, 1)
    world.do(commit, part(join_id, 0))
    world.join_messages(commit)
    one, two = world.message(), world.message()

    answers = [
        commit.exchange([Transition(closes=Closing(join_id), effects=(Publish(message),))]).standing
        for message in (one, two)
    ]

    assert [list(answer) for answer in answers] == [[None], [None]]
    assert [item.message.id for item in world.take(commit)] == [one.id]
    assert world.none(commit)


def test_k22_a_body_starts_again_only_if_the_worker_that_ran_it_died(world):
    dying = world.open("dying", MORTAL)
    body = Call(task="t", id=f"body-{world.mark}", options={"queue": DEFAULT_QUEUE})
    join = JoinRecord(join_id=f"join-{world.mark}", then=Inline((body,)), root_id="root")
    world.do(dying, OpenJoin(join, 1), part(join.join_id, 0))
    (dispatch,) = world.take(dying)
    performer = Performer(dying, None, now_us=world.now_us)
    performer.commit([performer.route(dispatch)])

    (held,) = world.take(dying)
    other = world.open("other")
    verdict = copy_of_what_runs(world, held, dying, other)
    dying.close()
    world.pass_time(MORTAL.lease_seconds * 1.1)
    (again,) = world.take(other)

    assert (held.message.id, held.verdict) == (body.id, Run())
    assert isinstance(verdict, Later)
    assert (again.message.id, again.verdict) == (body.id, Run(lost=1))


def test_closing_a_closed_join_still_acknowledges(world):
    dying, commit, message = world.open("dying", DYING), world.open(), world.message()
    join_id = world.open_join(commit, 1)
    commit.exchange([Transition(closes=Closing(join_id))])
    (item,) = taken_by(world, dying, message)
    dying.exchange([Transition(closes=Closing(join_id), delivery=item.delivery)])
    dying.close()
    world.pass_lease()

    assert world.none(commit)


def test_closing_a_join_that_never_was_has_no_effects(world):
    commit = world.open()
    commit.exchange(
        [Transition(closes=Closing(f"nowhere-{world.mark}"), effects=(Publish(world.message()),))]
    )

    assert world.none(commit)


def test_a_part_for_a_closed_join_is_passed_over(world):
    commit = world.open()
    join_id = world.open_join(commit, 1)
    commit.exchange([Transition(closes=Closing(join_id))])
    world.do(commit, part(join_id, 0))
    world.open_join(commit, 1)
    world.do(commit, part(join_id, 0))

    state = commit.load(joins=[join_id]).joins.get(join_id)

    assert world.none(commit)
    assert state is None or not state.complete


def test_a_part_for_a_join_that_never_was_hurts_nobody(world):
    commit, message = world.open(), world.message()
    world.do(commit, part(f"nowhere-{world.mark}", 0), Publish(message))

    assert [item.message.id for item in world.take(commit)] == [message.id]


RACES = int(os.environ.get("BACKBEAT_RACES", "200"))
"""As many as tell: where nothing locks the join's row, most of them fail."""


@pytest.mark.timeout(300)
def test_k3_the_last_two_parts_of_a_join_race_hundreds_of_times(world):
    commit = world.open()
    joins = [world.open_join(commit, 2, f"race{n}") for n in range(RACES)]
    barrier = threading.Barrier(2, timeout=60)
    errors = []

    def add(index):
        own = world.open(f"racer{index}")
        try:
            for join_id in joins:
                barrier.wait()
                world.do(own, part(join_id, index))
        except BaseException as error:
            errors.append(error)
            barrier.abort()

    threads = [threading.Thread(target=add, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors
    sent = Counter()
    while found := world.join_messages(commit, 8, 2 if sent.total() < len(joins) else 0.2):
        sent.update(found)
    states = commit.load(joins=joins).joins

    assert sent == dict.fromkeys(joins, 1)
    assert all(states[join_id].complete for join_id in joins)


# --- chains ----------------------------------------------------------------------------------------------------------------------


def chain(world, name, steps, below=None):
    calls = tuple(Call(task="t", id=f"{name}{n}") for n in range(steps))
    return ChainRecord(chain_id=f"{name}-{world.mark}", steps=calls, below=below, root_id="r")


def test_a_chain_is_loaded_with_all_that_is_below_it(world):
    commit = world.open()
    bottom = chain(world, "bottom", 2)
    middle = chain(world, "middle", 1, Inline((Call(task="t", id="x"),), Step(bottom.chain_id, 1)))
    top = chain(world, "top", 3, Step(middle.chain_id, 1))
    other = chain(world, "other", 1)
    world.do(commit, *map(OpenChain, (bottom, middle, top, other)))

    loaded = world.open().load(chains=[top.chain_id, "unknown"])

    assert loaded.chains == {record.chain_id: record for record in (top, middle, bottom)}
    assert loaded.joins == {}


def test_a_closed_chain_can_still_be_read(world):
    commit, record = world.open(), chain(world, "c", 2)
    world.do(commit, OpenChain(record))
    world.do(commit, CloseChain(record.chain_id))
    world.do(commit, CloseChain(record.chain_id))
    world.do(commit, CloseChain("never"))
    commit.sweep()

    assert commit.load(chains=[record.chain_id]).chains == {record.chain_id: record}


def test_loading_nothing_gives_nothing(world):
    loaded = world.open().load()

    assert not loaded.chains
    assert not loaded.joins


# --- messages --------------------------------------------------------------------------------------------------------------------


def test_what_was_taken_is_acknowledged_by_its_transition(world):
    commit, message, follower = world.open("one", DYING), world.message(), world.message("follower")
    (item,) = taken_by(world, commit, message)
    commit.exchange(
        [Transition(message=message, outcome=ok(1), effects=(Publish(follower),), delivery=item.delivery)]
    )
    (second,) = world.take(commit)
    commit.exchange([Transition(delivery=second.delivery)])
    commit.exchange([Transition(delivery=second.delivery)])
    commit.close()
    world.pass_lease()

    assert second.message.id == follower.id
    assert world.none(world.open("two"))


def test_no_more_is_taken_than_was_asked_for(world):
    commit = world.open()
    world.send(*(world.message() for _ in range(5)))

    first = world.take(commit, 2)
    rest = world.take(commit, 3)

    assert len(first) == 2
    assert len({item.message.id for item in [*first, *rest]}) == 5
    assert world.none(commit)


def test_k1_what_comes_and_what_goes_are_one_exchange(world):
    commit, message, follower = world.open(), world.message(), world.message("follower")
    (item,) = taken_by(world, commit, message)

    answer = commit.exchange(
        [Transition(message=message, outcome=ok(1), effects=(Publish(follower),), delivery=item.delivery)],
        take=5,
    )
    taken = list(answer.taken) or world.take(commit)

    assert list(answer.standing) == [None]
    assert [item.message.id for item in taken] == [follower.id]


def test_a_large_message_comes_whole(world):
    commit = world.open()
    text = Json(json.dumps(["ä" * (80_000 if world.kind == ON_SQS else 300_000)]))
    world.send(world.message(args=text))

    (item,) = world.take(commit)

    assert json.loads(item.message.args) == json.loads(text)


def test_a_dead_letter_is_stored_with_what_it_came_from(world):
    commit, message = world.open(), world.message()
    (item,) = taken_by(world, commit, message)
    (standing,) = commit.exchange(
        [
            Transition(
                message=message,
                outcome=broken(),
                delivery=item.delivery,
                dead=DeadLetter("it is broken", item.delivery.raw, message.id),
            )
        ]
    ).standing

    assert standing is None
    assert item.delivery.raw
    assert dead_letters(world) == [("it is broken", message.id)]


def dead_letters(world):
    store = getattr(world.backend, "_store", world.backend)
    match world.kind.rsplit("-", 1)[-1]:
        case "memory":
            letters = store.store.state.dead.newest(100, "")
            return [(kept.letter.reason, kept.letter.task_id) for kept in reversed(letters)]
        case "redis":
            rows = [json.loads(text) for text in store._client.hvals(f"{store._prefix}backbeat:dead-texts")]
            return [(row["reason"], row["task_id"]) for row in rows]
    from backbeat.canvas.sql.tables import dead_table
    from sqlalchemy import select

    with store._engine.connect() as connection:
        return [(row.reason, row.task_id) for row in connection.execute(select(dead_table))]


def test_wait_ends_when_something_comes(world):
    commit, client, message = world.open(), world.open("client"), world.message()
    commit.exchange([], take=1)
    sending = threading.Timer(0.1, world.do, [client, Publish(message)])
    sending.start()
    deadline = time.monotonic() + 20
    while not (taken := commit.exchange([], take=1).taken) and time.monotonic() < deadline:
        commit.wait(20)
    sending.join()

    assert [item.message.id for item in taken] == [message.id]


def test_closing_twice_is_closing_once(world):
    commit = world.open()
    world.do(commit, Publish(world.message()))
    commit.close()
    commit.close()


# --- one broker, another store ---------------------------------------------------------------------------------------------------


class Died(Exception):
    """The process dies here."""


@pytest.fixture(params=OUTBOXES)
def split(request):
    opened = CommitWorld(open_backend(request.param, request), request.param)
    yield opened
    opened.close()


@pytest.mark.parametrize("where", ["before publish", "within publish", "after publish", "after the store"])
def test_k1_what_a_writer_stored_and_did_not_send_is_relayed_by_any_worker(split, where):
    def crash(at):
        if at == where:
            raise Died

    writer = split.backend.open("writer", crash, limits=DYING)
    messages = [split.message() for _ in range(4)]
    with pytest.raises(Died):
        writer.exchange([Transition(effects=tuple(Publish(message) for message in messages))])
    writer.close()
    split.pass_lease()

    worker = split.open()
    taken = split.take(worker, 4)
    while len({item.message.id for item in taken}) < 4:
        taken += split.take(worker)

    assert {item.message.id for item in taken} == {message.id for message in messages}


def test_what_was_delivered_and_could_not_be_claimed_goes_to_others_after_a_pause(split):
    first, second = split.open(), split.open()
    split.send(*(split.message() for _ in range(3)))
    down = [True]
    first._store._crash = lambda at: fail(at) if down[0] else None

    def fail(at):
        if first._unclaimed:
            raise Unavailable(at)

    wait_until(lambda: raises_unavailable(lambda: first.exchange([], take=3)), 20)
    assert first._unclaimed
    first.pause()
    others = split.take(second, 3)
    down[0] = False

    assert len({item.message.id for item in others}) == 3
    assert split.none(first)


def raises_unavailable(call):
    try:
        call()
    except Unavailable:
        return True
    return False


def test_what_was_sent_is_not_sent_again(split):
    worker = split.open("writer", DYING)
    split.do(worker, *(Publish(split.message()) for _ in range(3)))
    taken = split.take(worker, 3)
    worker.exchange([Transition(delivery=item.delivery) for item in taken])
    split.pass_lease()
    worker.sweep()

    assert split.none(worker)


def test_the_outbox_is_claimed_by_one_relay_at_a_time(split):
    store = split.backend._store

    def crash(at):
        raise Died

    writer = split.backend.open(
        "writer", lambda at: crash(at) if at == "before publish" else None, limits=DYING
    )
    with pytest.raises(Died):
        writer.exchange([Transition(effects=(Publish(split.message()),))])
    writer.close()
    split.pass_lease()
    relays = [store.open(f"relay{n}", role=Role.STORE, limits=LIVING) for n in range(2)]

    found = [len(split.take(relay, 1, 0.5 if n else 20)) for n, relay in enumerate(relays)]
    for relay in relays:
        relay.close()

    assert found == [1, 0]


def test_claiming_what_another_broker_delivered(split):
    store = split.backend._store.open("w", role=Role.STORE, limits=LIVING)
    worker, message = split.open("other"), split.message()
    (item,) = taken_by(split, worker, message)
    bare = Taken(item.delivery, None, Run(), "not a message")

    answer = store.exchange([], claim=[bare, Taken(item.delivery, message, Run())])
    store.close()

    assert [type(claimed.verdict) for claimed in answer.claimed] == [Run, Later]
    assert answer.claimed[0].reason == "not a message"


def test_k3_a_part_whose_join_is_gone_without_a_tombstone_is_a_dead_letter(world):
    commit = world.open()
    join_id = f"gone-{world.mark}"

    world.do(commit, part(join_id, 0))

    ((reason, task_id),) = dead_letters(world)
    assert reason == f"JoinLost: the store has no join {join_id}, which this task was to report to"
    assert task_id == part(join_id, 0).id


def test_a_part_that_comes_after_its_join_was_closed_is_none(world):
    commit = world.open()
    join_id = world.open_join(commit, 1)
    world.do(commit, part(join_id, 0))
    commit.exchange([Transition(closes=Closing(join_id))])

    world.do(commit, part(join_id, 0))

    assert dead_letters(world) == []
