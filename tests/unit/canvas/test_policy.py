"""What becomes of what follows a group when members fail: fail, fail_fast, collect, drop."""

from __future__ import annotations

import json

import pytest
from backbeat.canvas import chain, chord, group, signature
from backbeat.canvas.errors import ChordError, ImproperlyConfigured, MaxRetriesExceededError
from backbeat.canvas.outcome import State

from support.eager import Fleet


class Kitchen(Fleet):
    def __init__(self):
        super().__init__()
        self.got = []

        @self.app.task(name="echo")
        def echo(value):
            return value

        @self.app.task(name="broken")
        def broken():
            raise ValueError("no flour")

        @self.app.task(name="tired", bind=True, max_retries=1)
        def tired(self):
            raise self.retry(countdown=5)

        @self.app.task(name="serve")
        def serve(values):
            self.got.append(values)
            return len(values)

        self.echo, self.broken, self.tired, self.serve = echo, broken, tired, serve


@pytest.fixture
def kitchen():
    return Kitchen()


def ended(kitchen, sig):
    handle = sig.apply_async()
    kitchen.drain()
    return handle


def test_fail_is_the_default_and_waits_for_all_members(kitchen):
    handle = ended(kitchen, chord([kitchen.broken.s(), kitchen.echo.s(1)], kitchen.serve.s()))

    with pytest.raises(ChordError, match=r"raised ValueError\('no flour'\)"):
        handle.get(timeout=0)
    assert kitchen.executed == ["broken", "echo"]
    assert handle.parent.results[1].get(timeout=0) == 1


def test_collect_gives_the_error_itself_in_the_place_of_a_member_that_failed(kitchen):
    sig = chord(
        [kitchen.echo.s(1), kitchen.broken.s(), kitchen.echo.s(3)],
        kitchen.serve.s(),
        failure_policy="collect",
    )

    assert ended(kitchen, sig).get(timeout=0) == 3
    ((first, error, third),) = kitchen.got
    assert (first, third) == (1, 3)
    assert isinstance(error, ValueError)
    assert error.args == ("no flour",)


def test_drop_gives_the_values_of_those_that_succeeded(kitchen):
    sig = chord(
        [kitchen.echo.s(1), kitchen.broken.s(), kitchen.echo.s(3)], kitchen.serve.s(), failure_policy="drop"
    )

    assert ended(kitchen, sig).get(timeout=0) == 2
    assert kitchen.got == [[1, 3]]


@pytest.mark.parametrize(("policy", "got"), [("drop", [[]]), ("collect", None)])
def test_the_body_runs_when_all_members_failed(kitchen, policy, got):
    ended(kitchen, chord([kitchen.broken.s(), kitchen.broken.s()], kitchen.serve.s(), failure_policy=policy))

    if got is not None:
        assert kitchen.got == got
    else:
        assert [type(error) for error in kitchen.got[0]] == [ValueError, ValueError]


def test_a_member_that_is_out_of_retries_has_failed_and_one_that_retries_has_not(kitchen):
    sig = chord([kitchen.tired.s(), kitchen.echo.s(1)], kitchen.serve.s(), failure_policy="collect")
    ended(kitchen, sig)
    assert kitchen.got == []

    kitchen.pass_time(5)

    ((error, value),) = kitchen.got
    assert value == 1
    assert isinstance(error, MaxRetriesExceededError)


def test_fail_fast_fails_at_once_and_revokes_what_has_not_started(kitchen):
    sig = chord(
        [
            kitchen.echo.s("running").set(queue="busy"),
            kitchen.broken.s(),
            kitchen.echo.s("late").set(queue="later"),
        ],
        kitchen.serve.s(),
        failure_policy="fail_fast",
    )
    handle = sig.apply_async()
    busy = kitchen.open("busy worker", "busy")
    (running,) = busy.exchange([], take=1).taken

    kitchen.drain("celery", "backbeat")

    with pytest.raises(ChordError, match="no flour"):
        handle.get(timeout=0)
    states = [member.state for member in handle.parent.results]
    assert states == [State.STARTED, State.FAILURE, State.REVOKED]
    kitchen.drain("later")
    assert kitchen.executed == ["broken"]
    # what runs goes on, and its value is its own
    performer = kitchen.performer(busy)
    kitchen._work(performer, busy, running)
    assert handle.parent.results[0].get(timeout=0) == "running"
    assert handle.state == State.FAILURE


def test_fail_fast_reaches_into_the_chains_of_its_members(kitchen):
    slow = chain(kitchen.echo.s(1).set(queue="busy"), kitchen.echo.s(), kitchen.echo.s())
    handle = group(kitchen.broken.s(), slow, failure_policy="fail_fast").apply_async()

    kitchen.drain("celery", "backbeat")
    kitchen.drain()

    assert kitchen.executed == ["broken"]
    assert [member.state for member in handle.results] == [State.FAILURE, State.REVOKED]


def test_fail_fast_of_a_group_that_succeeds_changes_nothing(kitchen):
    handle = ended(kitchen, group(kitchen.echo.s(1), kitchen.echo.s(2), failure_policy="fail_fast"))

    assert handle.get(timeout=0) == [1, 2]


def test_the_policy_of_a_group_holds_in_a_chain_and_for_apply_async(kitchen):
    members = [kitchen.echo.s(1), kitchen.broken.s()]
    ended(kitchen, group(members).set(failure_policy="drop") | kitchen.serve.s())
    ended(kitchen, chain(group(members), kitchen.serve.s()).set(failure_policy="drop"))
    group_then = chord(members, kitchen.serve.s())
    group_then.apply_async(failure_policy="drop")
    kitchen.drain()

    assert kitchen.got == [[1], [1], [1]]


def test_the_policy_of_a_chord_is_its_headers_alone(kitchen):
    inner = group(kitchen.echo.si(1), kitchen.broken.si()) | kitchen.serve.s()
    handle = ended(kitchen, chord([kitchen.broken.s()], inner, failure_policy="drop"))

    with pytest.raises(ChordError):
        handle.get(timeout=0)


def test_a_group_with_a_policy_inside_a_group_gives_its_own_list(kitchen):
    inner = group(kitchen.echo.s(1), kitchen.broken.s(), failure_policy="drop")
    ended(kitchen, chord([inner, kitchen.echo.s(2)], kitchen.serve.s()))

    assert kitchen.got == [[[1], 2]]


def test_the_policy_survives_json(kitchen):
    sig = chord([kitchen.echo.s(1), kitchen.broken.s()], kitchen.serve.s(), failure_policy="drop")

    ended(kitchen, signature(json.loads(json.dumps(sig)), app=kitchen.app))

    assert kitchen.got == [[1]]


def test_a_policy_that_does_not_exist_is_refused(kitchen):
    with pytest.raises(
        ImproperlyConfigured, match="one of 'fail', 'fail_fast', 'collect', 'drop', found 'ignore'"
    ):
        chord([kitchen.echo.s(1)], kitchen.serve.s(), failure_policy="ignore").apply_async()
    with pytest.raises(TypeError, match="failure_policy"):
        kitchen.echo.s(1).apply_async(failure_policy="drop")


def test_an_error_can_be_a_result(kitchen):
    kitchen.app.task(name="hand_on")(lambda values: values)
    sig = chord([kitchen.broken.s()], kitchen.app.signature("hand_on"), failure_policy="collect")

    (error,) = ended(kitchen, sig).get(timeout=0)

    assert isinstance(error, ValueError)
    assert "Raised in a worker" not in str(error)
