"""When a pool grows and shrinks by itself."""

from __future__ import annotations

import pytest
from backbeat.canvas.worker.autoscale import Autoscale


def test_it_grows_at_once_by_what_waits_and_no_further_than_its_bound():
    scale = Autoscale(10, 2)

    assert scale.size(0, 2, busy=2, waiting=3) == 5
    assert scale.size(0, 5, busy=5, waiting=40) == 10
    assert scale.size(0, 10, busy=10, waiting=40) == 10


def test_work_that_can_start_is_no_reason_to_grow():
    assert Autoscale(10, 2).size(0, 4, busy=3, waiting=1) == 4


def test_it_shrinks_to_what_was_needed_at_most_when_less_was_needed_for_a_while():
    scale = Autoscale(10, 2, idle_seconds=30)
    scale.size(0, 3, busy=3, waiting=5)

    sizes = [scale.size(at, 8, busy, 0) for at, busy in [(1, 8), (20, 1), (29, 4), (30, 1)]]
    assert sizes == [8, 8, 8, 8]  # all eight were needed in that time
    assert [scale.size(at, 8, busy, 0) for at, busy in [(40, 4), (59, 1), (60, 1)]] == [8, 8, 4]
    assert scale.size(89, 4, 0, 0) == 4
    assert scale.size(90, 4, 0, 0) == 2
    assert scale.size(200, 2, 0, 0) == 2


def test_a_burst_begins_the_time_anew():
    scale = Autoscale(10, 1, idle_seconds=30)
    scale.size(0, 2, 1, 0)

    assert scale.size(29, 2, 2, 1) == 3
    assert scale.size(31, 3, 0, 0) == 3
    assert scale.size(59, 3, 0, 0) == 3  # three were needed at its beginning


def test_a_size_that_somebody_else_chose_is_brought_back_into_the_bounds():
    scale = Autoscale(4, 2)

    assert scale.size(0, 9, 0, 0) == 4
    assert scale.size(0, 1, 0, 0) == 2


@pytest.mark.parametrize(("most", "least"), [(0, 0), (3, 4), (3, 0), (-1, -2)])
def test_bounds_that_cannot_be_are_refused(most, least):
    with pytest.raises(ValueError, match=f"autoscale {most},{least} cannot be"):
        Autoscale(most, least)
