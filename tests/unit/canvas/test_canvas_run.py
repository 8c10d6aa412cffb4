"""A canvas that was sent: looked at, cancelled, and made to go on where it failed."""

from __future__ import annotations

import pytest
from backbeat.canvas import chain, chord, group
from backbeat.canvas.canvas_run import Resumed
from backbeat.canvas.errors import ImproperlyConfigured, UnknownResult

from support.eager import Fleet


class Mill(Fleet):
    """`grind` fails while `broken` is set."""

    def __init__(self):
        super().__init__()
        self.broken = True

        @self.app.task(name="grind")
        def grind(*values):
            if self.broken:
                raise ValueError("stuck stone")
            return len(values)

        @self.app.task(name="echo")
        def echo(value):
            return value

        self.grind, self.echo = grind, echo

    def states(self, *handles):
        """As the store says; a handle keeps what it has once read as the last word."""
        return [str(self.app.AsyncResult(handle.id).state) for handle in handles]

    def value(self, handle):
        return self.app.AsyncResult(handle.id).get(timeout=0)


@pytest.fixture
def mill():
    return Mill()


def started(mill, sig):
    handle = sig.apply_async()
    mill.drain()
    return handle


# --- cancel --------------------------------------------------------------------------------------------------------------------


def test_cancel_stops_all_of_a_canvas_by_the_id_of_any_part(mill):
    sig = chain(mill.echo.s(1), group(mill.echo.s(), mill.echo.s()), mill.echo.s())
    last = sig.apply_async()
    by_root, by_value = last.parent.parent.id, last.id
    for id_ in (by_root, by_value):
        mill.app.canvas(id_).cancel()

    assert mill.states(last, *last.parent.results, last.parent.parent) == ["REVOKED"] * 4
    mill.drain()
    assert mill.executed == []
    assert mill.states(last, *last.parent.results, last.parent.parent) == ["REVOKED"] * 4


def test_cancel_lets_what_runs_end_and_nothing_follow(mill):
    last = chain(mill.echo.s(1).set(queue="busy"), mill.echo.s()).apply_async()
    busy = mill.open("busy", "busy")
    (running,) = busy.exchange([], take=1).taken

    mill.app.canvas(last.parent.id).cancel()
    mill._work(mill.performer(busy), busy, running)
    mill.drain()

    assert mill.states(last.parent, last) == ["SUCCESS", "REVOKED"]
    assert mill.executed == ["echo"]


def test_cancel_of_the_rest_leaves_what_stands_before_and_beside(mill):
    slow = chain(mill.echo.s(1), mill.echo.s().set(queue="slow"), mill.echo.s().set(queue="slow"))
    last = chord([slow, mill.echo.s(2)], mill.echo.s()).apply_async()
    slow_end, beside = last.parent.results
    middle = slow_end.parent
    mill.drain("celery", "backbeat")

    mill.app.canvas(last.id).cancel(rest_only=True)
    mill.app.canvas(middle.parent.id).cancel(rest_only=True)
    mill.drain()

    assert mill.states(middle.parent, middle, slow_end, beside, last) == [
        "SUCCESS",
        "REVOKED",
        "REVOKED",
        "SUCCESS",
        "REVOKED",
    ]


def test_cancel_is_remembered_for_what_comes_later(mill):
    last = chain(mill.echo.s(1).set(countdown=600), mill.echo.s()).apply_async()
    mill.app.canvas(last.id).cancel()

    mill.pass_time(700)

    assert mill.executed == []
    assert mill.states(last.parent, last) == ["REVOKED", "REVOKED"]


def test_what_nobody_knows_cannot_be_cancelled(mill):
    with pytest.raises(UnknownResult, match="nothing is known of canvas nowhere"):
        mill.app.canvas("nowhere").cancel()


# --- retry ---------------------------------------------------------------------------------------------------------------------


def adding(mill, *added):
    """A task that adds these to its chord."""

    @mill.app.task(name="adding", bind=True)
    def adds(self, value):
        for sig in added:
            self.add_to_chord(sig)
        return value

    return adds


