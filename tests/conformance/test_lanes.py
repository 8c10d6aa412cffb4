"""Limits by key over all workers: rate and concurrency, over every implementation of Commit that keeps claims, and every pair."""

from __future__ import annotations

import random
import time

import pytest
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.effect import Publish
from backbeat.canvas.outcome import Retry, Revoked
from backbeat.canvas.quota import Ask, Quota
from backbeat.canvas.rate import Rate
from msgspec.structs import replace

from support.commit_world import DYING, SECONDS, CommitWorld, ok
from support.kinds import IN_TURN, STORES, open_backend

PERIOD = 1.5
"""Of a rate, in seconds: two questions come within one, also when a server of this machine stands for a moment."""


class LimitedWorld(CommitWorld):
    """A world whose workers ask before they start."""

    def quota(self, key="key", **limits):
        return Quota(f"{key}-{self.mark}", **limits)

    def asks(self, item, quota):
        message, has_turn = item.message, item.message.paced_us is not None
        return Transition(
            admits=Ask(replace(message, paced_us=None), quota, has_turn), delivery=item.delivery
        )

    def may_start(self, commit, item, quota):
        answer = commit.exchange([self.asks(item, quota)])
        assert list(answer.standing) == [None]
        assert set(answer.admitted) <= {item.message.id}
        return bool(answer.admitted)

    def end(self, commit, item, quota, outcome=None, *effects):
        ended = Transition(
            message=replace(item.message, paced_us=None),
            outcome=outcome or ok(1),
            effects=effects,
            delivery=item.delivery,
            frees=quota.key,
        )
        assert list(commit.exchange([ended]).standing) == [None]

    def started(self, commit, quota, count=1, seconds=SECONDS):
        """Take and ask until so many have started."""
        found, deadline = [], time.monotonic() + seconds
        while len(found) < count and time.monotonic() < deadline:
            found += [item for item in self.take(commit, 1, 0.05) if self.may_start(commit, item, quota)]
        return found


@pytest.fixture(params=IN_TURN)
def world(request):
    opened = LimitedWorld(open_backend(request.param, request), request.param)
    yield opened
    opened.close()


# --- rate --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
def test_r19_no_window_has_more_starts_than_it_may_however_workers_interleave(world, seed):
    draw, quota, count = random.Random(seed), world.quota(rate=Rate(4, 0.3)), 24
    commits = [world.open() for _ in range(3)]
    world.send(*(world.message() for _ in range(count)))
    starts, ended, deadline = [], set(), time.monotonic() + 60
    while len(starts) < count and time.monotonic() < deadline:
        commit = draw.choice(commits)
        for item in commit.exchange([], take=draw.randint(1, 5)).taken:
            before = world.now_us()
            if world.may_start(commit, item, quota):
                starts.append((before, world.now_us()))
                ended.add(item.message.id)
                world.end(commit, item, quota)
        world.pass_time(0.005)

    assert len(starts) == len(ended) == count
    spans = [later[1] - first[0] for first, later in zip(starts, starts[4:], strict=False)]
    assert min(spans) >= 300_000


def test_r19_each_key_has_a_rate_of_its_own_and_one_that_waits_holds_nothing(world):
    commit, quota, other = (
        world.open(),
        world.quota(rate=Rate(1, 3_600.0)),
        world.quota("other", rate=Rate(1, 3_600.0)),
    )
    messages = [world.message() for _ in range(3)]
    world.send(*messages)
    first, second, third = world.take(commit, 3)

    assert world.may_start(commit, first, quota)
    assert not world.may_start(commit, second, quota)
    assert world.may_start(commit, third, other)
    assert world.none(commit)


def test_r19_a_turn_comes_with_its_message_and_a_new_rate_holds_at_once(world):
    commit, slow, fast = world.open(), world.quota(rate=Rate(1, PERIOD)), world.quota(rate=Rate(100, 1.0))
    world.send(world.message(), world.message(), world.message())
    first, second, third = world.take(commit, 3)
    assert world.may_start(commit, first, slow)
    assert not world.may_start(commit, second, slow)
    assert not world.may_start(commit, third, slow)
    world.pass_time(PERIOD + 0.05)
    (again,) = world.take(commit)
    assert again.message.paced_us is not None
    assert world.may_start(commit, again, slow)
    world.pass_time(PERIOD)
    (last,) = world.take(commit)
    assert world.may_start(commit, last, fast)


# --- concurrency -------------------------------------------------------------------------------------------------------------------


