"""Groups from generators: small ones are sent as any other, large ones as their members are read."""

from __future__ import annotations

import json

import pytest
from backbeat.canvas import GroupResult, chain, chord, group
from backbeat.canvas.errors import ImproperlyConfigured, SendInterrupted
from backbeat.canvas.sending import SENDER_LEASE_SECONDS, SLICE

from support.eager import Shop

MANY = 2 * SLICE + 7


@pytest.fixture
def shop():
    shop = Shop()
    shop.app.task(name="total")(sum)
    return shop


def members(shop, count, seen=None):
    for number in range(count):
        if seen is not None:
            seen.append(number)
        yield shop.add.s(number, 1)


def drain(shop):
    shop.drain(limit=10_000)


@pytest.mark.parametrize("count", [0, 1, SLICE, SLICE + 1, MANY])
def test_a_group_from_a_generator_is_the_same_as_one_from_a_list(shop, count):
    streamed = group(members(shop, count), app=shop.app).apply_async(task_id="g")
    listed = group(list(members(shop, count)), app=shop.app).apply_async(task_id="h")
    drain(shop)

    assert isinstance(streamed, GroupResult)
    assert len(streamed) == len(listed) == count
    assert streamed.get(timeout=0) == listed.get(timeout=0) == [number + 1 for number in range(count)]


@pytest.mark.parametrize("count", [3, MANY])
def test_a_chord_from_a_generator_gives_its_body_the_whole_list(shop, count):
    total = shop.app.signature("total")
    handles = [
        chord(members(shop, count), total).apply_async(),
        chord(members(shop, count))(total),
        (group(members(shop, count)) | total).apply_async(),
        chain(group(members(shop, count)), total).apply_async(),
    ]
    drain(shop)

    expected = sum(range(1, count + 1))
    assert [handle.get(timeout=0) for handle in handles] == [expected] * 4
    assert len(handles[0].parent) == count
    assert handles[0].parent.results[-1].get(timeout=0) == count


def test_members_are_read_as_they_are_sent(shop):
    seen, sent = [], []

    def watched():
        for number in range(MANY):
            sent.append(shop.store.state.mail.count())
            seen.append(number)
            yield shop.add.s(number, 1)

    group(watched()).apply_async()

    assert seen == list(range(MANY))
    assert sent[-1] >= SLICE


def test_a_generator_is_not_read_before_it_is_needed(shop):
    seen = []
    sig = group(members(shop, 3, seen))

    assert seen == []
    assert len(sig) == 3
    assert seen == [0, 1, 2]
    assert json.loads(json.dumps(group(members(shop, 2)))) == json.loads(
        json.dumps(group(list(members(shop, 2))))
    )
    assert group(members(shop, 2)) == group(list(members(shop, 2)))
    assert group(members(shop, 2)).clone() == group(list(members(shop, 2)))


def test_what_was_sent_as_it_came_cannot_be_used_again(shop):
    sig = group(members(shop, MANY))
    sig.apply_async()

    with pytest.raises(ImproperlyConfigured, match="make the group of a list to use it again"):
        sig.apply_async()


def test_arguments_and_options_reach_every_member(shop):
    sig = group(shop.add.s() for _ in range(MANY)).set(queue="other")
    handle = sig.apply_async((5,), {"y": 6}, countdown=30)

    assert shop.drain("other") == 0
    shop.clock.advance(30)
    shop.drain("other", limit=5_000)
    assert set(handle.get(timeout=0)) == {11}


def test_options_of_a_chord_reach_its_body_or_its_members(shop):
    noted = []
    shop.app.task(name="note")(noted.append)
    sig = chord(members(shop, MANY), shop.app.signature("total"), queue="other")
    handle = sig.apply_async(task_id="body", link=shop.app.signature("note"))
    shop.drain("other", limit=5_000)
    drain(shop)

    assert handle.id == "body"
    assert noted == [handle.get(timeout=0)]


def test_policies_and_hooks_hold(shop):
    noted = []
    shop.app.task(name="note")(noted.append)
    sig = group(members(shop, MANY), failure_policy="drop").on_success(shop.app.signature("note"))
    sig.apply_async()
    drain(shop)

    assert [len(value) for value in noted] == [MANY]


def test_k4_a_generator_that_breaks_leaves_a_canvas_that_fails(shop):
    def breaking():
        yield from members(shop, MANY)
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        chord(breaking(), shop.app.signature("total").set(task_id="body")).apply_async()
    drain(shop)
    assert shop.app.AsyncResult("body").state != "FAILURE"

    shop.clock.advance(SENDER_LEASE_SECONDS + 1)
    shop.sweep()

    with pytest.raises(SendInterrupted):
        shop.app.AsyncResult("body").get(timeout=0)


def test_a_streamed_canvas_can_be_cancelled(shop):
    handle = chord(members(shop, MANY), shop.app.signature("total")).apply_async()
    shop.app.canvas(handle.id).cancel()
    drain(shop)

    assert shop.executed == []
    assert handle.state == "REVOKED"


def test_nested_plain_groups_give_their_members(shop):
    sig = group(group(shop.add.s(n, 0), shop.add.s(n, 1)) for n in range(MANY))
    handle = sig.apply_async()
    drain(shop)

    assert handle.get(timeout=0)[:4] == [0, 1, 1, 2]
    assert len(handle) == 2 * MANY


def test_members_that_were_given_ids_keep_them(shop):
    handle = group(shop.add.s(n, 0).set(task_id=f"own-{n}") for n in range(MANY)).apply_async()

    assert [member.id for member in handle.results[:2]] == ["own-0", "own-1"]
