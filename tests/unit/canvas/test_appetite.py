"""Appetite: when a worker wants no messages sent ahead any more."""

from __future__ import annotations

import math

import pytest
from backbeat.canvas.worker.appetite import (
    BATCH_SECONDS,
    FULL_SECONDS,
    PATIENCE_SECONDS,
    SHORT_SECONDS,
    WARY_SECONDS,
    Appetite,
)


def looked(*looks):
    appetite = Appetite()
    for now, is_free in looks:
        appetite.look(now, is_free=is_free)
    return appetite


def test_it_is_there_while_a_slot_is_free_however_long_that_is():
    appetite = looked((100.0, True), (200.0, True))

    assert not appetite.is_gone(1_000.0)
    assert appetite.next_look(1_000.0) == math.inf


def test_it_is_gone_once_no_slot_has_become_free_for_a_while_and_not_before():
    appetite = looked((100.0, True), (101.0, False), (101.0 + FULL_SECONDS / 2, False))

    assert not appetite.is_gone(100.99 + FULL_SECONDS)
    assert appetite.is_gone(101.0 + FULL_SECONDS)


def test_the_loop_is_told_when_to_look_again_so_that_it_need_not_look_often():
    appetite = looked((100.0, False))

    assert appetite.next_look(100.1) == 100.0 + FULL_SECONDS
    assert appetite.next_look(100.0 + FULL_SECONDS) == math.inf


def test_short_tasks_that_follow_each_other_without_a_pause_never_end_it():
    appetite, gone = Appetite(), []

    for n in range(10_000):
        now = n * FULL_SECONDS * 0.4
        appetite.look(now, is_free=True)  # one has ended
        appetite.look(now + FULL_SECONDS * 0.1, is_free=False)
        gone.append(appetite.is_gone(now + FULL_SECONDS * 0.4))

    assert not any(gone)


def test_it_comes_back_with_the_first_slot_that_becomes_free():
    appetite = looked((100.0, False), (200.0, False))
    assert appetite.is_gone(200.0)

    appetite.look(200.1, is_free=True)
    appetite.look(200.2, is_free=False)

    assert not appetite.is_gone(200.2 + FULL_SECONDS / 2)
    assert appetite.is_gone(200.2 + FULL_SECONDS)


def after(seconds, count=200):
    appetite = Appetite()
    appetite.look(100.0, is_free=True)
    for _ in range(count):
        appetite.ran(seconds)
    return appetite


def test_nothing_is_taken_ahead_before_it_is_known_how_long_tasks_run():
    assert after(0.0, count=0).depth(100.0) == 0


@pytest.mark.parametrize(
    ("seconds", "depth"),
    [(BATCH_SECONDS / 10, 10), (BATCH_SECONDS / 2, 2), (BATCH_SECONDS, 1), (SHORT_SECONDS * 0.9, 0)],
)
def test_of_short_tasks_one_is_taken_ahead_for_each_slot_and_more_if_they_are_done_soon(seconds, depth):
    appetite = after(seconds * 0.999)

    assert appetite.spares(100.0)
    assert appetite.depth(100.0) == depth


def test_what_runs_is_waited_for_a_moment_if_it_is_likely_to_end_within_that():
    assert Appetite().patience == 0
    assert after(PATIENCE_SECONDS / 2).patience == PATIENCE_SECONDS
    assert after(PATIENCE_SECONDS * 2).patience == 0


def test_tasks_of_no_time_at_all_are_no_trouble():
    assert after(0.0).depth(100.0) > 0


def test_tasks_that_take_their_time_are_not_taken_ahead():
    appetite = after(SHORT_SECONDS * 2)

    assert not appetite.spares(100.0)
    assert appetite.depth(100.0) == 0


def test_a_longer_task_ends_it():
    appetite = after(0.001)

    appetite.ran(1.0)

    assert appetite.depth(100.0) == 0


def test_nothing_is_taken_ahead_while_all_slots_stay_taken():
    appetite = after(0.001)

    appetite.look(101.0, is_free=False)
    assert appetite.depth(101.0) == 0
    appetite.look(101.1, is_free=True)
    assert appetite.depth(101.1) > 0


def test_nothing_is_taken_ahead_for_a_while_after_a_task_with_which_a_worker_died():
    appetite = after(0.001)

    appetite.beware(101.0)

    assert appetite.depth(101.0) == appetite.depth(100.9 + WARY_SECONDS) == 0
    assert appetite.depth(101.0 + WARY_SECONDS) > 0