@pytest.mark.parametrize("what", ["a task", "a chain"])
def test_retry_runs_what_a_task_added_to_its_chord_and_what_depends_on_it(mill, what):
    broken = (
        mill.grind.si(1, 2) if what == "a task" else mill.echo.si(5) | mill.grind.si(1, 2) | mill.echo.s()
    )
    adds = adding(mill, mill.echo.si("added"), broken)
    last = started(mill, chain(chord([adds.s("own"), mill.echo.s("other")], mill.echo.s()), mill.echo.s()))
    assert mill.states(last) == ["FAILURE"]
    mill.broken, before = False, list(mill.executed)

    done = mill.app.canvas(last.id).retry()
    mill.drain()

    assert (done.failed, done.dependents, done.stuck) == (1, 2 if what == "a task" else 3, ())
    assert mill.value(last) == ["own", "other", "added", 2]
    again = mill.executed[len(before) :]
    assert sorted(again) == ["echo"] * (2 if what == "a task" else 3) + ["grind"]


def test_retry_runs_a_failed_member_of_a_chord_that_was_added_to(mill):
    adds = adding(mill, mill.echo.si("added"))
    last = started(mill, chord([adds.s("own"), mill.grind.s(1)], mill.echo.s()))
    mill.broken = False

    assert mill.app.canvas(last.id).retry() == Resumed(1, 1, ())
    mill.drain()

    assert mill.value(last) == ["own", 1, "added"]


def test_what_was_added_to_a_chord_is_shown_and_cancelled_with_it(mill):
    adds = adding(mill, mill.echo.si("added").set(queue="slow"))
    last = chord([adds.s("own"), mill.echo.s("other")], mill.echo.s()).apply_async()
    mill.drain("celery", "backbeat")
    plans = mill.app.canvas(last.id).plans()
    (added,) = [plan for plan in plans if plan.added_to]

    mill.app.canvas(last.id).cancel()
    mill.drain()

    assert added.added_to == last.parent.id
    assert str(mill.app.AsyncResult(added.id).state) == "REVOKED"
    assert mill.states(last) == ["REVOKED"]


def test_retry_runs_what_failed_and_what_depends_on_it(mill):
    last = started(mill, chain(mill.echo.s(1), mill.grind.s(), mill.echo.s()))
    assert mill.states(last.parent.parent, last.parent, last) == ["SUCCESS", "FAILURE", "FAILURE"]
    mill.broken = False

    assert mill.app.canvas(last.id).retry() == Resumed(1, 1, ())
    assert mill.states(last.parent, last) == ["PENDING", "PENDING"]
    mill.drain()

    assert mill.value(last) == 1
    assert mill.executed == ["echo", "grind", "grind", "echo"]


def test_retry_of_a_chord_keeps_the_values_of_members_that_succeeded(mill):
    last = started(mill, chord([mill.echo.s(1), mill.grind.s(), mill.echo.s(3)], mill.echo.s()))
    mill.broken = False

    assert mill.app.canvas(last.id).retry() == Resumed(1, 1, ())
    mill.drain()

    assert mill.value(last) == [1, 0, 3]
    assert mill.executed.count("echo") == 3


def test_retry_that_fails_again_can_be_tried_again(mill):
    last = started(mill, chord([mill.echo.s(1), mill.grind.s()], mill.echo.s()))
    for _ in range(3):
        assert mill.app.canvas(last.id).retry() == Resumed(1, 1, ())
        mill.drain()
        assert mill.states(last) == ["FAILURE"]
    mill.broken = False
    mill.app.canvas(last.id).retry()
    mill.drain()

    assert mill.value(last) == [1, 0]


def test_retry_of_a_canvas_that_was_cancelled_lets_it_run(mill):
    last = chain(mill.echo.s(1), mill.echo.s()).apply_async()
    mill.app.canvas(last.id).cancel()
    mill.drain()

    assert mill.app.canvas(last.id).retry().failed == 1
    mill.drain()

    assert mill.value(last) == 1


def test_retry_leaves_alone_what_a_group_has_collected(mill):
    last = started(mill, chord([mill.grind.s(), mill.echo.s(2)], mill.grind.s(), failure_policy="drop"))
    mill.broken = False

    assert mill.app.canvas(last.id).retry() == Resumed(1, 0, ())
    mill.drain()

    assert mill.value(last) == 1
    assert mill.executed.count("grind") == 3


def test_retry_of_what_succeeded_does_nothing(mill):
    last = started(mill, chain(mill.echo.s(1), mill.echo.s()))

    assert mill.app.canvas(last.id).retry() == Resumed(0, 0, ())
    mill.drain()
    assert mill.executed == ["echo", "echo"]


def test_retry_of_a_single_task_runs_it_again(mill):
    handle = started(mill, mill.grind.s(1, 2))
    mill.broken = False

    assert mill.app.canvas(handle.id).retry() == Resumed(1, 0, ())
    mill.drain()

    assert mill.value(handle) == 2


