"""The identity of a firing: derived, the same for ever, and of the shape that RFC 9562 asks for."""

from __future__ import annotations

import uuid

import pytest
from backbeat.scheduler.firing import TRANSITIONS, FiringKind, FiringState, derive_task_id, regular_firing
from hypothesis import given
from hypothesis import strategies as st

DUE = 1_700_000_000_123_456


def test_a_task_id_is_what_it_was_in_the_first_release():
    assert (
        derive_task_id("prod", "report", FiringKind.REGULAR, str(DUE), DUE)
        == "018bcfe5-687b-8f4c-9a87-9bc4593f9ef0"
    )


def test_a_task_id_is_a_uuid_of_version_8_that_begins_with_the_fire_time_in_ms():
    known = uuid.UUID(derive_task_id("prod", "report", FiringKind.REGULAR, str(DUE), DUE))

    assert known.version == 8
    assert known.variant == uuid.RFC_4122
    assert known.int >> 80 == DUE // 1000


names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)


@given(
    st.lists(st.tuples(names, names, st.sampled_from(FiringKind), names), min_size=2, max_size=2, unique=True)
)
def test_different_firings_have_different_ids(pair):
    first, second = (derive_task_id(*firing, DUE) for firing in pair)

    assert first != second


def test_an_edit_does_not_change_the_id_of_an_instant():
    first = regular_firing("prod", "report", DUE, {"task": "a"}, rev=1, batch_id=1)
    second = regular_firing("prod", "report", DUE, {"task": "b"}, rev=2, batch_id=9)

    assert first.task_id == second.task_id
    assert first.ledger_key == second.ledger_key == (DUE, "report", "regular", str(DUE))


def test_later_firings_have_greater_ids():
    ids = [
        derive_task_id("prod", "report", FiringKind.REGULAR, str(due), due)
        for due in range(DUE, DUE + 10**9, 10**7)
    ]

    assert ids == sorted(ids)


@pytest.mark.parametrize(
    "state", [FiringState.SENT, FiringState.SKIPPED, FiringState.DOUBTFUL, FiringState.FAILED]
)
def test_an_end_is_an_end(state):
    assert not [pair for pair in TRANSITIONS if pair[0] is state]


def test_every_state_but_the_first_ones_can_be_reached():
    born = {FiringState.DECIDED, FiringState.SENDING, FiringState.HELD}

    assert {after for _, after in TRANSITIONS} | born == set(FiringState)
