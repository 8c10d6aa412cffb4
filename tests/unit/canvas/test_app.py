"""An app from end to end, in one thread, on a store in memory whose clock stands still."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from backbeat.canvas import AsyncResult, GroupResult, chain, chord, group, result_from_tuple, signature
from backbeat.canvas.commit.dead_letter import DeadLetter
from backbeat.canvas.errors import (
    ChordError,
    EncodeError,
    Ignore,
    ImproperlyConfigured,
    MaxRetriesExceededError,
    NotRegistered,
    Reject,
    TaskRevokedError,
    TimeoutError,  # noqa: A004 - Celery's name
)
from backbeat.canvas.ids import derive

from support.eager import HOSTNAME, Fleet


class Proj(Fleet):
    """A fleet with the tasks of these tests, which note what they were called with."""

    def __init__(self, **settings):
        super().__init__(**settings)
        app, self.noted = self.app, []
        note = self.noted.append

        @app.task(name="add")
        def add(x, y=0):
            return x + y

        @app.task(name="xsum")
        def xsum(values, more=0):
            return sum(values) + more

        @app.task(name="fail")
        def fail(*_args, text="no"):
            raise ValueError(text)

        @app.task(name="ignore")
        def ignore(*_args):
            raise Ignore

        @app.task(name="reject")
        def reject(*_args):
            raise Reject("bad")

        @app.task(name="note")
        def noting(*args, **kwargs):
            note((args, kwargs))
            return list(args)

        @app.task(name="me", bind=True)
        def me(self, *_args):
            request = self.request
            return {
                name: getattr(request, name)
                for name in (
                    "id task root_id parent_id group group_index retries headers hostname args kwargs origin "
                    "called_directly ignore_result correlation_id timelimit delivery_info eta expires"
                ).split()
            }

        @app.task(name="flaky", bind=True, max_retries=2)
        def flaky(self, succeed_at=None, countdown=10):
            note(self.request.retries)
            if self.request.retries == succeed_at:
                return "done"
            raise self.retry(countdown=countdown, exc=KeyError("flaky"))

        @app.task(name="sender")
        def sender(x):
            return add.delay(x, 1).id

        self.add, self.xsum, self.fail, self.ignore, self.reject = add, xsum, fail, ignore, reject
        self.note, self.me, self.flaky, self.sender = noting, me, flaky, sender

    def value(self, sig, *args, **options):
        """Send, run, and return what comes out."""
        handle = sig.apply_async(args, **options)
        self.drain()
        return handle.get(timeout=0)


@pytest.fixture
def proj():
    return Proj()


def states(handle):
    """The states of a handle and of all before it."""
    found = []
    while handle is not None:
        found += [m.state for m in handle] if isinstance(handle, GroupResult) else [handle.state]
        handle = handle.parent
    return found


# --- one task ------------------------------------------------------------------------------------------------------------------


def test_delay_and_get(proj):
    handle = proj.add.delay(2, y=3)
    assert (handle.state, handle.ready(), handle.result) == ("PENDING", False, None)

    proj.drain()

    assert handle.get(timeout=0) == 5
    assert (handle.state, handle.ready(), handle.successful(), handle.failed()) == (
        "SUCCESS",
        True,
        True,
        False,
    )
    assert (handle.result, handle.traceback, handle.parent, handle.children) == (5, None, None, [])
    assert (handle.name, handle.args, handle.kwargs, handle.retries) == ("add", [2], {"y": 3}, 0)
    assert handle.worker == "worker"
    assert handle.date_done


def test_an_error_is_data_and_its_traceback_begins_with_the_users_code(proj):
    handle = proj.fail.delay(text="broken")

    proj.drain()

    assert (handle.state, handle.failed(), handle.successful()) == ("FAILURE", True, False)
    with pytest.raises(ValueError, match="broken"):
        handle.get(timeout=0)
    assert isinstance(handle.get(timeout=0, propagate=False), ValueError)
    assert isinstance(handle.result, ValueError)
    first, place, *_ = handle.traceback.splitlines()
    assert first == "Traceback (most recent call last):"
    assert __file__ in place
    assert place.endswith("in fail")
    assert handle.traceback.endswith("ValueError: broken\n")
    assert "execute.py" not in handle.traceback


def test_a_call_with_wrong_arguments_that_came_past_the_check_fails_in_the_worker(proj):
    handle = proj.app.send_task("add", (1, 2, 3))

    proj.drain()

    with pytest.raises(TypeError, match="positional arguments"):
        handle.get(timeout=0)
    assert handle.traceback.startswith("TypeError: ")


def test_waiting_for_what_does_not_come_is_a_timeout(proj):
    with pytest.raises(TimeoutError, match="not ready"):
        proj.add.delay(1).get(timeout=0)
    with pytest.raises(TimeoutError):
        group(proj.add.s(1)).apply_async().get(timeout=0)


def test_a_value_that_is_no_json_is_a_failure(proj):
    proj.app.task(name="odd")(object)

    handle = proj.app.send_task("odd")
    proj.drain()

    with pytest.raises(EncodeError, match="object cannot be written"):
        handle.get(timeout=0)


def test_arguments_that_are_no_json_are_refused_at_the_call(proj):
    with pytest.raises(EncodeError):
        proj.add.delay(object())
    assert proj.drain() == 0


def test_extension_types_pass_through(proj):
    now = datetime.now(UTC)

    assert proj.value(proj.note.s(now, b"\xff")) == [now, b"\xff"]


def test_types_that_json_has_not_pass_through_chains_and_joins(proj):
    value = (1, {2}, Path("/a"), frozenset({(3,)}))

    assert proj.value(proj.note.s(value)) == [value]
    assert proj.value(proj.note.s(value) | proj.note.s()) == [[value]]
    assert proj.value(group(proj.note.s(value), proj.note.s(2)) | proj.note.s()) == [[[value], [2]]]


def test_an_exception_comes_back_with_its_attributes_and_where_it_was_raised(proj):
    class Declined(Exception):
        def __init__(self, code):
            super().__init__(f"declined: {code}")
            self.code = code

    proj.app.task(name="decline")(lambda code: (_ for _ in ()).throw(Declined(code)))
    handle = proj.app.send_task("decline", [(5, 6)])
    proj.drain()

    found = handle.get(timeout=0, propagate=False)

    assert (type(found).__name__, str(found), found.code) == ("Declined", "declined: (5, 6)", (5, 6))
    assert found.remote_traceback == handle.traceback
    assert handle.result.code == (5, 6)
    assert "Declined: declined: (5, 6)" in found.__notes__[0]


@pytest.mark.parametrize(("extra", "known"), [("", True), ("x" * 20_000, False)], ids=["small", "large"])
def test_an_error_callback_gets_the_exception_with_its_attributes_if_they_fit_into_a_message(
    proj, extra, known
):
    told = []

    @proj.app.task(name="decline")
    def decline():
        exc = LookupError("declined")
        exc.code, exc.extra = (5, 6), extra
        raise exc

    @proj.app.task(name="told")
    def tell(request, exc, traceback):
        told.append((request.id, exc))

    handle = decline.apply_async(link_error=tell.s())
    proj.drain()

    ((failed_id, found),) = told
    assert (failed_id, type(found), str(found)) == (handle.id, LookupError, "declined")
    assert getattr(found, "code", None) == ((5, 6) if known else None)


def test_a_coroutine_function_is_a_task_too(proj):
    @proj.app.task(name="coro")
    async def coro(x):
        return x + 1

    assert proj.value(coro.s(1)) == 2


def test_a_name_that_no_worker_knows_is_a_failure(proj):
    handle = proj.app.send_task("no.such", (1,))

    proj.drain()

    with pytest.raises(NotRegistered, match="no\\.such"):
        handle.get(timeout=0)


def test_send_task_needs_no_function_here(proj):
    assert proj.app.send_task("add", [1], {"y": 2}, task_id="mine").id == "mine"
    proj.drain()
    assert proj.app.AsyncResult("mine").get(timeout=0) == 3


def test_arguments_may_be_none(proj):
    assert proj.value(proj.note) == []
    for sent in (
        proj.note.apply_async(None, None),
        proj.app.send_task("note", None, None),
        proj.note.s().apply_async(None),
    ):
        proj.drain()
        assert sent.get(timeout=0) == []


def test_what_a_task_knows_of_itself(proj):
    headers = {"periodic_task_name": "nightly", "deep": {"a": [1]}}

    found = proj.value(proj.me, 5, headers=headers, task_id="x", time_limit=9, soft_time_limit=8)

    assert found["id"] == found["root_id"] == found["correlation_id"] == "x"
    assert (found["task"], found["args"], found["kwargs"]) == ("me", [5], {})
    assert (found["parent_id"], found["group"], found["retries"]) == (None, None, 0)
    assert found["headers"] == headers
    assert found["hostname"] == HOSTNAME
    assert found["origin"].startswith("gen")
    assert found["timelimit"] == [9, 8]
    assert found["delivery_info"]["routing_key"] == "celery"
    assert not found["called_directly"]


def test_forget(proj):
    handle = proj.add.delay(1)
    proj.drain()
    assert handle.get(timeout=0) == 1

    handle.forget()

    assert handle.state != "SUCCESS"


def test_get_tells_a_callback(proj):
    told = []
    handle = proj.add.delay(1)
    proj.drain()

    handle.get(timeout=0, callback=lambda id_, value: told.append((id_, value)))

    assert told == [(handle.id, 1)]


# --- canvases ------------------------------------------------------------------------------------------------------------------


def test_a_chain(proj):
    handle = (proj.add.s(1, 1) | proj.add.s(2) | proj.add.s(3)).apply_async()
    assert isinstance(handle, AsyncResult)

    proj.drain()

    assert handle.get(timeout=0) == 7
    assert handle.parent.get(timeout=0) == 4
    assert handle.parent.parent.get(timeout=0) == 2
    assert handle.parent.parent.parent is None
    assert handle.parent.children == [handle]


def test_a_chains_arguments_and_options_go_to_the_first_step(proj):
    handle = chain(proj.add.s(1), proj.add.s(10)).apply_async((5,), queue="fast", task_id="last")

    assert handle.id == "last"
    assert proj.drain("celery") == 0
    proj.drain("fast")
    assert proj.drain("celery") == 1
    assert handle.get(timeout=0) == 16


def test_a_chain_of_requests_has_one_root_and_each_the_parent_before_it(proj):
    proj.me.name = "me"
    handle = (proj.me.s() | proj.me.s() | proj.me.s()).apply_async()
    proj.drain()

    last, middle = handle.get(timeout=0), handle.parent.get(timeout=0)
    first = handle.parent.parent.get(timeout=0)
    assert first["root_id"] == middle["root_id"] == last["root_id"] == first["id"]
    assert [first["parent_id"], middle["parent_id"], last["parent_id"]] == [None, first["id"], middle["id"]]


def test_a_group(proj):
    handle = group(proj.add.s(i, i) for i in range(4)).apply_async()

    assert isinstance(handle, GroupResult)
    assert (len(handle), handle.ready(), handle.waiting(), handle.completed_count()) == (4, False, True, 0)
    assert list(handle) == handle.results == handle.children == [handle[i] for i in range(4)]
    proj.drain()
    assert handle.get(timeout=0) == handle.join(timeout=0) == [0, 2, 4, 6]
    assert (handle.ready(), handle.successful(), handle.failed(), handle.completed_count()) == (
        True,
        True,
        False,
        4,
    )


def test_a_group_with_a_failed_member(proj):
    handle = group(proj.add.s(1), proj.fail.s(), proj.add.s(3)).apply_async()

    proj.drain()

    assert (handle.ready(), handle.successful(), handle.failed(), handle.completed_count()) == (
        True,
        False,
        True,
        2,
    )
    with pytest.raises(ValueError, match="no"):
        handle.get(timeout=0)
    one, error, three = handle.get(timeout=0, propagate=False)
    assert (one, type(error), three) == (1, ValueError, 3)


def test_members_know_their_group(proj):
    handle = group(proj.me.s(), proj.add.s(1) | proj.me.s()).apply_async()
    proj.drain()

    assert [(m["group"], m["group_index"]) for m in handle.get(timeout=0)] == [(handle.id, 0), (handle.id, 1)]


def test_an_empty_group_is_ready_and_empty(proj):
    handle = group(app=proj.app).apply_async()

    assert proj.drain() == 0
    assert (len(handle), handle.get(timeout=0), handle.ready(), handle.successful()) == (0, [], True, True)


def test_a_groups_arguments_and_options_go_to_every_member(proj):
    handle = group(proj.add.s(), proj.add.s(10)).apply_async((1,), task_id="g", queue="fast")

    assert handle.id == "g"
    proj.drain("fast")
    assert handle.get(timeout=0) == [1, 11]
    assert [member.id for member in handle] == [derive("g", "0"), derive("g", "1")]
    assert proj.app.GroupResult("g", 2).get(timeout=0) == [1, 11]


def test_a_group_of_groups_and_chains_has_nested_values(proj):
    add = proj.add
    sig = group(group(add.s(1), add.s(2)), add.s(1) | group(add.s(1), add.s(2)), add.s(3))

    assert proj.value(sig) == [1, 2, [2, 3], 3]


def test_a_chord(proj):
    handle = chord([proj.add.s(i, i) for i in range(4)], proj.xsum.s(more=1)).apply_async()

    assert isinstance(handle, AsyncResult)
    assert isinstance(handle.parent, GroupResult)
    proj.drain()
    assert handle.get(timeout=0) == 13
    assert handle.parent.get(timeout=0) == [0, 2, 4, 6]
    assert proj.executed.count("xsum") == 1


def test_a_chord_called_with_its_body(proj):
    handle = chord([proj.add.s(1), proj.add.s(2)])(proj.xsum.s())

    proj.drain()

    assert handle.get(timeout=0) == 3


CHORDS = {
    "empty header": (lambda p: chord([], p.note.s()), [[]]),
    "header of one": (lambda p: chord([p.add.s(1)], p.note.s()), [[1]]),
    "immutable body": (lambda p: chord([p.add.s(1)], p.note.si(5)), [5]),
    "nested group keeps order": (
        lambda p: chord([group(p.add.s(1), p.add.s(2), p.add.s(3)), p.add.s(4)], p.note.s()),
        [[1, 2, 3, 4]],
    ),
    "chain in the header": (lambda p: chord([p.add.s(1) | p.add.s(10), p.add.s(2)], p.note.s()), [[11, 2]]),
    "chord in the header": (
        lambda p: chord([chord([p.add.s(1), p.add.s(2)], p.xsum.s())], p.note.s()),
        [[3]],
    ),
    "chain ending in a group": (
        lambda p: chord([p.add.s(1) | group(p.add.s(1), p.add.s(2)), p.add.s(4)], p.note.s()),
        [[[2, 3], 4]],
    ),
    "chain as body": (lambda p: chord([p.add.s(1), p.add.s(2)], p.xsum.s() | p.add.s(10)), 13),
    "group as body": (
        lambda p: chord([p.add.s(1), p.add.s(2)], group(p.xsum.s(), p.note.s())),
        [3, [[1, 2]]],
    ),
    "chord as body": (
        lambda p: chord([p.add.s(1), p.add.s(2)], chord([p.xsum.s(), p.xsum.s(more=1)], p.xsum.s())),
        7,
    ),
    "group after group after group": (
        lambda p: (
            group(p.add.s(1), p.add.s(2))
            | group(p.xsum.s(), p.xsum.s(more=1))
            | group(p.xsum.s(), p.xsum.s(more=1))
        ),
        [7, 8],
    ),
    "task, group, task": (lambda p: p.add.s(1) | group(p.add.s(1), p.add.s(2)) | p.xsum.s(), 5),
    "a group of one gives a list": (lambda p: p.add.s(1) | group(p.add.s(1)) | p.note.s(), [[2]]),
    "arguments of the chord": (lambda p: chord([p.add.s(), p.add.s(1)], p.xsum.s()).clone(args=(5,)), 11),
}


@pytest.mark.parametrize(("make", "value"), CHORDS.values(), ids=CHORDS)
def test_values_of_chords(proj, make, value):
    assert proj.value(make(proj)) == value


def test_a_header_member_that_fails_fails_the_body_after_all_have_run(proj):
    handle = (chord([proj.add.s(1), proj.fail.s(), proj.note.s(2)], proj.xsum.s()) | proj.add.s(1)).delay()

    proj.drain()

    with pytest.raises(ChordError) as caught:
        handle.get(timeout=0)
    failed = handle.parent.parent[1].id
    assert str(caught.value) == f"Dependency {failed} raised ValueError('no')"
    assert isinstance(caught.value.__cause__, ValueError)
    assert states(handle) == ["FAILURE", "FAILURE", "SUCCESS", "FAILURE", "SUCCESS"]
    assert "xsum" not in proj.executed


@pytest.mark.parametrize("breaker", ["fail", "ignore", "reject", "unknown", "expired", "revoked"])
def test_whatever_breaks_a_chain_settles_all_of_it(proj, breaker):
    step = {
        "unknown": signature("no.such", app=proj.app),
        "expired": proj.note.si().set(expires=-1),
        "revoked": proj.note.si().set(task_id="revoked"),
    }.get(breaker) or getattr(proj, breaker).s()
    proj.app.revoke(["revoked"])

    handle = (
        proj.add.s(1)
        | step
        | proj.note.s()
        | group(proj.note.s(), proj.note.s())
        | proj.xsum.s()
        | group(proj.note.s(), proj.note.s())
    ).apply_async()
    proj.drain()

    assert handle.ready()
    assert [member.state for member in handle] == ["FAILURE", "FAILURE"]
    with pytest.raises(Exception):  # noqa: B017 - which one is told below
        handle.get(timeout=0)
    kinds = {
        "ignore": Ignore,
        "reject": Reject,
        "unknown": NotRegistered,
        "expired": TaskRevokedError,
        "revoked": TaskRevokedError,
        "fail": ValueError,
    }
    assert all(isinstance(member.result, kinds[breaker]) for member in handle)
    assert not proj.noted


def test_handles_survive_as_tuples(proj):
    handle = chord([proj.add.s(1), proj.add.s(2)], proj.xsum.s()).apply_async()
    proj.drain()

    back = result_from_tuple(json.loads(json.dumps(handle.as_tuple())), app=proj.app)

    assert back == handle
    assert back.parent == handle.parent
    assert back.get(timeout=0) == 3
    assert back.parent.get(timeout=0) == [1, 2]
    again = proj.app.result_from_tuple(handle.parent.as_tuple())
    assert again.get(timeout=0) == [1, 2]


def test_a_canvas_from_json(proj):
    text = json.dumps(proj.add.s(1) | group(proj.add.s(1), proj.add.s(2)) | proj.xsum.s())

    assert proj.value(signature(json.loads(text), app=proj.app)) == 5


# --- links and error callbacks -------------------------------------------------------------------------------------------------


def test_links_are_called_with_the_value_and_are_children(proj):
    sig = proj.add.s(1, 2)
    sig.link(proj.note.s("a"))
    sig.link(proj.note.s("b") | proj.note.s())

    handle = sig.apply_async(link=proj.note.si("c"))
    proj.drain()

    assert len(proj.noted) == 4
    assert (("c",), {}) in proj.noted
    assert {args for args, _ in proj.noted if args[0] == 3} == {(3, "a"), (3, "b")}
    assert len(handle.children) == 3
    assert all(child.ready() for child in handle.children)


def test_an_error_callback_of_one_argument_gets_the_failed_id(proj):
    @proj.app.task(name="old")
    def old(failed_id):
        proj.noted.append(failed_id)

    handle = proj.fail.apply_async(link_error=old.s())
    proj.drain()

    assert proj.noted == [handle.id]


@pytest.mark.parametrize("bind", [False, True])
def test_an_error_callback_of_three_arguments_gets_request_error_and_traceback(proj, bind):
    def report(request, exc, traceback, extra=None):
        proj.noted.append((request.id, request.task, type(exc), str(exc), "in fail" in traceback, extra))

    if bind:
        task = proj.app.task(name="new", bind=True)(
            lambda _self, request, exc, tb, extra=None: report(request, exc, tb, extra)
        )
    else:
        task = proj.app.task(name="new")(report)
    handle = proj.fail.apply_async(link_error=[task.s(), task.s("more")])
    proj.drain()

    wanted = (handle.id, "fail", ValueError, "no", True)
    assert proj.noted == [(*wanted, None), (*wanted, "more")]


def test_an_error_callback_of_any_arguments_gets_three(proj):
    task = proj.app.task(name="any")(lambda *args: proj.noted.append(len(args)))

    proj.fail.apply_async(link_error=task.s())
    proj.drain()

    assert proj.noted == [3]


def test_an_immutable_error_callback_gets_its_own_arguments_only(proj):
    task = proj.app.task(name="three")(lambda a, b, c: proj.noted.append((a, b, c)))

    proj.fail.apply_async(link_error=task.si(1, 2, 3))
    proj.drain()

    assert proj.noted == [(1, 2, 3)]


def test_the_error_callback_of_a_chord_is_called_once_with_the_bodys_id(proj):
    task = proj.app.task(name="new")(
        lambda request, exc, _tb: proj.noted.append((request.id, request.task, type(exc)))
    )
    sig = chord([proj.fail.s(), proj.fail.s(), proj.add.s(1)], proj.xsum.s())
    sig.link_error(task.s())

    handle = sig.apply_async(link_error=task.s())
    proj.drain()

    assert proj.noted == [(handle.id, "xsum", ChordError)]


def test_the_error_callback_of_a_chain_is_called_once(proj):
    handle = (proj.add.s(1) | proj.fail.s() | proj.add.s(2)).apply_async(link_error=proj.note.s())
    proj.drain()

    assert len(proj.noted) == 1
    assert handle.state == "FAILURE"


def test_link_on_a_group_is_refused_with_the_word_chord(proj):
    with pytest.raises(TypeError, match="chord"):
        group(proj.add.s(1)).apply_async(link=proj.note.s())
    assert proj.drain() == 0


# --- time ----------------------------------------------------------------------------------------------------------------------


def now(proj):
    return datetime.fromtimestamp(proj.clock.now_us() / 1e6, UTC)


@pytest.mark.parametrize("kind", ["countdown", "eta"])
def test_nothing_runs_before_its_time(proj, kind):
    when = {"countdown": 30} if kind == "countdown" else {"eta": now(proj) + timedelta(seconds=30)}
    handle = proj.add.apply_async((1,), **when)

    proj.drain()
    proj.pass_time(29)
    assert not handle.ready()
    proj.pass_time(1)

    assert handle.get(timeout=0) == 1


def test_the_countdown_of_a_later_step_counts_from_its_own_start(proj):
    handle = (proj.add.s(1).set(countdown=10) | proj.add.s(2).set(countdown=10)).apply_async()

    proj.pass_time(10)
    assert handle.parent.ready()
    proj.pass_time(9)
    assert not handle.ready()
    proj.pass_time(1)

    assert handle.get(timeout=0) == 3


@pytest.mark.parametrize("expires", [-1, 0, timedelta(seconds=-5), datetime(2001, 1, 1, tzinfo=UTC)])
def test_what_has_expired_is_revoked_and_never_runs(proj, expires):
    handle = proj.note.apply_async((1,), expires=expires)

    proj.drain()

    assert (handle.state, handle.ready(), proj.noted) == ("REVOKED", True, [])
    with pytest.raises(TaskRevokedError, match="expired"):
        handle.get(timeout=0)


def test_what_has_not_expired_runs(proj):
    assert proj.value(proj.add.s(1), expires=5) == 1


def test_what_expires_while_it_waits_is_revoked(proj):
    handle = proj.add.apply_async((1,), expires=5)
    proj.pass_time(5)

    assert handle.state == "REVOKED"


# --- retry ---------------------------------------------------------------------------------------------------------------------


def test_a_retry_runs_again_after_its_countdown(proj):
    handle = proj.flaky.delay(succeed_at=2)

    proj.drain()
    assert (handle.state, handle.ready(), proj.noted) == ("RETRY", False, [0])
    assert isinstance(handle.result, KeyError)
    proj.pass_time(9)
    assert proj.noted == [0]
    proj.pass_time(1)
    assert proj.noted == [0, 1]
    proj.pass_time(10)

    assert handle.get(timeout=0) == "done"
    assert handle.retries == 2


def test_after_max_retries_the_reason_is_the_error(proj):
    handle = proj.flaky.delay()
    for _ in range(5):
        proj.pass_time(10)

    assert proj.noted == [0, 1, 2]
    with pytest.raises(KeyError, match="flaky"):
        handle.get(timeout=0)


def test_after_max_retries_without_a_reason_there_is_an_error_of_its_own(proj):
    @proj.app.task(name="stubborn", bind=True, max_retries=1)
    def stubborn(self):
        self.retry(countdown=0)

    handle = stubborn.delay()
    proj.drain()

    with pytest.raises(MaxRetriesExceededError):
        handle.get(timeout=0)


def test_a_retry_keeps_its_place_in_a_chain_its_links_and_its_chord(proj):
    handle = chord(
        [proj.flaky.si(succeed_at=1) | proj.note.s(), proj.flaky.si(succeed_at=2)], proj.note.s()
    ).apply_async()
    for _ in range(3):
        proj.pass_time(10)

    assert handle.get(timeout=0) == [[["done"], "done"]]


def test_a_canvas_around_a_task_that_is_retried_by_itself_sees_one_outcome(proj):
    tries = []

    @proj.app.task(name="auto", autoretry_for=(KeyError,), retry_backoff=True, retry_jitter=False)
    def auto(x, succeed_at):
        tries.append(x)
        if tries.count(x) <= succeed_at:
            raise KeyError(x)
        return x

    handle = chord(
        [auto.s(1, 2) | proj.note.s(), auto.s(2, 1), auto.s(3, 0)],
        proj.note.s().on_error(proj.note.s("failed")),
    ).apply_async(link=proj.note.s("linked"))
    proj.drain()
    assert (tries.count(1), tries.count(2), tries.count(3)) == (1, 1, 1)
    assert [member.state for member in handle.parent] == ["PENDING", "RETRY", "SUCCESS"]
    proj.pass_time(1)
    proj.pass_time(1)
    assert (tries.count(1), handle.ready()) == (2, False)
    proj.pass_time(1)

    assert handle.get(timeout=0) == [[[1], 2, 3]]
    assert (tries.count(1), tries.count(2), tries.count(3)) == (3, 2, 1)
    assert [args for args, _ in proj.noted] == [(1,), ([[1], 2, 3],), ([[[1], 2, 3]], "linked")]


def test_when_retries_are_exhausted_the_canvas_fails_once_with_the_original_exception(proj):
    @proj.app.task(name="auto", autoretry_for=(KeyError,), retry_kwargs={"max_retries": 5, "countdown": 2})
    def auto():
        proj.noted.append("tried")
        raise KeyError("lost")

    handle = chord([auto.s(), proj.add.s(1)], proj.note.s().on_error(proj.note.si("errback"))).apply_async()
    proj.drain()
    for _ in range(5):
        assert not handle.ready()
        proj.pass_time(2)

    assert proj.noted == ["tried"] * 6 + [(("errback",), {})]
    with pytest.raises(ChordError, match="raised KeyError") as caught:
        handle.get(timeout=0)
    assert isinstance(caught.value.__cause__, KeyError)


def test_the_caller_says_how_often_it_may_be_retried(proj):
    handle = proj.flaky.apply_async(max_retries=1)
    other = proj.flaky.s().set(max_retries=0).apply_async()
    for _ in range(3):
        proj.pass_time(10)

    assert proj.noted == [0, 0, 1]
    assert (handle.retries, other.retries, handle.state, other.state) == (1, 0, "FAILURE", "FAILURE")


def test_h10_max_retries_of_a_chord_is_that_of_celerys_polling(proj):
    handle = chord([proj.flaky.si(succeed_at=2)], proj.note.s()).apply_async(max_retries=0, interval=1)
    for _ in range(3):
        proj.pass_time(10)

    assert handle.get(timeout=0) == [["done"]]


def test_a_retry_may_go_to_another_queue(proj):
    @proj.app.task(name="moving", bind=True)
    def moving(self):
        if self.request.retries == 0:
            self.retry(countdown=0, queue="slow", headers={"own": "x"})
        return [self.request.delivery_info["routing_key"], self.request.headers["own"]]

    handle = moving.delay()
    proj.drain("celery")
    assert handle.state == "RETRY"
    proj.drain("slow")

    assert handle.get(timeout=0) == ["slow", "x"]


def test_a_retry_may_bring_other_arguments(proj):
    @proj.app.task(name="growing", bind=True)
    def growing(self, x):
        if x < 3:
            self.retry(args=(x + 1,), countdown=0)
        return x

    assert proj.value(growing.s(1)) == 3


def test_a_retry_that_cannot_be_written_is_a_failure(proj):
    @proj.app.task(name="odd", bind=True)
    def odd(self):
        self.retry(args=(object(),), countdown=0)

    handle = odd.delay()
    proj.drain()

    with pytest.raises(EncodeError):
        handle.get(timeout=0)


# --- other endings -------------------------------------------------------------------------------------------------------------


def test_revoked_before_it_starts(proj):
    handle = proj.note.delay(1)

    handle.revoke()
    proj.drain()

    assert (handle.state, proj.noted) == ("REVOKED", [])
    with pytest.raises(TaskRevokedError, match="revoked"):
        handle.get(timeout=0)


def test_an_id_may_be_a_uuid_wherever_one_is_given(proj):
    ids = [UUID(int=number) for number in range(4)]
    handles = [
        proj.note.apply_async((1,), task_id=ids[0]),
        proj.note.s(2).set(task_id=ids[1]).apply_async(),
        group(proj.note.s(3)).apply_async(task_id=ids[2]),
        proj.app.AsyncResult(ids[3]),
        proj.note.AsyncResult(ids[3]),
        proj.note.s().set(task_id=ids[3]).freeze(),
    ]

    proj.app.revoke([ids[0]])
    proj.app.revoke(ids[1])
    proj.drain()

    assert [handle.id for handle in handles] == [str(id_) for id_ in (*ids, ids[3], ids[3])]
    assert ([handle.state for handle in handles[:2]], proj.noted) == (["REVOKED", "REVOKED"], [((3,), {})])


@pytest.mark.parametrize("ids", [5, None, {"a": 1}, b"abc", [5], [""]])
def test_what_is_no_id_cannot_be_revoked(proj, ids):
    with pytest.raises(ImproperlyConfigured, match="a task's id must be a"):
        proj.app.revoke(ids)


def test_revoking_a_group_and_revoking_by_the_root(proj):
    members = group(proj.note.s(1), proj.note.s(2)).apply_async()
    members.revoke()
    steps = (proj.note.s(1) | proj.note.s(2)).apply_async()
    proj.app.revoke([steps.parent.id])
    proj.drain()

    assert [m.state for m in members] == ["REVOKED", "REVOKED"]
    assert states(steps) == ["FAILURE", "REVOKED"]
    assert not proj.noted


def test_revoking_what_has_ended_changes_nothing(proj):
    handle = proj.add.delay(1)
    proj.drain()
    handle.revoke()
    proj.drain()

    assert handle.get(timeout=0) == 1


def test_ignored_is_ready_and_none(proj):
    handle = proj.ignore.delay()
    proj.drain()

    assert (handle.state, handle.ready(), handle.get(timeout=0)) == ("IGNORED", True, None)


def test_rejected(proj):
    handle = proj.reject.delay()
    proj.drain()

    assert (handle.state, handle.ready()) == ("REJECTED", True)
    with pytest.raises(Reject, match="bad"):
        handle.get(timeout=0)


def test_reject_with_requeue_is_no_ending(proj):
    @proj.app.task(name="later")
    def later():
        proj.noted.append(1)
        if len(proj.noted) < 3:
            raise Reject("busy", requeue=True)
        return "now"

    assert proj.value(later.s()) == "now"
    assert len(proj.noted) == 3


@pytest.mark.parametrize("where", ["call", "task", "setting"])
def test_an_ignored_result_is_not_stored_and_not_waited_for(where):
    proj = Proj(**({"task_ignore_result": True} if where == "setting" else {}))
    task = proj.app.task(name="quiet", ignore_result=True)(lambda x: x) if where == "task" else proj.note
    options = {"ignore_result": True} if where == "call" else {}

    handle = task.apply_async((1,), **options)
    proj.drain()

    assert handle.get() is None
    assert handle.state == "PENDING"
    assert not proj.store.state.documents


def test_an_ignored_result_still_reaches_a_body(proj):
    header = [proj.add.s(1).set(ignore_result=True), proj.add.s(2)]
    handle = chord(header, proj.xsum.s()).apply_async()
    proj.drain()

    assert handle.get(timeout=0) == 3
    assert handle.parent.get(timeout=0) == [None, 2]


# --- inside a task -------------------------------------------------------------------------------------------------------------


def test_waiting_inside_a_task_is_refused_unless_allowed(proj):
    @proj.app.task(name="waits")
    def waits(allowed):
        return proj.app.AsyncResult("done").get(timeout=0, disable_sync_subtasks=not allowed)

    @proj.app.task(name="waits for many")
    def waits_for_many():
        return proj.app.GroupResult("g", 0).get()

    proj.value(proj.add.s(1), task_id="done")

    for sig in (waits.s(False), waits_for_many.s()):
        with pytest.raises(RuntimeError, match="must not wait"):
            proj.value(sig)
    assert proj.value(waits.s(True)) == 1


def test_what_a_task_sends_is_its_child_with_its_root(proj):
    @proj.app.task(name="outer", bind=True)
    def outer(self):
        return [proj.me.delay().id, self.request.root_id]

    handle = (proj.add.s(1) | outer.si()).apply_async()
    proj.drain()

    child_id, root_id = handle.get(timeout=0)
    assert root_id == handle.parent.id
    assert [child.id for child in handle.children] == [child_id]
    seen = handle.children[0].get(timeout=0)
    assert (seen["root_id"], seen["parent_id"]) == (root_id, handle.id)


def test_a_group_that_a_task_sends_is_its_child_as_a_group(proj):
    @proj.app.task(name="outer")
    def outer():
        group(proj.add.s(1), proj.add.s(2)).delay()

    handle = outer.delay()
    proj.drain()

    assert [child.get(timeout=0) for child in handle.children] == [[1, 2]]
    assert isinstance(handle.children[0], GroupResult)


# --- options, routes, ids ------------------------------------------------------------------------------------------------------


def test_where_messages_go():
    routes = {"add": "numbers", "no*": {"queue": "notes", "priority": 3}}
    proj = Proj(task_routes=routes, task_default_queue="usual")
    slow = proj.app.task(name="nothing", queue="slow")(lambda: None)
    for sent in (proj.add.s(1), proj.add.s(1).set(queue="mine"), proj.note.s(), proj.fail.s(), slow.s()):
        sent.delay()

    queues = {name: len(waiting) for name, waiting in proj.store.state.mail.waiting().items()}
    assert queues == {"numbers": 1, "mine": 1, "notes": 1, "usual": 1, "slow": 1}
    assert [proj.app.queue_of(name) for name in ("add", "note", "fail", "nothing", "unknown")] == [
        "numbers",
        "notes",
        "usual",
        "slow",
        "usual",
    ]


def test_the_same_frozen_signature_sent_twice_runs_once(proj):
    sig = proj.note.s(1)
    sig.freeze()

    one, two = sig.delay(), sig.delay()
    proj.drain()

    assert one == two
    assert len(proj.noted) == 1


def test_a_canvas_frozen_before_has_the_ids_that_it_is_sent_with(proj):
    sig = proj.add.s(1) | group(proj.add.s(1), proj.add.s(2)) | proj.xsum.s()

    frozen, sent = sig.freeze(), sig.apply_async()
    proj.drain()

    assert frozen.id == sent.id
    assert frozen.get(timeout=0) == 5
    assert frozen.parent.get(timeout=0) == [2, 3]
    assert frozen.parent.parent.get(timeout=0) == 1


def test_two_sends_have_two_ids(proj):
    sig = proj.add.s(1) | proj.add.s(1)

    assert sig.delay().id != sig.delay().id


def test_nothing_is_left_over(proj):
    proj.value(CHORDS["chord as body"][0](proj))

    assert not proj.store.state.dead
    assert not proj.store.state.mail.held
    assert not proj.store.state.mail.queues()


def test_a_message_from_elsewhere_that_is_none_is_kept_as_a_dead_letter(proj):
    proj.store.state.mail.put("celery", "[]")
    handle = proj.add.delay(1)
    proj.drain()

    (kept,) = proj.store.state.dead.newest(2, "")
    assert isinstance(kept.letter, DeadLetter)
    assert kept.letter.raw == "[]"
    assert handle.get(timeout=0) == 1
