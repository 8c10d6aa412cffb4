"""What remote control reads of a store and changes in it, over every implementation of Commit: what waits, what is revoked, which queues are served."""

from __future__ import annotations

import pytest
from backbeat.canvas.effect import Publish
from backbeat.canvas.message import DEFAULT_QUEUE
from msgspec.structs import replace

from support.commit_world import CommitWorld
from support.kinds import IN_TURN, open_backend
from support.processes import wait_until


@pytest.fixture(params=IN_TURN)
def world(request):
    opened = CommitWorld(open_backend(request.param, request), request.param)
    yield opened
    opened.close()


def test_what_waits_for_its_time_is_shown_the_earliest_first_and_only_that(world):
    commit = world.open(queues=[DEFAULT_QUEUE])
    due_us = [world.now_us() + seconds * 1_000_000 for seconds in (3_600, 60, 600)]
    waiting = [replace(world.message(), eta_us=at_us) for at_us in due_us]
    world.do(commit, *map(Publish, [*waiting, world.message()]))

    shown = [each for each in commit.scheduled(100) if each.message.id in {m.id for m in waiting}]

    assert [(each.due_us, each.message.id) for each in shown] == [
        (waiting[index].eta_us, waiting[index].id) for index in (1, 2, 0)
    ]
    assert len(commit.scheduled(2)) == 2


def test_what_was_revoked_is_shown_the_latest_first(world):
    commit = world.open()
    ids = [world.message().id for _ in range(3)]
    for id_ in ids:
        commit.revoke([id_])
        world.pass_time(0.002)

    assert [id_ for id_ in commit.revoked(100) if id_ in ids] == ids[::-1]
    assert len(commit.revoked(2)) == 2


def test_a_worker_takes_from_the_queues_that_it_was_told_last(world):
    commit = world.open(queues=[DEFAULT_QUEUE])
    first, second = world.message(), replace(world.message(), queue="backbeat")
    world.do(commit, Publish(first), Publish(second))
    assert [item.message.id for item in world.take(commit)] == [first.id]
    assert world.none(commit)

    commit.serve(["backbeat"])

    assert [item.message.id for item in world.take(commit)] == [second.id]
    world.do(commit, Publish(world.message()))
    assert world.none(commit)


def test_messages_that_wait_are_counted_and_neither_those_that_are_held_nor_those_that_have_time(world):
    commit = world.open(queues=[DEFAULT_QUEUE])
    later = replace(world.message(), eta_us=world.now_us() + 3_600_000_000)
    held = world.message()
    world.do(commit, Publish(held))
    (taken,) = world.take(commit)
    world.do(commit, *map(Publish, [world.message(), world.message(), later]))

    commit.pause()  # else RabbitMQ sends them ahead

    asker = world.open()
    wait_until(lambda: asker.counts([DEFAULT_QUEUE]) == {DEFAULT_QUEUE: 2}, 10)
    assert asker.counts(["queue-that-nobody-has-ever-seen"]).get("queue-that-nobody-has-ever-seen", 0) == 0
    assert asker.counts([]) == {}
    assert taken.message.id == held.id
