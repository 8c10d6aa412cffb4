"""What a store decides about one id: may it run now, and which outcome stands."""

from __future__ import annotations

import pytest
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.commit.run import RunRecord, judge, settle
from backbeat.canvas.commit.verdict import Later, Poison, Run, Settled, Stale, Standing, WasRevoked
from backbeat.canvas.message import Message
from backbeat.canvas.outcome import Error, Failure, Retry, Success

NOW = 1_000_000_000
LIMITS = Limits(lease_seconds=10.0, max_lost=3)
LEASE = NOW + 10_000_000
DONE, OTHER = Success(value="1"), Failure(error=Error(type="ValueError"))
AGAIN = Retry(eta_us=NOW)


def message(attempt=0, generation=0, eta_us=None):
    return Message(id="t", task="t", attempt=attempt, generation=generation, eta_us=eta_us)


def claim(attempt=0, *, generation=0, worker="w", lease_us=LEASE, lost=0, early=False):
    return RunRecord(
        attempt=attempt, generation=generation, worker=worker, lease_us=lease_us, lost=lost, early=early
    )


def ended(outcome, attempt=0, generation=0):
    return RunRecord(outcome=outcome, attempt=attempt, generation=generation)


DEAD = NOW  # a lease is over at its very end
JUDGEMENTS = {
    #                                record                          message               revoked  verdict
    "nothing known": (None, message(), False, Run()),
    "revoked": (None, message(), True, WasRevoked()),
    "eta ahead": (None, message(eta_us=NOW + 1), False, Later(NOW + 1)),
    "eta come": (None, message(eta_us=NOW), False, Run()),
    "revoked and eta ahead": (None, message(eta_us=NOW + 1), True, WasRevoked()),
    "claimed and alive": (claim(), message(), False, Later(LEASE, "w")),
    "claim dead": (claim(lease_us=DEAD), message(), False, Run(lost=1)),
    "claimed and alive, then revoked": (claim(), message(), True, Later(LEASE, "w")),
    "its claim died, then revoked": (claim(lease_us=DEAD), message(), True, WasRevoked()),
    "lost twice": (claim(lease_us=DEAD, lost=1), message(), False, Run(lost=2)),
    "lost for the last time": (claim(lease_us=DEAD, lost=2), message(), False, Poison(3)),
    "handed back": (claim(worker="", lost=2), message(), False, Run(lost=2)),
    "lost and handed back": (claim(worker="", lost=3), message(), False, Poison(3)),
    "ended": (ended(DONE), message(), False, Settled(Standing(DONE, 0))),
    "ended, then revoked": (ended(DONE), message(), True, Settled(Standing(DONE, 0))),
    "ended, eta ahead": (ended(DONE), message(eta_us=NOW + 1), False, Settled(Standing(DONE, 0))),
    "ended in retry, old copy": (ended(AGAIN), message(), False, Settled(Standing(AGAIN, 0))),
    "the next attempt": (ended(AGAIN), message(1), False, Run()),
    "the next attempt, revoked": (ended(AGAIN), message(1), True, WasRevoked()),
    "a later attempt ended": (ended(DONE, 2), message(), False, Settled(Standing(DONE, 2))),
    "a later attempt runs": (claim(1), message(), False, Stale()),
    "a later attempt died": (claim(1, lease_us=DEAD), message(), False, Stale()),
    "an earlier claim is alive": (claim(0), message(1), False, Run()),
    "a later generation": (ended(DONE), message(generation=1), False, Run()),
    "an older generation": (ended(DONE, generation=1), message(5), False, Settled(Standing(DONE, 0, 1))),
    "generations go before attempts": (claim(0, generation=1), message(9), False, Stale()),
    "losses do not follow to a retry": (claim(0, lease_us=DEAD, lost=9), message(1), False, Run()),
}


def judged(record, given, *, revoked=False, is_gone=lambda _: False):
    return judge(record, given, worker="me", now_us=NOW, limits=LIMITS, revoked=revoked, is_gone=is_gone)


@pytest.mark.parametrize(("record", "given", "revoked", "verdict"), JUDGEMENTS.values(), ids=JUDGEMENTS)
def test_may_it_run_now(record, given, revoked, verdict):
    found, stored = judged(record, given, revoked=revoked)

    assert found == verdict
    match verdict:
        case Run():
            assert stored.worker == "me"
            assert stored.lease_us == LEASE
            assert stored.key == (given.generation, given.attempt)
            assert stored.outcome is None
        case Poison(lost):
            assert stored.lost == lost
        case _:
            assert stored is None


def test_each_death_counts_until_it_is_poison():
    record, lost = None, []
    for _ in range(4):
        verdict, stored = judged(record, message())
        lost.append((type(verdict).__name__, stored.lost))
        record = RunRecord(**{**_fields(stored), "lease_us": DEAD})
    assert lost == [("Run", 0), ("Run", 1), ("Run", 2), ("Poison", 3)]


@pytest.mark.parametrize(("early", "verdict"), [(False, Run(lost=1)), (True, Poison(1, early=True))])
def test_a_claim_is_dead_before_its_lease_is_if_its_process_is_over(early, verdict):
    record = claim(early=early)

    assert judged(record, message(), is_gone=lambda worker: worker == record.worker)[0] == verdict
    assert judged(record, message(1), is_gone=lambda _: True)[0] == Run()


def _fields(record):
    return {name: getattr(record, name) for name in record.__slots__}


SETTLEMENTS = {
    #                           record              message        outcome  what stands instead        stored
    "nothing known": (None, message(), DONE, None, True),
    "claimed": (claim(), message(), DONE, None, True),
    "claimed by another": (claim(worker="other"), message(), DONE, None, True),
    "the same again": (ended(DONE), message(), DONE, None, False),
    "another stands": (ended(OTHER), message(), DONE, Standing(OTHER, 0), False),
    "success is not overwritten": (ended(DONE), message(), OTHER, Standing(DONE, 0), False),
    "a retry stands": (ended(AGAIN), message(), DONE, Standing(AGAIN, 0), False),
    "after a retry": (ended(AGAIN), message(1), DONE, None, True),
    "a later attempt ended": (ended(DONE, 1), message(), OTHER, Standing(DONE, 1), False),
    "a later attempt runs": (claim(1), message(), DONE, Standing(None, 1), False),
    "a later generation runs": (claim(generation=1), message(3), DONE, Standing(None, 0, 1), False),
    "a new generation": (ended(DONE), message(generation=1), OTHER, None, True),
}


@pytest.mark.parametrize(
    ("record", "given", "outcome", "instead", "changes"), SETTLEMENTS.values(), ids=SETTLEMENTS
)
def test_which_outcome_stands(record, given, outcome, instead, changes):
    standing, stored = settle(record, given, outcome)

    assert standing == instead
    if changes:
        assert (stored.outcome, stored.key, stored.worker) == (
            outcome,
            (given.generation, given.attempt),
            "",
        )
    else:
        assert stored is None


def test_losses_are_remembered_with_the_outcome():
    _, stored = settle(claim(lost=2), message(), DONE)

    assert stored.lost == 2


def test_leases_are_seconds():
    assert Limits(lease_seconds=1.5).lease_us == 1_500_000
    assert Limits(lease_seconds=1.5).outbox_lease_us == 1_500_000
    assert Limits().outbox_lease_us == 2_000_000