def test_r19_no_more_run_at_once_than_may_and_who_waits_starts_when_one_has_ended(world):
    commit, quota, count = world.open(), world.quota(concurrency=2), 9
    world.send(*(world.message() for _ in range(count)))
    running, ended, most = [], [], 0
    deadline = time.monotonic() + 60
    while len(ended) < count and time.monotonic() < deadline:
        running += [item for item in world.take(commit, 3, 0.1) if world.may_start(commit, item, quota)]
        most = max(most, len(running))
        if running:
            ended.append(running.pop(0))
            world.end(commit, ended[-1], quota)

    assert len({item.message.id for item in ended}) == count
    assert most == 2


def test_r19_a_slot_is_free_when_its_worker_died_and_its_lease_is_over(world):
    quota, dying, living = world.quota(concurrency=1), world.open(limits=DYING), world.open()
    world.send(world.message("first"))
    (first,) = world.take_any([dying]) if world.kind.startswith("split-rabbit") else world.take(dying)
    assert world.may_start(dying, first, quota)
    dying.close()
    second = world.message("second")
    world.send(second)
    world.pass_lease()

    started = world.started(living, quota)

    assert len(started) == 1  # it may be the first again, or the second


def test_r19_who_waits_in_line_is_woken_by_a_sweep_when_a_slot_is_free_and_nobody_said_so(world):
    commit, quota = world.open(), world.quota(concurrency=1)
    world.send(world.message(), world.message())
    first, second = world.take(commit, 2)
    assert world.may_start(commit, first, quota)
    assert not world.may_start(commit, second, quota)
    assert world.none(commit)

    commit.exchange([Transition(message=first.message, outcome=ok(1), delivery=first.delivery)])

    (woken,) = world.take(commit)  # it sweeps
    assert woken.message.id == second.message.id
    assert world.may_start(commit, woken, quota)


def test_r19_the_one_that_waited_longest_is_woken_by_an_ending_and_without_a_sweep(world):
    commit, quota = world.open(), world.quota(concurrency=1)
    world.send(*(world.message() for _ in range(3)))
    first, second, third = world.take(commit, 3)
    assert world.may_start(commit, first, quota)
    assert not world.may_start(commit, second, quota)
    world.pass_time(0.01)
    assert not world.may_start(commit, third, quota)

    world.end(commit, first, quota)
    taken, deadline = [], time.monotonic() + SECONDS
    while not taken and time.monotonic() < deadline:
        taken = commit.exchange([], take=2).taken
        commit.wait(0.05)

    assert [item.message.id for item in taken] == [second.message.id]


def test_r19_a_retry_and_a_hand_back_free_the_slot(world):
    commit, quota, now = world.open(), world.quota(concurrency=1), world.now_us()
    world.send(world.message())
    (item,) = world.take(commit)
    assert world.may_start(commit, item, quota)
    later = replace(item.message, attempt=1)
    world.end(commit, item, quota, Retry(eta_us=now + 3_600_000_000), Publish(later, now + 3_600_000_000))
    world.send(world.message())
    (item,) = world.take(commit)
    assert world.may_start(commit, item, quota)
    commit.release([item])

    (again,) = world.take(commit)
    assert world.may_start(commit, again, quota)


def test_asking_again_for_the_same_run_is_answered_alike_and_takes_one_slot(world):
    commit, quota = world.open(), world.quota(concurrency=2)
    world.send(world.message(), world.message())
    first, second = world.take(commit, 2)

    assert [world.may_start(commit, first, quota) for _ in range(3)] == [True] * 3
    assert world.may_start(commit, second, quota)


@pytest.mark.parametrize("world", [*STORES, "split-memory"], indirect=True)  # RabbitMQ knows no leases
def test_whose_claim_is_another_workers_by_now_may_not_start(world):
    quota, slow = world.quota(concurrency=5), world.open(limits=DYING)
    world.send(world.message())
    (item,) = world.take(slow)
    world.pass_lease()
    commit = world.open()
    (mine,) = world.take(commit)

    assert not world.may_start(slow, item, quota)
    assert world.may_start(commit, mine, quota)


def test_k20_what_stands_in_line_and_is_revoked_comes_at_once_and_wakes_no_one_less(world):
    commit, quota = world.open(), world.quota(concurrency=1)
    world.send(*(world.message() for _ in range(3)))
    first, second, third = world.take(commit, 3)
    assert world.may_start(commit, first, quota)
    assert not world.may_start(commit, second, quota)
    assert not world.may_start(commit, third, quota)
    world.open("client").revoke([second.message.id])
    (revoked,) = world.take(commit)
    assert revoked.verdict.standing.outcome == Revoked()
    commit.exchange([Transition(delivery=revoked.delivery)])

    world.end(commit, first, quota)

    (woken,) = world.take(commit)
    assert woken.message.id == third.message.id
