"""Whether a task may wait for another one (O4)."""

from __future__ import annotations

import pytest
from backbeat.canvas import group
from backbeat.canvas.request import Request, running
from backbeat.canvas.result import (
    allow_join_result,
    assert_will_not_block,
    denied_join_result,
    task_join_will_block,
)

from support.eager import Shop


@pytest.fixture
def shop():
    return Shop()


def test_o4_inside_a_task_get_is_refused_unless_somebody_says_so(shop):
    handle, together = shop.add.delay(1), group(shop.add.s(2)).delay()
    shop.drain()

    with running(Request(id="x", task="t")):
        for wait in (handle.get, handle.wait, together.get, together.join, lambda: next(together.iterate())):
            with pytest.raises(RuntimeError, match="a task must not wait for another one"):
                wait()
        assert handle.get(disable_sync_subtasks=False) == 1
        with allow_join_result():
            assert (handle.get(), together.get()) == (1, [2])
            with denied_join_result(), pytest.raises(RuntimeError):
                handle.get()
            assert not task_join_will_block()
        with pytest.raises(RuntimeError):
            handle.get()
    assert handle.get() == 1


def test_outside_of_tasks_get_may_be_denied(shop):
    handle = shop.add.delay(1)
    shop.drain()
    assert not task_join_will_block()
    assert_will_not_block()

    with denied_join_result():
        assert task_join_will_block()
        with pytest.raises(RuntimeError, match="allow_join_result"):
            assert_will_not_block()
        with pytest.raises(RuntimeError):
            handle.get()
    assert handle.get() == 1


def test_a_task_that_allows_it_gets_what_has_ended(shop):
    first = shop.add.delay(1)

    @shop.app.task(name="waits")
    def waits():
        with allow_join_result():
            return first.get(timeout=0) + 1

    handle = waits.delay()
    shop.drain()

    assert handle.get(timeout=0) == 2
