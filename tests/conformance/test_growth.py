"""Joins that grow while they are open, over every implementation of Commit: each key is waited for once, behind all others."""

from __future__ import annotations

import threading

import pytest
from backbeat.canvas.commit.transition import Closing, Transition
from backbeat.canvas.commit.verdict import Settled, Standing
from backbeat.canvas.continuation import JoinRecord
from backbeat.canvas.effect import AddPart, GrowJoin, OpenJoin, Publish, ReopenJoin, SealJoin
from backbeat.canvas.message import DEFAULT_QUEUE
from backbeat.canvas.outcome import Revoked

from support.commit_world import CommitWorld, broken, ok, part
from support.kinds import IN_TURN, open_backend


@pytest.fixture(params=IN_TURN)
def world(request):
    opened = CommitWorld(open_backend(request.param, request), request.param)
    yield opened
    opened.close()


def grow(join_id, key):
    return GrowJoin(join_id, key, (f"call-of-{key}-{join_id}",))


def added(join_id, key, value):
    return AddPart(join_id, -1, f"call-of-{key}-{join_id}", ok(value), key=key)


def values(world, commit, join_id):
    parts = commit.load(joins=[join_id]).joins[join_id].parts
    return [int(each.outcome.value) for each in sorted(parts, key=lambda part: part.index)]


def test_a_join_that_grew_waits_for_one_more_part_which_comes_last(world):
    commit = world.open(queues=["backbeat"])
    join_id = world.open_join(commit, 2)

    world.do(commit, grow(join_id, "k"), part(join_id, 0, 10))
    world.do(commit, added(join_id, "k", 30))
    assert world.none(commit)
    world.do(commit, part(join_id, 1, 20))

    assert world.join_messages(commit) == [join_id]
    assert values(world, commit, join_id) == [10, 20, 30]


def test_parts_that_were_added_stand_in_the_order_of_growing_not_of_coming(world):
    commit = world.open(queues=["backbeat"])
    join_id = world.open_join(commit, 1)
    world.do(commit, grow(join_id, "a"), grow(join_id, "b"))
    world.do(commit, grow(join_id, "c"))

    for key, value in [("c", 4), ("a", 2), ("b", 3)]:
        world.do(commit, added(join_id, key, value))
    world.do(commit, part(join_id, 0, 1))

    assert world.join_messages(commit) == [join_id]
    assert values(world, commit, join_id) == [1, 2, 3, 4]


def test_a_join_grows_once_for_each_key_however_often_it_is_said(world):
    commit = world.open(queues=["backbeat"])
    join_id = world.open_join(commit, 1)

    for _ in range(2):
        world.do(commit, grow(join_id, "k"), grow(join_id, "k"), part(join_id, 0, 1))
    for value in (2, 3):
        world.do(commit, added(join_id, "k", value))

    assert set(world.join_messages(commit, 2)) == {join_id}  # the second part comes again, and says so again
    assert values(world, commit, join_id) == [1, 2]


def test_a_join_that_is_still_being_sent_can_grow(world):
    commit = world.open(queues=["backbeat"])
    join_id = world.open_join(commit, None)

    world.do(commit, grow(join_id, "k"), part(join_id, 0, 1))
    world.do(commit, SealJoin(join_id, 1))
    assert world.none(commit)
    world.do(commit, added(join_id, "k", 2))

    assert world.join_messages(commit) == [join_id]
    assert values(world, commit, join_id) == [1, 2]


def test_a_join_opens_grows_and_is_sealed_in_one_step(world):
    commit, join_id = world.open(queues=["backbeat"]), f"j-{world.mark}"
    opening = OpenJoin(JoinRecord(join_id=join_id, then=None, root_id="root"), None, 60.0)

    steps = opening, grow(join_id, "k"), SealJoin(join_id, 1), part(join_id, 0, 1), added(join_id, "k", 2)
    world.do(commit, *steps)

    assert world.join_messages(commit) == [join_id]
    assert values(world, commit, join_id) == [1, 2]


@pytest.mark.parametrize("state", ["closed", "hasty", "missing"])
def test_a_join_that_wants_no_part_refuses_and_what_would_bring_it_is_revoked(world, state):
    commit = world.open(queues=[DEFAULT_QUEUE])
    join_id = world.open_join(commit, 2) if state != "missing" else f"none-{world.mark}"
    if state == "closed":
        commit.exchange([Transition(closes=Closing(join_id))])
    elif state == "hasty":
        world.do(commit, AddPart(join_id, 0, "member0", broken(), completes=True))
    message = world.message()
    refused = GrowJoin(join_id, "k", (message.id,))

    world.do(commit, refused, Publish(message))
    (taken,) = world.take(commit)

    assert taken.verdict == Settled(Standing(Revoked(), 0))
    assert world.document(message.id).state == "REVOKED"
    if state != "missing":
        world.do(commit, added(join_id, "k", 9))
        assert all(
            each.id != f"call-of-k-{join_id}" for each in commit.load(joins=[join_id]).joins[join_id].parts
        )


def test_a_key_that_a_closed_join_has_is_no_new_one(world):
    commit = world.open()
    join_id = world.open_join(commit, 1)
    message = world.message()
    growing = GrowJoin(join_id, "k", (message.id,))
    world.do(commit, growing, part(join_id, 0, 1), added(join_id, "k", 2))
    commit.exchange([Transition(closes=Closing(join_id))])

    world.do(commit, growing)

    assert world.document(message.id).state == "PENDING"


def test_a_join_that_grew_and_is_opened_again_still_waits_for_what_was_added(world):
    commit = world.open(queues=["backbeat"])
    join_id = world.open_join(commit, 2)
    world.do(commit, grow(join_id, "k"), part(join_id, 0, 1), AddPart(join_id, 1, "member1", broken()))
    world.do(commit, added(join_id, "k", 3))
    assert world.join_messages(commit) == [join_id]
    commit.exchange([Transition(closes=Closing(join_id, keeps_parts=True))])

    world.do(commit, ReopenJoin(join_id, (1,), 1))
    assert world.none(commit)
    world.do(commit, part(join_id, 1, 2))

    assert world.join_messages(commit) == [join_id]
    assert values(world, commit, join_id) == [1, 2, 3]


def test_many_workers_grow_one_join_at_once(world):
    count = 8
    opener = world.open(queues=["backbeat"])
    join_id = world.open_join(opener, count)
    commits = [world.open() for _ in range(count)]
    start = threading.Barrier(count)

    def run(number):
        start.wait()
        key = f"k{number}"
        world.do(commits[number], grow(join_id, key), part(join_id, number))
        world.do(commits[number], added(join_id, key, 100 + number))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(world.join_messages(opener)) == {join_id}
    found = values(world, opener, join_id)
    assert found[:count] == list(range(count))
    assert sorted(found[count:]) == [100 + number for number in range(count)]
