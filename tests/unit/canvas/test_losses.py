"""Losses: each loss is told to whoever it may concern, and to nobody twice."""

from __future__ import annotations

import pytest
from backbeat.canvas.results.losses import Losses


@pytest.fixture
def losses():
    return Losses(remembered=3)


def test_while_nothing_is_lost_there_is_nothing_to_tell(losses):
    losses.expect("a")

    assert losses.news(["a", "stranger"], 0) is None


def test_all_who_wait_meanwhile_are_told_whatever_they_wait_for(losses):
    losses.happen("cut")

    assert [losses.news([id_], 0) for id_ in ("a", "a", "b")] == ["cut"] * 3
    assert losses.news(["a"], losses.count) is None


def test_who_asks_later_for_what_was_sent_before_is_told_once(losses):
    losses.expect("a")
    losses.happen("cut")
    losses.expect("b")

    assert [losses.news(ids, losses.count) for ids in (["b"], ["b", "a"], ["a"])] == [None, "cut", None]
    losses.happen("again")
    assert [losses.news(["a"], losses.count) for _ in range(2)] == ["again", None]


def test_of_what_came_or_was_forgotten_nothing_is_told(losses):
    losses.expect("a")
    losses.forget("a")
    losses.forget("stranger")
    losses.happen("cut")

    assert losses.news(["a"], losses.count) is None


def test_only_the_latest_are_remembered(losses):
    for id_ in "abcd":
        losses.expect(id_)
    losses.happen("cut")

    assert [losses.news([id_], losses.count) for id_ in "abcd"] == [None, "cut", "cut", "cut"]
