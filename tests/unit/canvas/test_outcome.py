"""How tasks end: the table of outcomes, states and causes."""

from __future__ import annotations

import json

import pytest
from backbeat.canvas.codec import dumps
from backbeat.canvas.outcome import (
    PROPAGATE_STATES,
    READY_STATES,
    Error,
    Failure,
    Ignored,
    Rejected,
    Retry,
    Revoked,
    State,
    Success,
    cause_of,
    celery_error,
    error_from_data,
    error_to_data,
    lost,
    outcome_from_data,
    outcome_to_data,
    repr_of,
    state_of,
)
from msgspec.structs import replace

DEEP = Error(
    type="ValueError",
    args='["no"]',
    text="no",
    node="n",
    cause=Error(type="KeyError", module="m", cause=Error(type="OSError")),
)

#       outcome                                                state          ready  its downstream is told
TABLE = [
    (Success(value="[1]", children=("a", "b")), State.SUCCESS, True, None),
    (Failure(error=DEEP, traceback="tb"), State.FAILURE, True, ("builtins", "ValueError")),
    (Revoked(reason="expired"), State.REVOKED, True, ("celery.exceptions", "TaskRevokedError")),
    (Rejected(reason="no"), State.REJECTED, True, ("celery.exceptions", "Reject")),
    (Ignored(), State.IGNORED, True, ("celery.exceptions", "Ignore")),
    (Failure(error=DEEP, expected=True), State.FAILURE, True, ("builtins", "ValueError")),
    (Retry(eta_us=5, error=DEEP, traceback="tb", args="[1]", kwargs="{}"), State.RETRY, False, None),
    (Retry(eta_us=5, changes='{"queue": "slow"}'), State.RETRY, False, None),
    (Retry(eta_us=5), State.RETRY, False, None),
]


@pytest.mark.parametrize(("outcome", "state", "ready", "cause"), TABLE)
def test_the_table(outcome, state, ready, cause):
    assert state_of(outcome) is state
    assert (state in READY_STATES) is ready
    if cause is not None:
        failure = cause_of(outcome, "node")
        assert (failure.error.module, failure.error.type) == cause


@pytest.mark.parametrize("outcome", [row[0] for row in TABLE])
def test_outcomes_survive_as_data(outcome):
    assert outcome_from_data(json.loads(json.dumps(outcome_to_data(outcome)))) == outcome


def test_outcomes_that_were_stored_before_a_field_came_are_read():
    new = {"expected", "changes"}
    for outcome in (row[0] for row in TABLE):
        old = {name: value for name, value in outcome_to_data(outcome).items() if name not in new}

        assert state_of(outcome_from_data(old)) is state_of(outcome)


def test_errors_survive_as_data():
    assert error_from_data(json.loads(json.dumps(error_to_data(DEEP)))) == DEEP


def test_attributes_notes_and_members_survive_and_take_no_room_where_there_are_none():
    rich = replace(DEEP, attributes='{"a":1}', notes=("n",), members=(DEEP, replace(DEEP, attributes="{}")))

    assert error_from_data(json.loads(json.dumps(error_to_data(rich)))) == rich
    assert error_to_data(DEEP).keys() == {"type", "module", "args", "text", "node", "cause"}


def test_every_state_is_celerys_name_and_only_what_is_ready_propagates():
    assert [str(state) for state in State] == [state.name for state in State]
    assert READY_STATES - {State.SUCCESS} == PROPAGATE_STATES


def test_a_failure_is_its_own_cause_and_the_others_say_where_they_broke():
    failure = Failure(error=DEEP)

    assert cause_of(failure, "other") is failure
    assert cause_of(Revoked(reason="expired"), "n1").error == celery_error(
        "TaskRevokedError", "expired", "n1"
    )


def test_errors_of_our_own_keep_our_module():
    error = lost("JoinLost", "gone", "j").error

    assert (error.module, error.type, error.args, error.text, error.node) == (
        "backbeat.canvas.errors",
        "JoinLost",
        '["gone"]',
        "gone",
        "j",
    )


def test_repr_is_pythons():
    assert repr_of(Error(type="KeyError", args='["x", 1]')) == repr(KeyError("x", 1))
    assert repr_of(Error(type="A.B")) == "B()"
    assert repr_of(Error(type="KeyError", args=dumps([(1, 2)]))) == "KeyError([1, 2])"
