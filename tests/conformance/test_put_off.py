"""Putting off: what may not start yet waits as a timer, as if it had never been claimed, over every implementation of Commit and every pair."""

from __future__ import annotations

import pytest
from backbeat.canvas.commit.put_off import PutOff, Wait
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.commit.verdict import Run, Settled, WasRevoked
from backbeat.canvas.outcome import Retry, Revoked, State
from msgspec.structs import replace

from support.commit_world import DYING, CommitWorld, ok
from support.kinds import IN_TURN, STORES, open_backend


class WaitingWorld(CommitWorld):
    def put_off(self, commit, item, seconds=0.2, *, has_turn=False):
        transition = Transition(
            puts_off=PutOff(item.message, Wait(seconds, has_turn)), delivery=item.delivery
        )
        assert list(commit.exchange([transition]).standing) == [None]

    def end(self, commit, item, outcome, *effects):
        commit.exchange(
            [Transition(message=item.message, outcome=outcome, effects=effects, delivery=item.delivery)]
        )


@pytest.fixture(params=IN_TURN)
def world(request):
    opened = WaitingWorld(open_backend(request.param, request), request.param)
    yield opened
    opened.close()


def test_what_is_put_off_comes_once_and_not_before_its_time_and_was_never_claimed(world):
    commit, message = world.open(), world.message()
    world.send(message)
    (item,) = world.take(commit)
    before = world.now_us()
    world.put_off(commit, item)

    taken = commit.exchange([], take=1).taken
    world.pass_time(0.2)
    # on a busy machine its time may have come by the first look
    (again,) = taken or world.take(commit)

    assert world.now_us() - before >= 200_000
    assert (again.verdict, again.message.paced_us) == (Run(lost=0), None)
    assert world.none(commit)


def test_a_turn_that_is_kept_travels_along(world):
    commit, message = world.open(), world.message()
    world.send(message)
    (item,) = world.take(commit)
    world.put_off(commit, item, has_turn=True)
    world.pass_time(0.2)
    (again,) = world.take(commit)

    assert again.verdict.started_us >= again.message.paced_us > item.verdict.started_us
    assert replace(again.message, paced_us=None) == item.message


def test_another_worker_runs_what_was_put_off_at_once_as_no_claim_is_left(world):
    commit, message = world.open(), world.message()
    world.send(message)
    (item,) = world.take(commit)
    world.put_off(commit, item)
    commit.close()
    world.pass_time(0.2)
    other = world.open()
    (again,) = world.take(other)

    assert again.verdict == Run(lost=0)
    world.end(other, again, ok(1))
    assert world.document(message.id).state is State.SUCCESS


def test_putting_off_counts_no_loss_and_forgets_none(world):
    message, dying = world.message(), world.open(limits=DYING)
    world.send(message)
    world.take(dying)
    dying.close()
    world.pass_lease()
    commit = world.open()
    (item,) = world.take(commit)
    assert item.verdict == Run(lost=1)
    world.put_off(commit, item)
    world.pass_time(0.2)
    (again,) = world.take(commit)

    assert again.verdict == Run(lost=1)


def test_k20_what_is_put_off_and_revoked_comes_at_once_to_be_settled(world):
    commit, message = world.open(), world.message()
    world.send(message)
    (item,) = world.take(commit)
    world.put_off(commit, item, 3_600.0)
    world.open("client").revoke([message.id])
    (again,) = world.take(commit)

    assert again.verdict == Settled(again.verdict.standing)
    assert again.verdict.standing.outcome == Revoked()


def test_k20_what_was_revoked_while_a_worker_had_it_is_not_put_off(world):
    commit, message = world.open(), world.message()
    world.send(message)
    (item,) = world.take(commit)
    world.open("client").revoke([message.id])
    world.put_off(commit, item, 3_600.0)
    (again,) = world.take(commit)

    assert isinstance(again.verdict, WasRevoked)


@pytest.mark.parametrize("world", [*STORES, "split-memory"], indirect=True)  # RabbitMQ knows no leases
def test_who_lost_its_claim_gives_back_nothing_of_who_has_it_now(world):
    message, slow = world.message(), world.open(limits=DYING)
    world.send(message)
    (item,) = world.take(slow)
    world.pass_lease()
    commit = world.open()
    (mine,) = world.take(commit)
    assert mine.verdict == Run(lost=1)
    world.put_off(slow, item)
    world.end(commit, mine, ok(1))
    world.pass_time(0.2)
    (copy,) = world.take(commit)

    assert isinstance(copy.verdict, Settled)


def test_an_attempt_that_is_put_off_is_that_attempt_still(world):
    commit, message = world.open(), world.message(attempt=1)
    world.send(message)
    (item,) = world.take(commit)
    world.put_off(commit, item)
    world.pass_time(0.2)
    (again,) = world.take(commit)
    world.end(commit, again, Retry(eta_us=world.now_us()))

    assert (again.message.attempt, again.verdict) == (1, Run(lost=0))
