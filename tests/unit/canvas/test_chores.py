"""What a worker does every so often: each at its own time."""

from __future__ import annotations

from backbeat.canvas.errors import Unavailable
from backbeat.canvas.worker.chores import Chore, faults


class Doing:
    """Something that is done, and may fail."""

    def __init__(self):
        self.times = 0
        self.error = None

    def __call__(self):
        self.times += 1
        if self.error is not None:
            raise self.error


def test_each_is_done_at_its_own_time():
    always, seldom = Doing(), Doing()
    chores = (Chore(always), Chore(seldom, 2.0))
    for now in (100.0, 101.0, 102.0):
        assert faults(chores, now) is None
    assert (always.times, seldom.times) == (3, 2)


def test_one_that_fails_keeps_no_other_from_being_done_and_is_due_again():
    failing, other = Doing(), Doing()
    failing.error = Unavailable("away")
    chores = (Chore(failing, 60.0), Chore(other, 60.0))

    assert faults(chores, 100.0) is failing.error
    assert faults(chores, 100.1) is failing.error
    failing.error = None
    assert faults(chores, 100.2) is None
    assert faults(chores, 100.3) is None
    assert (failing.times, other.times) == (3, 1)


def test_one_that_is_not_urgent_waits_before_it_is_tried_again():
    failing = Doing()
    failing.error = Unavailable("away")
    chores = (Chore(failing, 60.0, again=2.0),)

    assert [faults(chores, now) is None for now in (100.0, 101.0, 102.0)] == [False, True, False]
