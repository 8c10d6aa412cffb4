"""The order E0-E8 visited whole, and its mutants: each rule of it is there because without it something breaks.

Two guards are redundant by design, and that is stated here, too: with the fence in place nobody needs the unique key, and with the
unique key in place the fence is not needed for I-ONE. Both stay, because a mistake in one must not be a second firing.
"""

from __future__ import annotations

import pytest

from model.step_order import Faults, Model, Rules
from support.stacks import IS_WHOLE

ROLLBACK = Faults(takes=3, crashes=1, lost_messages=0, lost_confirms=1, lost_answers=1, rollbacks=1)


FIRES, STATES = (2, 100_000) if IS_WHOLE else (1, 1_000)
"""Fire times of the two beats, and how many states that has at least; with two of them it takes a minute."""


@pytest.mark.timeout(300)
def test_the_order_holds_in_every_state_of_two_beats():
    states, wrong = Model(fires=FIRES).explore()

    print(f"step order: {states:,} states, {wrong or 'nothing wrong'}")
    assert wrong is None
    assert states > STATES, "the model has shrunk: is an action gone?"


def test_the_order_holds_when_the_store_forgets_its_last_commit():
    states, wrong = Model(fires=1, faults=ROLLBACK).explore()

    assert (wrong, states > 5_000) == (None, True)


def test_i_atomic_one_store_never_has_a_second_copy():
    states, wrong = Model(Rules(one_store=True), fires=2, most_copies=1).explore()

    assert (wrong, states > 500) == (None, True)


@pytest.mark.parametrize(
    ("mutant", "setting", "found"),
    [
        ({"decision_is_fenced": False}, {"fires": 1}, {"I-LIVE", "I-BOUND"}),
        ({"load_is_fenced": False}, {"fires": 1}, {"I-BOUND"}),
        ({"record_comes_first": False}, {"fires": 1}, {"I-FIRST"}),
        ({"mark_waits_for_confirm": False}, {"fires": 1}, {"I-CONF"}),
        ({"cursor_moves_with_row": False}, {"fires": 1}, {"I-NOLOSS"}),
        ({"dues_come_from_cursor": False}, {"fires": 2}, {"I-NOLOSS", "I-LIVE"}),
        ({"id_is_derived": False}, {"fires": 1, "faults": ROLLBACK}, {"I-ID"}),
        ({"doubt_reloads": False}, {"fires": 1}, {"I-LIVE"}),
        ({"unconfirmed_is_resent": False}, {"fires": 1}, {"I-LIVE"}),
        ({"load_waits_for_flying": False}, {"fires": 2}, {"I-BOUND"}),
        ({"fence_names_holder": False}, {"fires": 1, "faults": ROLLBACK}, {"I-LIVE", "I-BOUND"}),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_mutant_is_caught(mutant, setting, found):
    states, wrong = Model(Rules(**mutant), **setting).explore()

    print(f"{next(iter(mutant))}: {wrong} after {states:,} states")
    assert wrong in found


def test_the_unique_key_is_redundant_while_the_fence_stands():
    _, wrong = Model(Rules(key_is_unique=False), fires=1).explore()

    assert wrong is None
