"""Spread and jitter: the laws of when a fire time is sent."""

from __future__ import annotations

from collections import Counter

import pytest
from backbeat.scheduler.spread import send_us
from hypothesis import given
from hypothesis import strategies as st

MINUTE_US = 60_000_000
NAMES = st.text(max_size=12)
TIMES = st.integers(-(10**16), 10**16)
DELAYS = st.integers(0, 10**12)


@given(NAMES, TIMES, st.none() | st.integers(1, 10**12), DELAYS, st.none() | DELAYS)
def test_it_is_never_before_the_fire_time_and_always_before_the_next_one(
    name: str, due: int, period: int | None, jitter: int, spread: int | None
) -> None:
    following = None if period is None else due + period

    sent = send_us(name, due, following, jitter, spread)

    assert sent >= due
    assert following is None or sent < following
    assert sent <= due + jitter + (spread if spread is not None else (period or 0))
    assert sent == send_us(name, due, following, jitter, spread)


@given(NAMES, TIMES, st.none() | st.integers(1, 10**12))
def test_nothing_asked_for_moves_nothing(name: str, due: int, period: int | None) -> None:
    assert send_us(name, due, None if period is None else due + period, 0, 0) == due


@given(NAMES, st.lists(TIMES, min_size=2, max_size=5), st.integers(2, 10**10))
def test_an_entry_keeps_its_spread(name: str, times: list[int], period: int) -> None:
    for spread in (None, period // 2):
        assert len({send_us(name, due, due + period, 0, spread) - due for due in times}) == 1


def test_jitter_differs_from_fire_time_to_fire_time_and_covers_its_range() -> None:
    delays = [send_us("report", due, None, 10, 0) - due for due in range(0, 2_000 * MINUTE_US, MINUTE_US)]

    assert set(delays) == set(range(11))
    assert max(Counter(delays).values()) < 2 * 2_000 / 11


def test_names_spread_over_the_whole_period() -> None:
    minutes = Counter(send_us(f"job-{i}", 0, 60 * MINUTE_US, 0, None) // MINUTE_US for i in range(6_000))

    assert set(minutes) == set(range(60))
    assert max(minutes.values()) < 150


def test_jitter_has_what_spread_leaves_before_the_next_fire_time() -> None:
    sent = [send_us(f"job-{i}", 0, 1_000, 10**9, 10**9) for i in range(500)]

    assert all(0 <= at < 1_000 for at in sent)
    assert max(Counter(sent).values()) < 20  # nothing piles up at the end


@pytest.mark.parametrize("following", [0, -5, 1])
def test_without_room_it_is_sent_at_its_time(following: int) -> None:
    assert send_us("report", 0, following, 100, None) == 0


def test_recorded_figures_hold_so_that_nodes_of_two_versions_agree() -> None:
    assert [
        send_us("report", due, due + 60 * MINUTE_US, MINUTE_US, None) for due in (0, 60 * MINUTE_US)
    ] == RECORDED


RECORDED = [2_735_394_730, 6_343_613_114]
