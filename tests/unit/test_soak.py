"""What a soak judges: growth after the first tenth of a run, and no single look that met a full buffer."""

from __future__ import annotations

import pytest
from bench.soak import Soaked, grown


def test_what_is_reached_in_the_first_tenth_is_no_growth():
    assert grown([20.0] * 3 + [47.0] * 97) == 0


def test_a_leak_grows_by_as_much_as_it_leaks_between_the_second_tenth_and_the_last():
    assert grown([47.0 + 0.1 * look for look in range(100)]) == pytest.approx(8.0)


def test_one_look_at_a_full_buffer_is_no_growth():
    assert grown([47.0] * 95 + [90.0] + [47.0] * 4) == 0


def test_the_slope_is_per_100_000_of_what_goes_through_each_process():
    sizes = [10.0 + 0.01 * look for look in range(100)]  # 0.8 MB in four fifths of the run
    run = Soaked(tasks=1_000_000, results=100_000, sizes={"worker": sizes, "client": sizes}, seconds=1.0)

    assert run.slope_mb("worker") == pytest.approx(0.1)
    assert run.slope_mb("client") == pytest.approx(1.0)
