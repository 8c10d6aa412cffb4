"""Timers: what a worker without a store holds until its time has come."""

from __future__ import annotations

import random

from backbeat.canvas.commit.timers import Timers
from backbeat.canvas.delivery import Delivery
from backbeat.canvas.message import Message


def put(timers, name, due, tag="", size=10, **known):
    message = Message(id=name, task="t", eta_us=due, **known)
    return timers.add(Delivery(tag or name, "q", None, "x" * size), message)


def tags(deliveries):
    return [delivery.tag for delivery in deliveries]


def test_they_come_when_they_are_due_the_earliest_first_however_they_were_added():
    timers, order = Timers(), [*range(100)]
    random.Random(1).shuffle(order)
    for n in order:
        put(timers, str(n), n)

    assert timers.next_us == 0
    assert tags(timers.due(49)) == [str(n) for n in range(50)]
    assert tags(timers.due(1_000, 10)) == [str(n) for n in range(50, 60)]
    assert timers.next_us == 60
    assert len(timers.held) == 40


def test_none_comes_before_its_time_and_none_twice():
    timers = Timers()
    put(timers, "a", 10)

    assert timers.due(9) == []
    assert tags(timers.due(10)) == ["a"]
    assert (timers.due(11), timers.held, timers.next_us) == ([], [], None)


def test_the_same_message_that_comes_twice_is_held_once_by_its_later_delivery():
    timers = Timers()
    put(timers, "a", 10, tag="first")
    timers.park()

    assert put(timers, "a", 10, tag="second").tag == "first"
    assert tags(timers.park()) == ["second"]
    assert tags(timers.due(10)) == ["second"]
    assert timers.held == []


def test_another_attempt_or_time_of_the_same_task_is_another_message():
    timers = Timers()
    put(timers, "a", 10, tag="one")

    assert put(timers, "a", 10, tag="two", attempt=1) is None
    assert put(timers, "a", 11, tag="three") is None
    assert put(timers, "a", 10, tag="four", generation=1) is None
    assert sorted(tags(timers.due(11))) == ["four", "one", "three", "two"]


def test_each_is_to_be_parked_once():
    timers = Timers()
    put(timers, "a", 10)
    put(timers, "b", 11)

    assert tags(timers.park()) == ["a", "b"]
    put(timers, "c", 12)
    assert tags(timers.park()) == ["c"]
    assert timers.park() == []


def test_no_more_are_parked_than_memory_is_given_and_others_when_there_is_room_again():
    timers = Timers(most_bytes=100)
    for n in range(10):
        put(timers, str(n), n, size=40)

    assert tags(timers.park()) == ["0", "1", "2"]
    assert timers.is_full
    timers.due(4)  # three that were parked, and two that were not
    assert tags(timers.park()) == ["5", "6", "7"]
    timers.due(9)
    assert timers.park() == []
    assert not timers.is_full
