"""Rates as users write them, and how one worker spreads the starts of a task by them."""

from __future__ import annotations

import itertools
import random

import pytest
from backbeat.canvas import App
from backbeat.canvas.commit.put_off import LONGEST_SECONDS, Wait
from backbeat.canvas.errors import ImproperlyConfigured
from backbeat.canvas.rate import Rate, rate_of
from backbeat.canvas.worker.pacing import Pacing


@pytest.mark.parametrize(
    ("value", "rate"),
    [
        (None, None),
        (0, None),
        ("0", None),
        ("0/m", None),
        (5, Rate(5, 1.0)),
        ("5", Rate(5, 1.0)),
        ("100/s", Rate(100, 1.0)),
        ("10/m", Rate(10, 60.0)),
        ("3/h", Rate(3, 3_600.0)),
        (0.5, Rate(1, 2.0)),
        ("0.5/m", Rate(1, 120.0)),
        ("2.5/s", Rate(2, 0.8)),
    ],
)
def test_a_rate_is_said_as_in_celery(value, rate):
    assert rate_of("rate_limit", value) == rate


@pytest.mark.parametrize(
    "value",
    [
        "often",
        "10/d",
        "10/",
        "/m",
        "-1/m",
        -1,
        "nan",
        float("nan"),
        "1e3/s",
        "inf/s",
        True,
        [],
        "2000000/s",
        1e-9,
    ],
)
def test_what_is_no_rate_is_refused(value):
    with pytest.raises(
        ImproperlyConfigured, match='rate_limit must be a number of starts in a second, or such as "100/s"'
    ):
        rate_of("rate_limit", value)


def test_a_task_and_a_setting_refuse_what_is_no_rate():
    app = App("a", broker="memory://", set_as_current=False)

    with pytest.raises(ImproperlyConfigured, match=r"^task proj\.wrong: rate_limit must be"):
        app.task(name="proj.wrong", rate_limit="often")(lambda: None)
    with pytest.raises(ImproperlyConfigured, match=r"^task_default_rate_limit must be"):
        app.conf.task_default_rate_limit = "often"


def test_a_task_that_says_no_rate_reads_as_the_setting():
    app = App("a", broker="memory://", set_as_current=False)
    app.conf.task_default_rate_limit = "7/m"
    plain, own = app.task(name="plain")(lambda: None), app.task(name="own", rate_limit="9/m")(lambda: None)

    assert (plain.rate_limit, own.rate_limit) == ("7/m", "9/m")


def test_starts_are_one_interval_apart_and_each_that_cannot_be_gets_the_next_turn():
    pacing, rate = Pacing(), Rate(10, 60.0)

    waits = [pacing.wait("t", rate, 100.0) for _ in range(3)]

    assert waits == [None, Wait(6.0, has_turn=True), Wait(12.0, has_turn=True)]
    assert pacing.wait("t", rate, 118.0) is None


def test_an_idle_task_saves_up_no_turns():
    pacing, rate = Pacing(), Rate(1, 1.0)
    assert pacing.wait("t", rate, 0.0) is None

    assert pacing.wait("t", rate, 1_000.0) is None
    assert pacing.wait("t", rate, 1_000.0) == Wait(1.0, has_turn=True)


def test_turns_are_kept_so_far_ahead_and_no_farther():
    pacing, rate = Pacing(), Rate(1, 200.0)

    waits = [pacing.wait("t", rate, 0.0) for _ in range(4)]

    assert waits == [None, Wait(200.0, has_turn=True), Wait(LONGEST_SECONDS), Wait(LONGEST_SECONDS)]
    assert pacing.wait("t", rate, LONGEST_SECONDS) == Wait(100.0, has_turn=True)


def test_a_new_rate_counts_from_when_it_is_set_and_tasks_do_not_share_turns():
    pacing = Pacing()
    for _ in range(5):
        pacing.wait("t", Rate(1, 60.0), 0.0)

    assert pacing.wait("other", Rate(1, 60.0), 0.0) is None
    assert pacing.wait("t", Rate(1, 1.0), 0.0) is None
    assert pacing.wait("t", Rate(1, 1.0), 0.0) == Wait(1.0, has_turn=True)


@pytest.mark.parametrize("seed", range(20))
def test_however_messages_come_no_two_starts_are_closer_than_an_interval(seed):
    draw, pacing = random.Random(seed), Pacing()
    rate = Rate(draw.randint(1, 20), draw.choice([1.0, 60.0, 3_600.0]))
    starts, now = [], 0.0
    for _ in range(500):
        now += draw.expovariate(2 / rate.interval)
        wait = pacing.wait("t", rate, now)
        if wait is None or wait.has_turn:
            starts.append(now if wait is None else now + wait.seconds)

    assert len(starts) > 50
    assert all(later - first > rate.interval * 0.999_999 for first, later in itertools.pairwise(starts))
