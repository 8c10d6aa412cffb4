"""What an eager handle does as any other one: it is awaited, called back, saved, and knows what its task led to."""

from __future__ import annotations

import asyncio

import pytest
from backbeat.canvas import GroupResult, group
from backbeat.canvas.request import Request, running
from backbeat.canvas.result import EagerGroupResult, EagerResult

from support.eager import Shop


@pytest.fixture
def shop():
    return Shop()


def test_it_is_awaited_and_calls_back_at_once(shop):
    one, both = shop.add.apply((1, 2)), group(shop.add.s(3), shop.add.s(4)).apply()
    told = []
    one.then(lambda handle: told.append(handle.get()))
    both.then(lambda handle: told.append(handle.get()))

    async def main():
        return [await one.aget(), await both.aget(), list(both.iterate())]

    assert asyncio.run(main()) == [3, [3, 4], [3, 4]]
    assert told == [3, [3, 4]]


def test_a_task_may_ask_it(shop):
    one, both = shop.add.apply((1, 2)), group(shop.add.s(3), shop.add.s(4)).apply()

    with running(Request(id="x", task="t")):
        assert (one.get(), both.get(), list(both.iterate())) == (3, [3, 4], [3, 4])
        assert asyncio.run(one.aget()) == 3


def test_its_children_are_eager_too(shop):
    handle = shop.add.apply((1,), link=[group(shop.add.s(2), shop.add.s(3)), shop.add.s(10)])

    both, ten = handle.children
    assert (type(both), type(ten)) == (EagerGroupResult, EagerResult)
    assert (both.get(), ten.get(), handle.get_leaf()) == ([3, 4], 11, 4)
    assert sorted(str(value) for _, value in handle.collect()) == ["1", "11", "3", "4", "[3, 4]"]


def test_a_group_is_saved_where_groups_of_the_app_are(shop):
    both = group(shop.add.s(3), shop.add.s(4)).apply()
    both.save()

    assert type(shop.app.GroupResult.restore(both.id)) is GroupResult
    assert shop.app.GroupResult.restore(both.id).as_tuple() == both.as_tuple()