def test_retry_reaches_into_a_canvas_that_has_taken_the_place_of_a_task(mill):
    @mill.app.task(name="swap", bind=True)
    def swap(self, value):
        self.replace(chain(mill.echo.s(value), mill.grind.s(), mill.echo.s()))

    last = started(mill, chain(mill.echo.s(5), swap.s(), mill.echo.s()))
    assert mill.states(last.parent, last) == ["FAILURE", "FAILURE"]
    mill.broken = False

    done = mill.app.canvas(last.id).retry()
    mill.drain()

    assert done.stuck == ()
    assert done.failed == 1
    assert mill.value(last) == 1
    assert mill.executed.count("swap") == 1


def test_a_thousand_that_failed_run_again_in_slices(mill):
    last = started(mill, chord([mill.grind.s(n) for n in range(1_200)], mill.echo.s()))
    mill.drain(limit=5_000)
    assert mill.states(last) == ["FAILURE"]
    mill.broken = False

    assert mill.app.canvas(last.id).retry() == Resumed(1_200, 1, ())
    mill.drain(limit=5_000)

    assert mill.value(last) == [1] * 1_200


def test_links_and_error_callbacks_of_what_runs_again_are_called(mill):
    told = []
    mill.app.task(name="told")(lambda *args: told.append(args))
    sig = mill.grind.s(1)
    sig.link(mill.app.signature("told"))
    sig.link_error(mill.app.signature("told").set(immutable=True))
    handle = started(mill, chain(mill.echo.s(0), sig))
    mill.broken = False
    mill.app.canvas(handle.id).retry()
    mill.drain()

    assert told == [(), (2,)]


# --- handles -------------------------------------------------------------------------------------------------------------------


def test_revoke_with_the_scope_all_stops_the_whole_canvas_by_any_handle(mill):
    for part in range(3):
        last = chain(mill.echo.s(1), mill.echo.s(), mill.echo.s()).apply_async()
        handles = [last.parent.parent, last.parent, last]
        handles[part].revoke(scope="all")

        assert mill.states(*handles) == ["REVOKED"] * 3
    mill.drain()
    assert mill.executed == []


def test_revoke_with_the_scope_rest_stops_what_comes_after_a_handle(mill):
    last = chord([mill.echo.s(1), mill.echo.s(2)], chain(mill.echo.s(), mill.echo.s())).apply_async()
    header, body = last.parent.parent, last.parent

    body.revoke(scope="rest")
    mill.drain()

    assert mill.states(*header.results, body, last) == ["SUCCESS", "SUCCESS", "REVOKED", "REVOKED"]


def test_revoke_of_a_group_with_the_scope_rest_stops_its_members_too(mill):
    last = chain(mill.echo.s(0), group(mill.echo.s(), mill.echo.s()), mill.echo.s()).apply_async()
    middle = last.parent

    middle.revoke(scope="rest")
    mill.drain()

    assert mill.states(middle.parent, *middle.results, last) == ["SUCCESS", "REVOKED", "REVOKED", "REVOKED"]


def test_revoke_of_a_step_alone_is_what_it_was(mill):
    last = chain(mill.echo.s(0), mill.echo.s(), mill.echo.s()).apply_async()

    last.parent.revoke()
    mill.drain()

    assert mill.states(last.parent.parent, last.parent, last) == ["SUCCESS", "REVOKED", "FAILURE"]


@pytest.mark.parametrize("scope", ["everything", None, 1])
def test_a_scope_that_does_not_exist_is_refused(mill, scope):
    handle = mill.echo.s(1).apply_async()

    with pytest.raises(ImproperlyConfigured, match="scope must be"):
        handle.revoke(scope=scope)


def test_a_cancel_holds_for_what_a_task_sends_while_it_runs(mill):
    later = []

    @mill.app.task(name="sends")
    def sends():
        later.append(mill.echo.s(9).apply_async())

    last = chain(mill.app.signature("sends"), mill.echo.si(1)).apply_async()
    mill.drain(limit=1)
    last.revoke(scope="all")
    mill.drain()

    assert mill.states(last, *later) == ["REVOKED", "REVOKED"]


@pytest.mark.parametrize("scope", ["step", "rest", "all"])
def test_a_single_task_is_revoked_by_any_scope(mill, scope):
    handle = mill.echo.s(1).apply_async()

    handle.revoke(scope=scope)
    mill.drain()

    assert mill.executed == []
    assert mill.states(handle) == ["REVOKED"]
