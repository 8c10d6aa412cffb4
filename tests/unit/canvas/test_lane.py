"""Limits by key: the laws of starts in a window and of slots, however those who ask come; and options that cannot be meant."""

from __future__ import annotations

import random

import pytest
from backbeat.canvas import App
from backbeat.canvas.commit.lane import (
    EMPTY_LANE,
    LONGEST_SLACK_US,
    MOST_STARTS,
    Lane,
    Ring,
    Slot,
    admit,
    ring_of,
)
from backbeat.canvas.commit.put_off import LONGEST_SECONDS
from backbeat.canvas.commit.run import RunRecord
from backbeat.canvas.errors import ImproperlyConfigured
from backbeat.canvas.message import Message
from backbeat.canvas.outcome import Retry
from backbeat.canvas.quota import MOST_AT_ONCE, Ask, Quota
from backbeat.canvas.rate import Rate, rate_of
from backbeat.canvas.worker.wiring import refuse_keys


def ask(id_="a", rate=None, concurrency=None, *, has_turn=False, **known):
    quota = Quota("key", rate_of("rate_limit", rate), concurrency)
    return Ask(Message(id=id_, task="t", **known), quota, has_turn)


# --- rate --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "count"),
    [("1/h", 1), ("100/m", 100), ("101/m", 50), ("150/s", 75), ("1000/m", 100), ("1001/m", 91)],
)
def test_a_rate_of_many_starts_is_kept_as_one_of_fewer_in_a_shorter_window(rate, count):
    asked, ring = rate_of("rate_limit", rate), ring_of(rate_of("rate_limit", rate))
    spans = asked.count // ring.count

    assert (ring.count, ring.count <= MOST_STARTS) == (count, True)
    assert (
        ring.window_us * spans >= asked.seconds * 1_000_000
    )  # that many spans lie between asked.count + 1 starts
    assert ring.window_us * spans <= asked.seconds * 1_010_000 + spans


def test_the_slack_of_a_window_is_a_hundredth_and_at_most_so_much():
    assert ring_of(Rate(10, 1.0)) == Ring(10, 1_010_000)
    assert ring_of(Rate(10, 60.0)) == Ring(10, 60_000_000 + LONGEST_SLACK_US)


