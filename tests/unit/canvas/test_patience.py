"""Patience: pauses that grow to a second, of which not every one is told."""

from __future__ import annotations

from backbeat.canvas.patience import Patience


def test_pauses_double_up_to_a_second_so_that_nobody_lies_idle_for_long_when_the_server_is_back():
    patience = Patience()

    pauses = [patience.next()[0] for _ in range(7)]

    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]


def test_while_pauses_grow_each_try_is_told_and_later_one_of_five():
    patience = Patience()

    told = [is_told for _, is_told in (patience.next() for _ in range(16))]

    assert [n for n, is_told in enumerate(told) if is_told] == [0, 1, 2, 3, 4, 9, 14]


def test_after_a_success_it_begins_anew():
    patience = Patience()
    for _ in range(9):
        patience.next()

    patience.reset()

    assert patience.next() == (0.1, True)


def test_it_goes_on_for_days():
    patience = Patience()

    assert [patience.next()[0] for _ in range(100_000)][-1] == 1.0
