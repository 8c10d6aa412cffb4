"""The clock guard: which steps of the wall clock are followed, when, and what time it is meanwhile."""

from __future__ import annotations

import logging
from itertools import pairwise

import pytest
from backbeat.scheduler.clock import SECOND_US, FakeClock
from backbeat.scheduler.clock_guard import EARLIEST_US, ClockGuard
from backbeat.scheduler.store.base import StoreDown

HOUR, DAY, YEAR = 3600, 86_400, 365 * 86_400
START = 1_700_000_000 * SECOND_US


class Server:
    """The clock of a server: it goes as boot-time does, and can be cut off or set."""

    def __init__(self, clock, ahead=0.0):
        self.clock = clock
        self.offset_us = clock.now_us() - round(clock.boottime() * SECOND_US) + round(ahead * SECOND_US)
        self.is_down = False
        self.takes = 0.0
        self.asked = 0

    def __call__(self):
        self.asked += 1
        self.clock.advance(self.takes)
        if self.is_down:
            raise StoreDown("cut")
        return round(self.clock.boottime() * SECOND_US) + self.offset_us

    def step(self, seconds):
        self.offset_us += round(seconds * SECOND_US)


class World:
    """A clock, its guard, and a true time that goes as boot-time does."""

    def __init__(self, *, witness, ahead=0.0):
        self.clock = FakeClock(START)
        self.told = []
        self.server = Server(self.clock, -ahead) if witness else None
        self.guard = ClockGuard(self.clock, self.server or (lambda: None), self.told.append)
        self.fit = self.guard.fit()
        self.begun = self.clock.boottime()

    def run(self, seconds, pause=1.0):
        """A pass each second; the earliest and latest that our time was beside the true one, in seconds."""
        errors = []
        for _ in range(round(seconds / pause)):
            self.clock.advance(pause)
            self.fit = self.guard.fit()
            errors.append(self.error)
        return min(errors), max(errors)

    @property
    def error(self):
        """Our time minus the true one, in seconds."""
        true = START + round((self.clock.boottime() - self.begun) * SECOND_US)
        return (self.guard.now_us() - true) / SECOND_US


@pytest.fixture
def alone():
    return World(witness=False)


@pytest.fixture
def served():
    return World(witness=True)


def test_without_steps_our_time_is_the_wall_clock(served):
    served.run(100)

    assert served.guard.now_us() == served.clock.now_us()
    assert served.fit
    assert (served.guard.steps, served.told) == (0, [])


def test_a_slewed_clock_is_followed(alone):
    for _ in range(100):
        alone.clock.step_wall(0.05)
        alone.run(1)

    assert alone.guard.now_us() == alone.clock.now_us()
    assert alone.guard.steps == 0


@pytest.mark.parametrize("step", [HOUR, DAY, 10 * YEAR, -HOUR, -DAY, -10 * YEAR])
def test_a_step_that_the_witness_contradicts_is_not_followed_and_said_each_minute(served, step, caplog):
    served.clock.step_wall(step)
    with caplog.at_level(logging.ERROR):
        worst = served.run(600)

    assert worst == (pytest.approx(0, abs=0.01), pytest.approx(0, abs=0.01))
    assert served.fit
    assert served.told == [pytest.approx(step)]
    assert 9 <= len([r for r in caplog.records if "not followed" in r.message]) <= 11
    served.clock.step_wall(-step)
    served.run(60)
    assert served.error == pytest.approx(0, abs=0.01)
    assert served.guard.now_us() == served.clock.now_us()


def test_a_forward_step_that_the_witness_confirms_is_followed_at_once(served):
    served.clock.step_wall(HOUR)
    served.server.step(HOUR)

    served.run(1)

    assert served.error == pytest.approx(HOUR)
    assert served.fit
    assert served.guard.steps == 1


def test_between_two_looks_a_step_does_not_show(alone):
    alone.clock.step_wall(10 * YEAR)

    assert alone.error == pytest.approx(0)
    assert alone.guard.steps == 0


@pytest.mark.parametrize("step", [HOUR, 10 * YEAR])
def test_without_a_witness_a_forward_step_is_followed_when_it_has_lasted_thirty_seconds(alone, step):
    alone.clock.step_wall(step)

    assert alone.run(29) == (pytest.approx(0), pytest.approx(0))
    alone.run(3)

    assert alone.error == pytest.approx(step)


def test_a_backward_step_of_an_hour_is_made_up_for_at_half_speed(alone):
    alone.run(10)
    alone.clock.step_wall(-HOUR)
    times = [alone.guard.now_us()]

    for _ in range(2 * HOUR + 60):
        alone.run(1)
        times.append(alone.guard.now_us())

    steps = [(late - early) / SECOND_US for early, late in pairwise(times)]
    assert min(steps) > 0.49  # never backward, never silent
    assert max(steps) <= 1.01
    assert alone.guard.now_us() == alone.clock.now_us()
    assert alone.fit


def test_a_backward_step_of_a_day_jumps_back_and_ends_the_term(alone):
    alone.clock.step_wall(-DAY)
    fits = []

    for _ in range(40):
        alone.run(1)
        fits.append(alone.fit)

    assert fits.count(False) == 1
    assert alone.guard.now_us() == alone.clock.now_us()


