"""Unique keys: a send whose key another task has is dropped, over every implementation of Commit and every split pair."""

from __future__ import annotations

import pytest
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.commit.verdict import Run, Settled, Standing
from backbeat.canvas.effect import Publish
from backbeat.canvas.outcome import Retry, Revoked, State
from backbeat.canvas.unique import Scope, Unique
from msgspec.structs import replace

from support.commit_world import DYING, CommitWorld, broken, ok
from support.kinds import SPLIT, STORES, open_backend
from support.thorough import in_turn

HOUR_US = 3_600_000_000


class KeyedWorld(CommitWorld):
    """A world with a client that sends tasks with keys."""

    def wants(self, message, key="key", **asked):
        """The transition that sends `message` with a key."""
        unique = Unique(key=f"{key}-{self.mark}", id=message.id, **asked)
        return Transition(effects=(Publish(message),), unique=unique)

    def offer(self, message, key="key", **asked):
        """Send with a key; returns the id of the task that has it, None if this one has it now."""
        answer = self.open("client").exchange([self.wants(message, key, **asked)])
        assert list(answer.standing) == [None]
        return answer.holders.get(0)

    def is_taken(self, key="key"):
        """Whether a new task could not be sent; it is revoked if it was."""
        message = self.message()
        holder = self.offer(message, key)
        if holder is None:
            self.open("client").revoke([message.id])
        return holder is not None

    def end(self, commit, item, outcome, *effects):
        commit.exchange(
            [Transition(message=item.message, outcome=outcome, effects=effects, delivery=item.delivery)]
        )


@pytest.fixture(
    params=in_turn([*STORES, "split-memory"], always=["memory", "sqlite", "redis", "split-memory"])
)
def world(request):
    opened = KeyedWorld(open_backend(request.param, request), request.param)
    yield opened
    opened.close()


@pytest.mark.parametrize("world", [*STORES, *SPLIT], indirect=True)
def test_r18_a_send_whose_key_is_taken_is_dropped_and_told_who_has_it(world):
    commit, first, second, other = world.open(), world.message(), world.message(), world.message()

    answers = [world.offer(first), world.offer(second), world.offer(other, "Key"), world.offer(second)]
    again = world.offer(first)
    taken = world.take(commit, 3)

    assert answers == [None, first.id, None, first.id]
    assert again is None
    assert sorted(item.message.id for item in taken) == sorted([first.id, first.id, other.id])
    assert world.none(commit)
    assert world.document(second.id).state is State.PENDING


def test_r18_of_two_sends_in_one_step_the_first_has_the_key(world):
    commit, first, second, third = world.open(), world.message(), world.message(), world.message()

    answer = world.open("client").exchange(
        [world.wants(first), Transition(effects=(Publish(third),)), world.wants(second)]
    )
    taken = world.take(commit, 2)

    assert list(answer.standing) == [None] * 3
    assert answer.holders == {2: first.id}
    assert {item.message.id for item in taken} == {first.id, third.id}
    assert not commit.exchange([], take=1).taken


def test_r18_a_running_scope_is_from_sending_until_the_last_attempt_has_ended(world):
    commit, message, now = world.open(), world.message(), world.now_us()
    assert world.offer(message) is None
    taken = [world.is_taken()]
    (item,) = world.take(commit)
    taken.append(world.is_taken())
    again = replace(message, attempt=1)
    world.end(commit, item, Retry(eta_us=now), Publish(again))
    taken.append(world.is_taken())
    (item,) = world.take(commit)
    taken.append(world.is_taken())
    world.end(commit, item, broken())

    assert item.verdict == Run()
    assert taken == [True] * 4
    assert not world.is_taken()


def test_r18_a_dead_worker_does_not_free_the_key_of_a_running_scope(world):
    message, dying = world.message(), world.open(limits=DYING)
    assert world.offer(message) is None
    assert [item.verdict for item in world.take(dying)] == [Run()]
    dying.close()
    world.pass_lease()

    assert world.is_taken()
    commit = world.open()
    (item,) = world.take(commit)
    assert item.verdict == Run(lost=1)
    assert world.is_taken()
    world.end(commit, item, ok(1))
    assert not world.is_taken()


def test_r18_a_pending_scope_is_until_a_worker_claims_it(world):
    commit, message = world.open(), world.message()
    assert world.offer(message, scope=Scope.PENDING) is None
    taken = [world.is_taken()]
    held = world.take(commit)
    commit.release(held)
    taken.append(world.is_taken())  # it was handed back unstarted
    (item,) = world.take(commit)

    assert item.verdict == Run()
    assert taken == [True, True]
    assert not world.is_taken()


