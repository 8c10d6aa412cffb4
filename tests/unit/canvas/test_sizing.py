"""What a worker is told of its pool's size while it runs, by any thread, and what the pool hears of it at the next pass."""

from __future__ import annotations

import pytest
from backbeat.canvas.errors import ImproperlyConfigured
from backbeat.canvas.worker.sizing import Sizing


class Sized:
    """A pool of which only the size is asked for."""

    def __init__(self, size):
        self.size = size
        self.restarts = 0

    def resize(self, size):
        self.size = size

    def restart(self):
        self.restarts += 1


@pytest.fixture
def pool():
    return Sized(4)


@pytest.fixture
def woken():
    return []


@pytest.fixture
def sizing(pool, woken):
    return Sizing(pool, 10, lambda: woken.append(1))


def turn(sizing, busy=0, waiting=0):
    sizing.turn(lambda: busy, waiting)


def test_what_is_asked_for_is_done_at_the_next_pass_for_which_the_loop_is_woken(sizing, pool, woken):
    sizing.grow(2)
    sizing.grow()
    sizing.shrink(3)
    sizing.restart()
    assert (sizing.size, pool.size, pool.restarts, len(woken)) == (4, 4, 0, 4)
    sizing.grow(5)
    assert (sizing.size, pool.size) == (9, 4)

    turn(sizing)

    assert (sizing.size, pool.size, pool.restarts) == (9, 9, 1)


@pytest.mark.parametrize("count", [0, -1, True, 1.5, "2", None])
def test_a_number_that_cannot_be_meant_is_refused(sizing, count):
    with pytest.raises(ImproperlyConfigured, match="a whole number of at least 1"):
        sizing.grow(count)
    with pytest.raises(ImproperlyConfigured, match="a whole number of at least 1"):
        sizing.shrink(count)


def test_sizes_beyond_what_the_pool_can_be_are_refused_to_who_asks(sizing, pool):
    sizing.grow(6)
    with pytest.raises(
        ImproperlyConfigured, match=r"cannot run 11 tasks side by side: 1 to 10 can be, and now 10 are"
    ):
        sizing.grow()
    with pytest.raises(ImproperlyConfigured, match="cannot run 0 tasks side by side"):
        sizing.shrink(10)
    with pytest.raises(ImproperlyConfigured, match="cannot run 11 tasks"):
        sizing.autoscale(11, 2)
    with pytest.raises(ImproperlyConfigured, match="autoscale 2,3 cannot be"):
        sizing.autoscale(2, 3)

    turn(sizing)
    assert pool.size == 10
    assert sizing.bounds is None


def test_a_pool_of_one_is_never_resized(woken):
    sizing = Sizing(Sized(1), 1, lambda: woken.append(1))

    for ask in (sizing.grow, sizing.shrink, sizing.restart, lambda: sizing.autoscale(2, 1)):
        with pytest.raises(ImproperlyConfigured, match="it cannot be resized or restarted"):
            ask()
    assert woken == []


def test_it_sizes_itself_between_its_bounds_once_it_is_told_to(sizing, pool):
    assert sizing.headroom == 0
    turn(sizing, busy=4, waiting=5)
    assert pool.size == 4

    sizing.autoscale(8, 2)
    turn(sizing, busy=4, waiting=2)

    assert (pool.size, sizing.size, sizing.headroom, sizing.bounds) == (6, 6, 2, (8, 2))
    sizing.grow(1)
    turn(sizing, busy=6)
    assert pool.size == 7