@pytest.mark.parametrize(
    ("ahead", "rewinds", "half_speed"), [(0, False, False), (HOUR, False, True), (4 * HOUR, True, False)]
)
def test_a_term_whose_cursors_lie_in_the_future_makes_up_for_it_or_sets_them_back(
    alone, ahead, rewinds, half_speed
):
    latest = alone.guard.now_us() + ahead * SECOND_US

    assert alone.guard.begin(latest) is rewinds

    assert alone.guard.now_us() == pytest.approx(latest if half_speed else alone.clock.now_us())
    before = alone.guard.now_us()
    alone.clock.advance(10)
    assert alone.guard.now_us() - before == (5 if half_speed else 10) * SECOND_US


def test_a_suspended_machine_goes_on_with_the_right_time_and_says_so(served, caplog):
    served.clock.advance(8 * HOUR)
    asked = served.server.asked
    with caplog.at_level(logging.WARNING):
        served.run(1)

    assert served.error == pytest.approx(0)
    assert served.guard.steps == 0
    assert served.server.asked == asked + 1
    assert "No look at the clock for 2880" in caplog.text


@pytest.mark.parametrize(
    ("skew", "fit"), [(0, True), (4, True), (-4, True), (6, False), (-6, False), (YEAR, False)]
)
def test_a_candidate_whose_clock_is_more_than_five_seconds_off_the_store_is_not_fit(skew, fit):
    world = World(witness=True, ahead=skew)

    assert world.fit is fit
    world.run(120)
    assert world.fit is fit


def test_a_clock_that_was_wrong_from_the_start_is_set_right_and_has_nothing_to_make_up_for():
    """It was not fit and has decided nothing: at half speed it would date everything half an hour early (I-JUMP)."""
    world = World(witness=True, ahead=1800)
    world.run(60)

    world.clock.step_wall(-1800)
    early, late = world.run(600)

    assert world.fit
    assert (early, late) == (pytest.approx(-1800, abs=0.1), pytest.approx(-1800, abs=0.1))


def test_only_what_was_shown_is_made_up_for():
    """Four seconds fast is good enough to lead, but nothing was shown that lies more than two after the witness."""
    world = World(witness=True, ahead=4)
    world.run(60)

    world.clock.step_wall(-4)
    _, late = world.run(60)

    assert late <= -4 + 2


def test_a_leader_that_drifts_away_from_the_store_is_not_fit_any_more_and_becomes_so_again(served, caplog):
    for _ in range(60):
        served.clock.step_wall(0.1)
        served.run(1)
    served.run(20)

    assert not served.fit
    assert "may not lead" in caplog.text
    for _ in range(60):
        served.clock.step_wall(-0.1)
        served.run(1)
    served.run(20)
    assert served.fit


@pytest.mark.parametrize("skew", [3, 4.9])
def test_nothing_is_dated_later_than_the_witness_and_two_seconds(skew):
    world = World(witness=True, ahead=skew)

    assert world.fit
    assert world.guard.now_us() - world.server() == pytest.approx(2 * SECOND_US, abs=10)


def test_a_clock_that_flaps_is_never_followed(alone):
    worst = [0.0]
    for number in range(60):
        alone.clock.step_wall(HOUR if number % 2 == 0 else -HOUR)
        worst += alone.run(10)

    assert (min(worst), max(worst)) == (pytest.approx(0), pytest.approx(0))
    assert alone.guard.now_us() == alone.clock.now_us()


def test_a_clock_that_flaps_between_two_wrong_times_is_never_followed(alone):
    alone.clock.step_wall(DAY)
    for number in range(60):
        alone.clock.step_wall(HOUR if number % 2 == 0 else -HOUR)
        alone.run(10)

    assert alone.error == pytest.approx(0)
    assert len(alone.told) == alone.guard.steps == 60


def test_while_the_store_does_not_answer_no_step_is_followed(served):
    served.server.is_down = True
    served.clock.step_wall(HOUR)

    worst = served.run(300)

    assert worst == (pytest.approx(0), pytest.approx(0))
    served.server.is_down = False
    served.server.step(HOUR)
    served.run(5)
    assert served.error == pytest.approx(HOUR)


def test_before_the_first_answer_of_the_store_nobody_is_fit():
    clock = FakeClock(START)
    server = Server(clock)
    server.is_down = True
    guard = ClockGuard(clock, server)

    assert not guard.fit()
    clock.advance(11)
    server.is_down = False
    assert guard.fit()


def test_a_machine_that_was_never_told_the_time_may_not_lead_without_a_witness():
    clock = FakeClock(100 * SECOND_US)
    guard = ClockGuard(clock)

    assert not guard.fit()
    clock.step_wall(EARLIEST_US // SECOND_US)
    for _ in range(40):
        clock.advance(1)
        fit = guard.fit()
    assert fit


def test_waiting_and_waking_are_those_of_the_clock_below():
    clock = FakeClock(START)
    guard = ClockGuard(clock)
    guard.wake()

    assert guard.wait(5)
    assert not guard.wait(5)
    assert guard.boottime() == clock.boottime()


def test_who_had_only_a_slow_answer_yet_asks_again_soon_and_is_fit_then():
    clock = FakeClock(START)
    server = Server(clock)
    guard = ClockGuard(clock, server)
    server.takes = 3.9  # a server that was silent meanwhile: nobody knows when it looked at its clock
    assert not guard.fit()

    server.takes = 0.0
    clock.advance(1)

    assert guard.fit()
