"""What a beat knows of itself, and what is judged by it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from backbeat.scheduler.firing import regular_firing
from backbeat.scheduler.health import MAX_AGE_SECONDS, STUCK_SECONDS, Verdict, liveness, readiness
from backbeat.scheduler.leader import Term
from backbeat.scheduler.relay import MemoryOutlet, OutletDown
from backbeat.scheduler.skip import Skip, SkipReason
from backbeat.scheduler.store.base import Lease
from backbeat.scheduler.vitals import BOUNDS_SECONDS, Lateness, Vitals
from backbeat.scheduler.watched_lease import WatchedLease
from backbeat.scheduler.watched_outlet import WatchedOutlet

SECOND = 1_000_000
WALL = 1_700_000_000
ANSWERS = Verdict(True, "the broker answers")


class Hands:
    """Both clocks, moved by hand."""

    def __init__(self):
        self.seconds = 1000.0

    def monotonic(self):
        return self.seconds

    def now(self):
        return WALL + self.seconds


@pytest.fixture
def hands():
    return Hands()


@pytest.fixture
def vitals(hands):
    return Vitals(monotonic=hands.monotonic, now=hands.now)


def firing(due_seconds=0.0):
    return regular_firing("c", "a", round((WALL + due_seconds) * SECOND), {"task": "t"}, rev=1, batch_id=1)


# --- counting ------------------------------------------------------------------------------------------------------------------


def test_a_lateness_counts_in_the_bucket_whose_bound_it_does_not_pass():
    just = [round(bound * SECOND) for bound in BOUNDS_SECONDS]

    counted = Lateness().plus([*just, *(us + 1 for us in just)])

    assert counted.counts == (1, *[2] * (len(just) - 1), 1)
    assert counted.sum_us == sum(just) * 2 + len(just)


def test_a_lateness_below_zero_counts_as_none():
    assert Lateness().plus([-5, 0]) == Lateness((2, *[0] * len(BOUNDS_SECONDS)), 0)


def test_what_was_sent_is_counted_at_the_pass_and_when_the_term_ends(vitals):
    vitals.fired(firing(), 5)
    before = vitals.sent
    vitals.passed(leads=True)
    passed = vitals.sent
    vitals.fired(firing(), 7)
    vitals.standby()

    assert (before, passed, vitals.sent) == (0, 1, 2)
    assert vitals.latest == ("a", 7)


def test_what_is_not_sent_is_counted_by_its_reason(vitals):
    vitals.skipped(Skip("a", 1, 2, 7, SkipReason.LIMIT))
    vitals.skipped(Skip("a", 3, 4, None, SkipReason.LIMIT))
    vitals.skipped(Skip("b", 3, 3, 1, SkipReason.WINDOW))
    vitals.failed(firing(), "too large")
    vitals.doubtful(firing())

    assert vitals.skips == {"limit": 7, "window": 1}
    assert vitals.skip_records == {"limit": 2, "window": 1}
    assert vitals.missed == {"failed": 1, "doubtful": 1}


def test_a_refused_reload_shows_until_the_next_one_that_is_applied(vitals):
    vitals.reload_refused(["a.yaml:3: no", "a.yaml:4: no"])
    refused = vitals.problems
    vitals.reloaded(1)

    assert refused == ("a.yaml:3: no", "a.yaml:4: no")
    assert (vitals.problems, vitals.reload_errors, vitals.reloads) == ((), 1, 1)


def test_the_figures_of_the_beat_are_taken_at_a_pass(vitals):
    class Figures:
        entries, unsent, next_us = 5, 6, 7

    vitals.watch(Figures())
    before = vitals.entries
    vitals.passed(leads=True)

    assert (before, vitals.entries, vitals.open_firings, vitals.next_us) == (0, 5, 6, 7)


# --- failovers -----------------------------------------------------------------------------------------------------------------

OTHERS = Lease("other", 1, 1, 10_000)


class Rows:
    """A lease row in memory."""

    def __init__(self, lease):
        self.lease = lease

    def read_lease(self):
        return self.lease

    def swap_lease(self, seen, put):
        if seen != self.lease:
            return False
        self.lease = put
        return True


def stand_by(vitals, hands, row):
    """Sees the other leader renew, then fall silent for eight seconds; takes over."""
    watched = WatchedLease(row, vitals)
    watched.read_lease()
    hands.seconds += 2
    row.lease = replace(OTHERS, renewal=2)
    watched.read_lease()
    for _ in range(8):
        hands.seconds += 1
        watched.read_lease()
    assert watched.swap_lease(row.lease, Lease("me", 2, 3, 10_000))
    vitals.leading(Term("me", 2, 99.0))
    return watched


def test_a_failover_lasts_from_the_last_sign_of_life_to_the_first_emission_that_was_due(vitals, hands):
    stand_by(vitals, hands, Rows(OTHERS))
    assert vitals.failover_seconds == 8.0

    hands.seconds += 0.5
    vitals.fired(firing(due_seconds=1005.0), 1)
    hands.seconds += 5
    vitals.fired(firing(due_seconds=1006.0), 1)

    assert (vitals.failovers, vitals.failover_seconds) == (1, 8.5)


def test_an_emission_that_was_due_later_says_nothing_about_a_failover(vitals, hands):
    stand_by(vitals, hands, Rows(OTHERS))

    hands.seconds += 3600
    vitals.fired(firing(due_seconds=hands.seconds), 1)

    assert vitals.failover_seconds == 8.0


def test_a_first_start_is_no_failover(vitals):
    row = Rows(Lease("", 0, 0, 0))
    watched = WatchedLease(row, vitals)

    watched.swap_lease(watched.read_lease(), Lease("me", 1, 1, 10_000))
    vitals.leading(Term("me", 1, 99.0))

    assert (vitals.failovers, vitals.failover_seconds, vitals.terms) == (0, None, 1)


def test_a_row_that_is_seen_for_the_first_time_is_no_sign_of_life(vitals, hands):
    """Its holder may have died a week ago."""
    watched = WatchedLease(Rows(OTHERS), vitals)

    for _ in range(11):
        watched.read_lease()
        hands.seconds += 1
    watched.swap_lease(OTHERS, Lease("me", 2, 2, 10_000))
    vitals.leading(Term("me", 2, 99.0))

    assert vitals.failovers == 0


def test_ones_own_renewals_are_no_sign_of_another_leader(vitals, hands):
    watched = stand_by(vitals, hands, Rows(OTHERS))

    for renewal in range(4, 8):
        hands.seconds += 2
        seen = watched.read_lease()
        assert watched.swap_lease(seen, replace(seen, renewal=renewal))
    vitals.standby()
    vitals.leading(Term("me", 2, 99.0))

    assert vitals.failovers == 1
    assert vitals.lease_age_seconds == 0.0


# --- the broker ----------------------------------------------------------------------------------------------------------------


def test_the_broker_is_up_or_down_as_the_last_publish_found_it(vitals):
    outlet = MemoryOutlet()
    watched = WatchedOutlet(outlet, vitals)
    before = vitals.broker_up

    assert list(watched.publish([firing()]).confirmed) == [firing()]
    up = vitals.broker_up
    outlet.up = False
    with pytest.raises(OutletDown):
        watched.publish([firing()])

    assert (before, up, vitals.broker_up) == (None, True, False)
    assert vitals.broker_fault == "the memory outlet is switched off"
    assert vitals.publishing_seconds == 0.0


def test_a_publish_that_fails_in_another_way_has_ended_too(vitals):
    class Broken(MemoryOutlet):
        def publish(self, firings):
            raise ValueError

    with pytest.raises(ValueError):
        WatchedOutlet(Broken(), vitals).publish([firing()])

    assert (vitals.publishing_seconds, vitals.broker_up) == (0.0, False)


# --- the verdicts --------------------------------------------------------------------------------------------------------------


def test_a_beat_is_alive_while_its_loop_passes(vitals, hands):
    vitals.passed(leads=False)
    hands.seconds += MAX_AGE_SECONDS
    assert liveness(vitals).well

    hands.seconds += 1
    assert liveness(vitals) == Verdict(False, "the loop's last pass was 31 s ago, more than 30 s")


def test_a_beat_that_never_passes_is_not_alive_for_long(vitals, hands):
    assert liveness(vitals).well
    hands.seconds += MAX_AGE_SECONDS + 1
    assert not liveness(vitals).well


def test_a_beat_that_waits_for_its_store_is_alive_and_not_ready(vitals, hands):
    for _ in range(10):
        vitals.tried("the store does not answer")
        hands.seconds += 10

    assert liveness(vitals).well
    assert not readiness(vitals, ANSWERS).well


def test_a_publish_that_hangs_is_a_reason_to_end_a_beat_whose_loop_turns(vitals, hands):
    vitals.publish_began()
    hands.seconds += STUCK_SECONDS
    vitals.passed(leads=True)
    assert liveness(vitals).well

    hands.seconds += 1
    assert liveness(vitals) == Verdict(False, "a publish to the broker has hung for 61 s")


@pytest.mark.parametrize(("leads", "text"), [(True, "ready: leading"), (False, "ready: standing by")])
def test_a_standby_is_as_ready_as_a_leader(vitals, leads, text):
    vitals.passed(leads=leads)

    assert readiness(vitals, ANSWERS) == Verdict(True, text)


def test_without_a_broker_a_beat_is_alive_and_not_ready(vitals):
    vitals.passed(leads=True)
    away = Verdict(False, "the broker does not answer")

    assert liveness(vitals).well
    assert readiness(vitals, away) == away
