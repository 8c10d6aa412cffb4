"""Who came in vain lets others go first the next time."""

from __future__ import annotations

import pytest
from backbeat.canvas.hesitation import FIRST_SECONDS, Hesitation

LONGEST_SECONDS = 16 * FIRST_SECONDS


@pytest.fixture
def hesitation():
    return Hesitation(LONGEST_SECONDS)


def test_one_that_gets_what_it_comes_for_neither_looks_first_nor_waits(hesitation):
    for count in (1, 3):
        hesitation.told()
        hesitation.took(count)

        assert (hesitation.is_wary, hesitation.seconds) == (False, 0)


def test_one_that_was_told_of_what_others_wait_for_looks_first_and_waits_no_longer(hesitation):
    for _ in range(5):
        hesitation.told()
        hesitation.took(0)

    assert (hesitation.is_wary, hesitation.seconds) == (True, 0)


def test_one_that_did_not_get_what_it_saw_waits_longer_each_time_up_to_a_limit(hesitation):
    longest = FIRST_SECONDS
    for _ in range(30):
        hesitation.saw()
        hesitation.took(0)
        longest = min(longest * 2, LONGEST_SECONDS)
        assert longest / 2 <= hesitation.seconds <= longest

    assert longest == LONGEST_SECONDS
    assert hesitation.is_wary


def test_one_that_got_something_comes_at_once_again(hesitation):
    hesitation.saw()
    hesitation.took(0)
    hesitation.took(1)

    assert (hesitation.is_wary, hesitation.seconds) == (False, 0)


def test_asking_for_messages_that_nobody_spoke_of_is_not_coming_in_vain(hesitation):
    hesitation.took(0)
    hesitation.saw()
    hesitation.took(1)
    hesitation.took(0)

    assert (hesitation.is_wary, hesitation.seconds) == (False, 0)
