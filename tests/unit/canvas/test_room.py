"""How much more a worker takes than it has."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from backbeat.canvas.worker.appetite import Appetite
from backbeat.canvas.worker.room import Room


def room_of(slots, *, at_once, run_seconds=0.00001, taken=()):
    """A worker's that is idle, whose pool has room for what may wait there, and whose tasks take so long."""
    pool = SimpleNamespace(
        size=slots, free=slots, queue_limit=128, room=lambda depth: slots * (1 + min(depth, 128))
    )
    appetite = Appetite()
    for _ in range(200):
        appetite.ran(run_seconds)
    nothing = SimpleNamespace(left=[], headroom=0)
    return Room(pool, [], taken, nothing, appetite, nothing, at_once=at_once, is_kept_free=False)


@pytest.mark.parametrize(
    ("slots", "at_once", "depth"), [(2, 64, 32), (8, 64, 8), (2, 256, 128), (100, 64, 0)]
)
def test_no_more_short_tasks_wait_in_a_pool_than_its_store_takes_at_once(slots, at_once, depth):
    assert room_of(slots, at_once=at_once).depth == depth


def test_behind_longer_tasks_wait_as_many_as_are_done_soon():
    assert 1 <= room_of(2, at_once=256, run_seconds=0.004).depth <= 3
    assert room_of(2, at_once=256, run_seconds=1.0).depth == 0


def test_what_is_taken_already_has_its_place():
    assert room_of(2, at_once=64).places == 2 + 2 * 32
    assert room_of(2, at_once=64, taken=["a", "b", "c"]).places == 2 + 2 * 32 - 3
    assert room_of(2, at_once=64, taken=["a"] * 100).places == 0
