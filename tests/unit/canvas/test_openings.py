"""Which child of a pool gets the next job, when fewer jobs shall run side by side than run now."""

from __future__ import annotations

from types import SimpleNamespace

from backbeat.canvas.pools.openings import QueuedOpenings


def child(number, *jobs):
    """As a Line, as far as QueuedOpenings looks at it; it has just begun what it runs."""
    return SimpleNamespace(
        number=number, pid=number, jobs=list(jobs), retired=False, unanswered=False, given=0, since=None
    )


def openings(*lines, total):
    opened = QueuedOpenings({line.number: line for line in lines}, slots=1, total=total, max_tasks=None)
    for line in lines:
        opened.look_at(line)
    return opened


def test_an_idle_child_gets_nothing_while_more_run_than_shall():
    opened = openings(child(1, "a"), child(2, "b"), child(3), child(4), total=1)

    assert [line.number for line, _ in zip(opened.in_turn(reserved=0, depth=4), range(4), strict=False)] == [
        1,
        2,
        1,
        2,
    ]
    assert opened.room(depth=0, reserved=0) == 0


def test_an_idle_child_comes_first_while_fewer_run_than_may():
    opened = openings(child(1, "a"), child(2), total=2)

    assert next(opened.in_turn(reserved=0, depth=4)).number == 2
    assert opened.room(depth=0, reserved=0) == 1
