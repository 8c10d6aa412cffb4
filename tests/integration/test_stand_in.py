"""Who does a worker's chores while its own thread runs a task."""

from __future__ import annotations

import threading

from backbeat.canvas.errors import Unavailable
from backbeat.canvas.worker.chores import Chore
from backbeat.canvas.worker.stand_in import stand_in

SECONDS = 20.0
OFTEN = 0.01


class Doing:
    """A chore that is done `times`, and then said to be; it may fail each time."""

    def __init__(self, times, error=None):
        self._left = times
        self._error = error
        self.done = threading.Event()
        self.thread = None

    def __call__(self):
        self._left -= 1
        self.thread = threading.current_thread()
        if self._left <= 0:
            self.done.set()
        if self._error is not None:
            raise self._error


def test_chores_are_done_again_and_again_in_another_thread_which_ends_with_the_block():
    chore = Doing(3)

    with stand_in([Chore(chore)], OFTEN):
        assert chore.done.wait(SECONDS)

    assert chore.thread is not threading.current_thread()
    assert not chore.thread.is_alive()


def test_whatever_is_wrong_with_a_chore_the_others_are_done(caplog):
    bad, away, good = Doing(3, ZeroDivisionError("a bug")), Doing(3, Unavailable("down")), Doing(3)

    with stand_in([Chore(bad), Chore(away), Chore(good)], OFTEN):
        assert all(each.done.wait(SECONDS) for each in (bad, away, good))

    assert "a chore cannot be done" in caplog.text
    assert "down; trying again" in caplog.text


def test_nobody_does_the_chores_of_a_task_that_is_short():
    chore = Doing(1)

    with stand_in([Chore(chore)], SECONDS):
        pass

    assert chore.thread is None
