"""Lanes: which messages of which queues come first."""

from __future__ import annotations

import pytest
from backbeat.canvas.message import CONTROL_QUEUE
from backbeat.canvas.priority import in_order, lane, lanes, queue_of_lane, step_of, urgency_of


@pytest.mark.parametrize(
    ("priority", "name"),
    [
        (None, "q"),
        (0, "q"),
        (2, "q"),
        (3, "q\x06\x163"),
        (5, "q\x06\x163"),
        (6, "q\x06\x166"),
        (9, "q\x06\x169"),
        (255, "q\x06\x169"),
    ],
)
def test_a_priority_is_rounded_down_to_a_step_whose_lane_is_named_as_kombu_s_list(priority, name):
    assert lane("q", priority) == name
    assert queue_of_lane(name) == "q"
    assert lanes("q")[step_of(priority) - 1] == name


def test_all_lanes_of_a_step_come_before_those_of_the_next_in_the_order_of_the_queues():
    found = in_order(["a", "b"])

    assert [queue_of_lane(name) for name in found] == ["a", "b"] * 4
    assert [urgency_of(name) for name in found] == [9, 9, 6, 6, 3, 3, 0, 0]
    assert in_order(["a"], lowest_first=True) == found[6::-2]


def test_what_workers_do_for_each_other_has_one_lane():
    assert lane(CONTROL_QUEUE, 9) == CONTROL_QUEUE
    assert in_order([CONTROL_QUEUE]) == [CONTROL_QUEUE]


def test_a_queue_whose_name_ends_like_a_step_is_no_lane():
    assert queue_of_lane("q3") == "q3"
    assert urgency_of("q9") == 0