def test_r18_a_pending_scope_ends_with_a_start_whose_process_was_lost(world):
    commit, message = world.open(), world.message()
    assert world.offer(message, scope=Scope.PENDING) is None
    commit.release(world.take(commit), lost=True)

    assert not world.is_taken()


def test_r18_a_scope_in_seconds_is_for_so_long_whatever_happens(world):
    commit, long, short = world.open(), world.message(), world.message()
    assert world.offer(long, "long", scope=Scope.TIME, seconds=3_600.0) is None
    assert world.offer(short, "short", scope=Scope.TIME, seconds=0.05) is None
    (item,) = [item for item in world.take(commit, 2) if item.message.id == long.id]
    world.end(commit, item, ok(1))
    world.pass_time(0.06)
    commit.sweep()

    assert world.is_taken("long")
    assert not world.is_taken("short")


@pytest.mark.parametrize("how", ["revoked", "ignored result"])
def test_r18_what_can_no_longer_run_has_no_key(world, how):
    commit, message = world.open(), world.message(ignore_result=how == "ignored result")
    assert world.offer(message) is None
    taken = world.is_taken()
    if how == "revoked":
        commit.revoke([message.id])
    else:
        (item,) = world.take(commit)
        world.end(commit, item, ok(1))

    assert taken
    assert not world.is_taken()


def test_r18_what_expired_before_it_started_has_no_key(world):
    assert world.offer(world.message(expires_after=3_600.0), "fresh") is None
    assert world.offer(world.message(expires_after=0.05), "stale") is None
    world.pass_time(0.12)  # a client takes the server's clock to be at most 50 ms ahead of what it is

    assert world.is_taken("fresh")
    assert not world.is_taken("stale")


def test_r18_a_timer_keeps_its_key_however_long_it_waits(world):
    message = world.message(eta_us=world.now_us() + 40 * 24 * HOUR_US)
    assert world.offer(message) is None
    world.open().sweep()

    assert world.is_taken()


@pytest.mark.parametrize("world", [*STORES, *SPLIT], indirect=True)
def test_r18_replacing_revokes_what_waits(world):
    commit = world.open()
    old, new = world.message(eta_us=world.now_us() + HOUR_US), world.message()
    assert world.offer(old) is None

    replaced = world.offer(new, replaces=True)
    taken = {item.message.id: item.verdict for item in world.take(commit, 2)}

    assert replaced is None
    assert world.document(old.id).state is State.REVOKED
    assert taken == {old.id: Settled(Standing(Revoked(), 0)), new.id: Run()}
    assert world.is_taken()


def test_r18_replacing_leaves_what_runs_alone(world):
    commit, old, new = world.open(), world.message(), world.message()
    assert world.offer(old) is None
    (item,) = world.take(commit)

    holder = world.offer(new, replaces=True)
    world.end(commit, item, ok(1))

    assert holder == old.id
    assert world.document(old.id).state is State.SUCCESS
    assert world.document(new.id).state is State.PENDING
    assert not commit.exchange([], take=1).taken


def test_r18_replacing_revokes_what_waits_for_its_next_attempt(world):
    commit, old, new = world.open(), world.message(), world.message()
    assert world.offer(old) is None
    (item,) = world.take(commit)
    again = replace(old, attempt=1, eta_us=world.now_us() + HOUR_US)
    world.end(commit, item, Retry(eta_us=again.eta_us), Publish(again))

    assert world.offer(new, replaces=True) is None
    assert world.document(old.id).state is State.REVOKED
    assert {item.message.id for item in world.take(commit, 2)} == {old.id, new.id}


def test_r18_replacing_does_not_shorten_a_scope_in_seconds_of_what_has_ended(world):
    commit, old = world.open(), world.message()
    assert world.offer(old, scope=Scope.TIME, seconds=3_600.0) is None
    (item,) = world.take(commit)
    world.end(commit, item, ok(1))

    assert world.offer(world.message(), replaces=True) == old.id


def test_r18_keys_are_compared_letter_by_letter(world):
    keys = ["a", "A", "a ", "\N{LATIN SMALL LETTER A WITH DIAERESIS}", "a|b", "a\N{SNOWMAN}"]
    for key in keys:
        unique = [Unique(key=key + world.mark + key, id=(m := world.message()).id), m]
        transition = Transition(effects=(Publish(unique[1]),), unique=unique[0])
        assert world.open("client").exchange([transition]).holders == {}
