"""Pace: how long to wait between two looks (K25)."""

from __future__ import annotations

import pytest
from backbeat.canvas.pace import Pace


def test_k25_looks_are_from_2_to_50_ms_apart_and_begin_anew_when_something_happens():
    pace = Pace()
    pauses = [pace.pause(0) for _ in range(20)]
    pace.reset()

    assert pauses[:3] == pytest.approx([0.002, 0.003, 0.0045])
    assert pauses == sorted(pauses)
    assert pauses[-5:] == [0.05] * 5
    assert pace.pause(0) == 0.002


def test_who_looks_long_looks_for_a_tenth_of_the_time_at_most():
    pace = Pace()

    assert pace.pause(0.1) == pytest.approx(0.9)
    assert pace.pause(0) == pytest.approx(0.003)
