"""Joins that are opened again before anybody went on from them, over every implementation of Commit (decisions K6)."""

from __future__ import annotations

import pytest
from backbeat.canvas.commit.transition import Closing, Transition
from backbeat.canvas.effect import AddPart, Publish, ReopenJoin, SealJoin
from backbeat.canvas.message import DEFAULT_QUEUE

from support.commit_world import CommitWorld, broken, part
from support.kinds import IN_TURN, open_backend


@pytest.fixture(params=IN_TURN)
def world(request):
    opened = CommitWorld(open_backend(request.param, request), request.param)
    yield opened
    opened.close()


def failed(join_id, index):
    return AddPart(join_id, index, f"member{index}", broken(), completes=True)


def values(commit, join_id):
    parts = commit.load(joins=[join_id]).joins[join_id].parts
    return [int(each.outcome.value) for each in sorted(parts, key=lambda part: part.index)]


def test_k6_a_join_that_is_complete_and_not_yet_served_waits_again_for_what_failed(world):
    commit = world.open(queues=["backbeat"])
    join_id = world.open_join(commit, 2)
    world.do(commit, part(join_id, 0, 10), failed(join_id, 1))

    world.do(commit, ReopenJoin(join_id, (1,), 1))

    state = commit.load(joins=[join_id]).joins[join_id]
    assert (state.complete, state.closed, state.generation) == (False, False, 1)
    assert [each.index for each in state.parts] == [0]
    world.join_messages(commit)  # that of the failure, which is still under way
    world.do(commit, part(join_id, 1, 20))
    assert world.join_messages(commit) == [join_id]
    assert values(commit, join_id) == [10, 20]


def test_k6_who_read_a_join_before_it_was_opened_again_cannot_go_on_from_it(world):
    commit = world.open(queues=[DEFAULT_QUEUE, "backbeat"])
    join_id = world.open_join(commit, 1)
    world.do(commit, failed(join_id, 0))
    world.join_messages(commit)
    before, after = world.message(), world.message()

    world.do(commit, ReopenJoin(join_id, (0,), 1))
    commit.exchange([Transition(closes=Closing(join_id, 0), effects=(Publish(before),))])
    assert not commit.load(joins=[join_id]).joins[join_id].closed
    commit.exchange([Transition(closes=Closing(join_id, 1), effects=(Publish(after),))])

    assert commit.load(joins=[join_id]).joins[join_id].closed
    assert [item.message.id for item in world.take(commit)] == [after.id]


def test_k6_a_join_is_opened_again_once_for_each_generation(world):
    commit = world.open(queues=["backbeat"])
    join_id = world.open_join(commit, 2)
    world.do(commit, failed(join_id, 0), ReopenJoin(join_id, (0,), 1))
    world.do(commit, part(join_id, 0, 10))

    world.do(commit, ReopenJoin(join_id, (0,), 1))
    world.do(commit, part(join_id, 1, 20))

    assert values(commit, join_id) == [10, 20]


def test_k6_a_join_that_failed_before_its_size_was_known_has_it_when_it_is_opened_again(world):
    commit = world.open(queues=["backbeat"])
    join_id = world.open_join(commit, None)
    world.do(commit, failed(join_id, 0))
    world.join_messages(commit)
    commit.exchange([Transition(closes=Closing(join_id, 0, keeps_parts=True))])
    world.do(commit, SealJoin(join_id, 2), part(join_id, 1, 20))

    world.do(commit, ReopenJoin(join_id, (0,), 1))
    assert world.none(commit)
    world.do(commit, part(join_id, 0, 10))

    assert world.join_messages(commit) == [join_id]
    assert values(commit, join_id) == [10, 20]


def test_a_join_whose_size_is_told_after_a_part_completed_it_still_waits_for_no_other(world):
    commit = world.open(queues=["backbeat"])
    join_id = world.open_join(commit, None)
    world.do(commit, failed(join_id, 0))

    world.do(commit, SealJoin(join_id, 3))

    assert commit.load(joins=[join_id]).joins[join_id].complete
