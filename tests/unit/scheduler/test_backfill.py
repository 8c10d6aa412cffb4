"""Backfills without a store: which fire times a slice has, and that slices neither lose nor repeat any."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from backbeat.scheduler.backfill import (
    Backfill,
    backfill_firing,
    check_range,
    extent,
    manual_firing,
    next_slice,
    with_payload,
)
from backbeat.scheduler.entry import DAY_US, SECOND_US, Delivery, Entry
from backbeat.scheduler.errors import ScheduleError
from backbeat.scheduler.firing import FiringKind, firing_of
from backbeat.scheduler.schedule import Crontab, Interval
from hypothesis import given
from hypothesis import strategies as st

NOW = 1_700_000_040 * SECOND_US
MINUTE = 60 * SECOND_US


def entry(when=None, **known) -> Entry:
    what = known.pop("what", {"task": "a", "args": [1]})
    return Entry(name="tick", when=when or Interval(every=timedelta(minutes=1)), what=what, **known)


def backfill(from_us=NOW, to_us=NOW + 10 * MINUTE, **known) -> Backfill:
    return Backfill(
        id="b", entry="tick", from_us=from_us, to_us=to_us, cursor_us=from_us - 1, actor="anna", **known
    )


def test_the_beginning_is_inside_and_the_end_is_not():
    piece = next_slice(backfill(to_us=NOW + 2 * MINUTE), entry(), 500)

    assert piece.fires_us == (NOW, NOW + MINUTE)
    assert (piece.done, piece.cursor_us) == (True, NOW + 2 * MINUTE - 1)


def test_a_range_without_fire_times_is_done_at_once():
    assert next_slice(backfill(from_us=NOW + 1, to_us=NOW + MINUTE), entry(), 500).done
    assert extent(entry(), NOW + 1, NOW + MINUTE).count == 0


def test_a_disabled_entry_and_fire_times_to_skip_do_not_matter():
    paused = entry(enabled=False, skip_us=(NOW,))

    assert next_slice(backfill(), paused, 2).fires_us == (NOW, NOW + MINUTE)


def test_a_fire_time_outside_of_the_entrys_own_bounds_is_none():
    bounded = entry(start_us=NOW + 2 * MINUTE, end_us=NOW + 4 * MINUTE)

    assert next_slice(backfill(), bounded, 500).fires_us == tuple(NOW + k * MINUTE for k in (2, 3, 4))
    assert extent(bounded, NOW, NOW + DAY_US).count == 3


@given(
    st.integers(1, 7),
    st.integers(0, 90 * 60).map(lambda seconds: seconds * SECOND_US),
    st.sampled_from([Interval(every=timedelta(seconds=47)), Crontab(expression="*/3 * * * *")]),
)
def test_slices_of_any_size_have_together_what_the_range_has(limit, length_us, when):
    known, given_entry = backfill(to_us=NOW + length_us + 1), entry(when)
    found = []
    while True:
        piece = next_slice(known, given_entry, limit)
        assert len(piece.fires_us) <= limit
        found += piece.fires_us
        if piece.done:
            break
        known = replace(known, cursor_us=piece.cursor_us)

    expected, fire_us = [], given_entry.next_after(NOW - 1)
    while fire_us < known.to_us:
        expected.append(fire_us)
        fire_us = given_entry.next_after(fire_us)
    assert found == expected
    whole = extent(given_entry, NOW, known.to_us)
    ends = (expected[0], expected[-1]) if expected else (None, None)
    assert (whole.count, whole.first_us, whole.last_us) == (len(expected), *ends)


def test_more_than_a_million_fire_times_are_to_be_divided():
    with pytest.raises(ScheduleError, match="more than 1,000,000 fire times"):
        extent(entry(Interval(every=timedelta(seconds=1))), NOW - 30 * DAY_US, NOW)


@pytest.mark.parametrize("known", [{"to_us": NOW}, {"to_us": NOW + DAY_US}, {"rate": 0.0}, {"rate": -1.0}])
def test_a_range_that_makes_no_sense_is_refused(known):
    with pytest.raises(ScheduleError):
        check_range(backfill(**known), NOW + 10 * MINUTE)


def test_the_same_fire_time_has_an_id_for_each_kind():
    given_entry = entry()
    regular = firing_of("c", given_entry, NOW, rev=1, batch_id=1)
    again = backfill_firing("c", given_entry, NOW, rev=9, batch_id=-1)
    manual = manual_firing("c", given_entry, str(NOW), NOW, rev=1, batch_id=-2)

    assert len({firing.task_id for firing in (regular, again, manual)}) == 3
    assert len({firing.ledger_key for firing in (regular, again, manual)}) == 3
    assert again.task_id == backfill_firing("c", given_entry, NOW, rev=1, batch_id=-7).task_id


def test_a_backfill_of_a_task_that_expires_is_not_expired_and_keeps_how_it_travels():
    given_entry = entry(what={"task": "a", "options": {"expires": 60}}, delivery=Delivery.AT_MOST_ONCE)

    terms = backfill_firing("c", given_entry, NOW - 30 * DAY_US, rev=1, batch_id=-1).terms

    assert (terms.expires_us, terms.once) == (None, True)


def test_a_run_is_not_spread_and_may_have_a_payload_of_its_own():
    given_entry = with_payload(entry(jitter_us=MINUTE, spread_us=None), {"task": "a", "args": [2]})

    firing = manual_firing("c", given_entry, "r", NOW, rev=-1, batch_id=-1)

    assert (firing.kind, firing.hold_us, firing.payload["args"]) == (FiringKind.MANUAL, 0, [2])