@pytest.mark.parametrize("seed", range(30))
def test_r19_no_window_has_more_starts_than_it_may_however_messages_come_and_come_late(seed):
    draw = random.Random(seed)
    asked = Rate(draw.choice([1, 2, 7, 100, 130, 250]), draw.choice([1.0, 60.0]))
    rate, window_us = (
        f"{asked.count}/{'s' if asked.seconds == 1.0 else 'm'}",
        round(asked.seconds * 1_000_000),
    )
    lane, starts, now = EMPTY_LANE, [], 1_000_000_000
    waiting = [(now + draw.randrange(3 * window_us), False, number) for number in range(600)]
    while waiting and len(starts) < 400:
        waiting.sort()
        due, has_turn, number = waiting.pop(0)
        now = max(now, due) + draw.choice([0, 0, 0, draw.randrange(window_us // 20)])
        if draw.random() < 0.002:
            now += draw.randrange(2 * window_us)  # nobody worked for a while
        wait, lane = admit(lane, ask(str(number), rate, has_turn=has_turn), now)
        if wait is None:
            starts.append(now)
        else:
            assert wait.seconds > 0
            waiting.append((now + round(wait.seconds * 1_000_000), wait.has_turn, number))

    assert len(starts) >= 50
    spans = [later - first for first, later in zip(starts, starts[asked.count :], strict=False)]
    assert all(span >= window_us for span in spans)


def test_who_comes_while_others_wait_for_their_turns_comes_behind_them():
    lane, waits = EMPTY_LANE, []
    for number in range(4):
        wait, lane = admit(lane, ask(str(number), "2/s"), 0)
        waits.append(wait and round(wait.seconds, 6))

    assert waits == [None, None, 1.01, 1.515]
    newcomer, lane = admit(lane, ask("new", "2/s"), 1_010_000)
    first, lane = admit(lane, ask("2", "2/s", has_turn=True), 1_010_000)
    assert newcomer.has_turn
    assert newcomer.seconds == pytest.approx(1.01)
    assert first is None


def test_turns_are_given_so_far_ahead_and_no_farther():
    _, lane = admit(EMPTY_LANE, ask("1", "1/m"), 0)
    waits = []
    for number in range(8):
        wait, lane = admit(lane, ask(str(number), "1/m"), 0)
        waits.append((wait.seconds < LONGEST_SECONDS, wait.has_turn))

    assert waits == [(True, True)] * 4 + [(False, False)] * 4


def test_a_rate_can_be_changed_at_any_time():
    lane, now = EMPTY_LANE, 0
    for _ in range(3):
        _, lane = admit(lane, ask("1", "1/h"), now)
    wait, lane = admit(lane, ask("2", "1/h", has_turn=True), now)
    assert wait is not None

    wait, lane = admit(lane, ask("2", "100/s", has_turn=True), now)

    assert wait is None


# --- concurrency -------------------------------------------------------------------------------------------------------------------


def test_r19_a_slot_is_had_once_and_only_while_there_is_one():
    lane, waits = EMPTY_LANE, []
    for id_ in ("a", "b", "a", "c"):
        wait, lane = admit(lane, ask(id_, concurrency=2), 0)
        waits.append(wait and wait.in_line)

    assert waits == [None, None, None, True]
    assert {slot.id for slot in lane.slots} == {"a", "b"}
    assert len(lane.slots) == 2


def test_who_finds_no_slot_uses_up_no_start():
    _, lane = admit(EMPTY_LANE, ask("a", "2/s", 1), 0)
    _, after = admit(lane, ask("b", "2/s", 1), 0)

    assert after == lane


@pytest.mark.parametrize(
    ("record", "is_taken"),
    [
        (None, False),
        (RunRecord(worker="w", lease_us=11), True),
        (RunRecord(worker="w", lease_us=10), False),
        (RunRecord(), False),
        (RunRecord(attempt=1, worker="w", lease_us=11), False),
        (RunRecord(generation=1, worker="w", lease_us=11), False),
        (RunRecord(worker="w", lease_us=11, outcome=Retry(eta_us=0)), False),
    ],
)
def test_a_slot_is_free_when_its_run_has_ended_or_its_claim_is_dead_or_given_back(record, is_taken):
    lane = Lane(slots=(Slot("a"),), concurrency=1).pruned(lambda slot: slot.is_taken(record, 10))

    assert lane.free == (0 if is_taken else 1)


# --- options -----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def app():
    return App("a", broker="memory://", set_as_current=False)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"limit_concurrency": 2}, "limit_concurrency without a limit_key means nothing"),
        ({"limit_key": "k", "limit_concurrency": 0}, "limit_concurrency must be a whole number from 1"),
        (
            {"limit_key": "k", "limit_concurrency": MOST_AT_ONCE + 1},
            "limit_concurrency must be at most 1,000",
        ),
        ({"limit_key": "k", "limit_concurrency": True}, "limit_concurrency must be a whole number from 1"),
        ({"limit_key": ""}, "limit_key must be a printable text"),
        ({"limit_key": 5}, "limit_key must be a printable text"),
        ({"limit_key": "{nobody}"}, "limit_key '{nobody}' names 'nobody'; the task's parameters are tenant"),
        ({"limit_key": "{tenant.x}"}, "must be the name of a parameter alone"),
        ({"limit_key": "{"}, "write {{ and }} for braces"),
    ],
)
def test_limits_that_cannot_be_meant_are_refused_where_the_task_is_defined(app, options, text):
    with pytest.raises(ImproperlyConfigured) as caught:
        app.task(name="proj.wrong", **options)(lambda tenant: None)

    assert text in str(caught.value)
    assert "proj.wrong" in str(caught.value)


def test_a_worker_without_a_store_refuses_tasks_with_a_limit_key():
    alone = App("a", broker="amqp://", set_as_current=False)
    alone.task(name="proj.keyed", limit_key="k", limit_concurrency=1)(lambda: None)

    with pytest.raises(
        ImproperlyConfigured, match=r"limit_key of proj\.keyed cannot be kept, as there is no result backend"
    ):
        refuse_keys(alone)
