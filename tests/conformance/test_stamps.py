"""Stamps over every implementation of Commit: what has a revoked stamp does not start, and a join keeps what follows it is stamped with."""

from __future__ import annotations

import pytest
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.commit.verdict import Run, Settled, Standing, WasRevoked
from backbeat.canvas.continuation import JoinRecord
from backbeat.canvas.effect import OpenJoin
from backbeat.canvas.outcome import Revoked
from backbeat.canvas.stamp import stamp_keys
from backbeat.canvas.stamping import revoked_stamps

from support.commit_world import CommitWorld, ok
from support.kinds import IN_TURN, open_backend


@pytest.fixture(params=IN_TURN)
def world(request):
    opened = CommitWorld(open_backend(request.param, request), request.param)
    yield opened
    opened.close()


def verdicts_of(world, commit, *messages):
    world.send(*messages)
    return {item.message.id: item.verdict for item in world.take(commit, len(messages))}


@pytest.mark.parametrize(
    ("revoked", "carried", "is_revoked"),
    [
        pytest.param({"tenant": "t1"}, {"tenant": "t1"}, True, id="text"),
        pytest.param({"tenant": "t1"}, {"tenant": "t2"}, False, id="another-value"),
        pytest.param({"tenant": "t1"}, {"owner": "t1"}, False, id="another-name"),
        pytest.param({"tenant": ["t0", "t1"]}, {"tenant": "t1"}, True, id="one-of-several"),
        pytest.param({"tenant": "t1"}, {"tenant": ["t0", "t1"]}, True, id="carries-several"),
        pytest.param({"tenant": "t1"}, {"tenant": ["t0", 1]}, False, id="carries-other-kinds"),
        pytest.param({"n": 7}, {"n": 7}, True, id="number"),
        pytest.param({"n": "7"}, {"n": 7}, False, id="a-number-is-no-text"),
        pytest.param({"n": None}, {"n": None}, True, id="null"),
        pytest.param({"n": {}}, {"n": {}}, True, id="empty-map"),
        pytest.param({"n": {"a": 1}}, {"n": {"a": 1}}, True, id="map"),
        pytest.param({"n": "x"}, {"n": []}, False, id="empty-list"),
        pytest.param({"größe": "Größe \N{SNOWMAN}"}, {"größe": "Größe \N{SNOWMAN}"}, True, id="not-ascii"),
        pytest.param({"a": "x"}, {"b": "1", "a": "x"}, True, id="one-of-two-names"),
    ],
)
def test_what_has_a_revoked_stamp_does_not_start(world, revoked, carried, is_revoked):
    commit = world.open()
    carrying, plain = world.message(stamps=carried), world.message()
    commit.revoke(revoked_stamps(revoked))

    verdicts = verdicts_of(world, commit, carrying, plain)

    assert verdicts == {carrying.id: WasRevoked() if is_revoked else Run(), plain.id: Run()}


def test_what_tells_of_the_end_of_a_canvas_is_not_revoked_by_its_stamps(world):
    commit = world.open()
    telling = world.message(stamps={"tenant": "t1"}, errback={"id": "x"})
    by_number = world.message(stamps={"n": 1}, errback={"id": "x"})
    commit.revoke(revoked_stamps({"tenant": "t1", "n": 1}))

    assert set(verdicts_of(world, commit, telling, by_number).values()) == {Run()}


def test_what_waited_when_its_stamp_was_revoked_ends_as_revoked(world):
    commit, message = world.open(), world.message(stamps={"tenant": "t1"})
    world.send(message)

    commit.revoke(revoked_stamps({"tenant": "t1"}))
    (taken,) = world.take(commit)
    commit.exchange([Transition(message=message, outcome=Revoked(), delivery=taken.delivery)])

    assert taken.verdict == WasRevoked()
    assert world.document(message.id).state == "REVOKED"


def test_what_ran_before_its_stamp_was_revoked_has_ended(world):
    commit, message = world.open(), world.message(stamps={"tenant": "t1"})
    world.send(message)
    (taken,) = world.take(commit)
    commit.exchange([Transition(message=message, outcome=ok(1), delivery=taken.delivery)])

    commit.revoke(revoked_stamps({"tenant": "t1"}))
    world.send(message)
    (again,) = world.take(commit)

    assert again.verdict == Settled(Standing(ok(1), 0))


def test_a_revoked_stamp_says_how_those_that_run_are_to_be_ended(world):
    (key,), (quiet,) = stamp_keys({"tenant": "t1"}), stamp_keys({"tenant": "t2"})
    commit = world.open()

    commit.revoke([key], signum=15)
    commit.revoke([quiet])

    assert commit.terminations([key, quiet, "other"]) == {key: 15}


def test_a_revoked_stamp_is_no_task_and_has_no_result(world):
    (key,) = stamp_keys({"tenant": "t1"})

    world.open().revoke([key])

    assert world.document(key).state == "PENDING"


def test_a_join_keeps_what_follows_it_is_stamped_with(world):
    commit = world.open()
    record = JoinRecord(join_id=f"j-{world.mark}", then=None, root_id="root", stamps={"tenant": ["t1", 2]})
    world.do(commit, OpenJoin(record, 1))

    assert commit.load(joins=[record.join_id]).joins[record.join_id].record == record
