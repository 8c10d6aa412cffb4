"""What a client sends: slices of a large canvas, and what becomes of it if the client dies in between."""

from __future__ import annotations

import pytest
from backbeat.canvas import flow
from backbeat.canvas.errors import SendInterrupted
from backbeat.canvas.node import Call, Chain, Group, freeze, root_of
from backbeat.canvas.sending import SENDER_LEASE_SECONDS, SLICE, send

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


def big_chord(*, tail=()):
    errback = Call(task="note", id="errback")
    body = Call(task="count", id="body", link_error=(errback,))
    return freeze(Chain(steps=(Group(members=(Call(task="one"),) * MEMBERS), body, *tail)), "last")


def result(fleet, id_):
    return fleet.app.AsyncResult(id_)


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

    join_id, (kept,) = node.steps[0].id, fleet.store.state.dead.newest(2, "")
    letter = kept.letter
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
