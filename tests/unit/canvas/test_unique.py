"""When a unique key is free: the laws that every store keeps."""

from __future__ import annotations

import pytest
from backbeat.canvas.commit.run import RunRecord
from backbeat.canvas.commit.sent import STEP_SECONDS
from backbeat.canvas.commit.unique import (
    Held,
    Hold,
    Take,
    hold_of,
    is_free,
    known_us,
    look_us,
    message_of,
    take,
)
from backbeat.canvas.effect import Publish
from backbeat.canvas.message import Message
from backbeat.canvas.outcome import Error, Failure, Ignored, Rejected, Retry, Revoked, Success
from backbeat.canvas.unique import Scope, Unique

NOW = 1_000_000_000
SECOND = 1_000_000
RUNNING, PENDING, TIME = Scope.RUNNING, Scope.PENDING, Scope.TIME
ENDINGS = [
    Success(value="1"),
    Failure(error=Error(type="ValueError")),
    Revoked(),
    Rejected(),
    Ignored(),
]


def held(scope, until_us=None, id_="first"):
    return Hold(id=id_, scope=scope, until_us=until_us)


def wanted(scope=RUNNING, id_="second", **known):
    return Unique(key="key", id=id_, scope=scope, **known)


def message(id_="second", **known):
    return Message(id=id_, task="t", **known)


RUNS = {
    "sent": RunRecord(),
    "claimed": RunRecord(worker="w", lease_us=NOW + 1),
    "claim dead": RunRecord(worker="w", lease_us=NOW - 1),
    "handed back": RunRecord(),
    "lost": RunRecord(lost=1),
    "retries": RunRecord(outcome=Retry(eta_us=NOW)),
    "second attempt": RunRecord(attempt=1, worker="w", lease_us=NOW + 1),
    "second attempt handed back": RunRecord(attempt=1),
    "next generation handed back": RunRecord(generation=1),
    "early": RunRecord(worker="w", lease_us=NOW + 1, early=True),
}


@pytest.mark.parametrize("name", RUNS)
def test_r18_a_running_scope_is_taken_while_the_run_is_open(name):
    assert not is_free(held(RUNNING), RUNS[name], NOW)


@pytest.mark.parametrize("name", RUNS)
def test_r18_a_pending_scope_is_taken_until_the_first_claim(name):
    assert is_free(held(PENDING), RUNS[name], NOW) == (name not in ("sent", "handed back"))


@pytest.mark.parametrize("scope", [RUNNING, PENDING])
@pytest.mark.parametrize("outcome", ENDINGS, ids=lambda outcome: type(outcome).__name__)
def test_r18_what_has_ended_has_no_key(scope, outcome):
    assert is_free(held(scope), RunRecord(outcome=outcome, attempt=3), NOW)


@pytest.mark.parametrize("scope", [RUNNING, PENDING])
def test_r18_what_the_store_knows_nothing_of_has_no_key(scope):
    assert is_free(held(scope), None, NOW)


@pytest.mark.parametrize("record", [None, *RUNS.values(), RunRecord(outcome=ENDINGS[0])])
def test_r18_a_scope_in_seconds_does_not_look_at_the_run(record):
    assert not is_free(held(TIME, NOW + 1), record, NOW)
    assert is_free(held(TIME, NOW), record, NOW)


@pytest.mark.parametrize("scope", [RUNNING, PENDING])
def test_r18_what_expired_before_it_started_has_no_key(scope):
    assert not is_free(held(scope, NOW + 1), RunRecord(), NOW)
    assert is_free(held(scope, NOW), RunRecord(), NOW)


def test_r18_what_has_started_may_run_beyond_its_expiry():
    assert not is_free(held(RUNNING, NOW - 1), RUNS["claimed"], NOW)
    assert not is_free(held(RUNNING, NOW - 1), RUNS["retries"], NOW)


def test_r18_a_free_key_is_taken_with_the_scope_of_who_takes_it():
    expiring = message(expires_after=2.0)

    assert take(wanted(PENDING), message(), None, None, NOW) == Take(held(PENDING, None, "second"))
    assert take(wanted(), expiring, held(PENDING), RUNS["claimed"], NOW) == Take(
        held(RUNNING, NOW + 2 * SECOND, "second")
    )
    assert take(wanted(TIME, seconds=3.5), expiring, None, None, NOW) == Take(
        held(TIME, NOW + 3_500_000, "second")
    )


def test_r18_a_scope_of_less_than_a_microsecond_is_one():
    assert hold_of(wanted(TIME, seconds=1e-9), message(), NOW).until_us == NOW + 1


def test_r18_who_has_the_key_is_named():
    assert take(wanted(), message(), held(RUNNING), RunRecord(), NOW) == Held("first")


def test_r18_bringing_a_send_again_is_no_conflict_and_no_longer_hold():
    mine = held(TIME, NOW + 1, "second")

    assert take(wanted(TIME, seconds=9.0), message(), mine, RunRecord(), NOW) == Take(mine)


@pytest.mark.parametrize("name", RUNS)
def test_r18_replaced_is_what_waits(name):
    answer = take(wanted(replaces=True), message(), held(RUNNING), RUNS[name], NOW)

    runs = name in ("claimed", "second attempt", "early")
    mine = held(RUNNING, None, "second")
    assert answer == (Held("first") if runs else Take(mine, replaced="first"))


@pytest.mark.parametrize("record", [None, RunRecord(outcome=ENDINGS[0])])
def test_r18_what_has_ended_is_not_replaced_while_its_seconds_last(record):
    assert take(wanted(replaces=True), message(), held(TIME, NOW + 1), record, NOW) == Held("first")


def test_r18_who_was_sent_is_known_for_a_month_after_it_is_due():
    ahead = message(countdown=5.0)

    assert known_us(message(), NOW) == NOW + STEP_SECONDS * SECOND
    assert known_us(ahead, NOW) == NOW + (5 + STEP_SECONDS) * SECOND


def test_r18_a_sweep_looks_at_a_key_when_it_may_be_free():
    assert look_us(held(TIME, NOW + 7), message(), NOW) == NOW + 7
    assert (
        look_us(held(RUNNING), message(countdown=5.0), NOW)
        == look_us(held(RUNNING), message(), NOW) + 5 * SECOND
    )


def test_r18_the_message_is_that_of_the_task():
    mine = message()

    assert message_of(wanted(), [Publish(message("other")), Publish(mine)]) is mine
