"""The result backend in Celery's words: to read, and to store outcomes by hand."""

from __future__ import annotations

import pytest
from backbeat.canvas import App, chain
from backbeat.canvas.errors import EncodeError, ImproperlyConfigured, TaskRevokedError
from backbeat.canvas.meta import meta_of

from support.eager import Shop


@pytest.fixture
def shop():
    return Shop()


@pytest.fixture
def backend(shop):
    return shop.app.backend


def test_what_is_known_of_a_task_is_read_in_celery_s_words(shop, backend):
    handle = shop.add.apply_async((1,), link=shop.add.s(2))
    waiting = backend.get_task_meta(handle.id)
    shop.drain()
    meta = backend.get_task_meta(handle.id)

    assert (waiting["status"], waiting["result"], waiting["date_done"]) == ("PENDING", None, None)
    assert (meta["status"], meta["result"], meta["name"], meta["args"], meta["retries"]) == (
        "SUCCESS",
        1,
        "add",
        [1],
        0,
    )
    assert meta["date_done"] == handle.date_done
    assert (backend.get_state(handle.id), backend.get_status("nobody")) == ("SUCCESS", "PENDING")
    assert (backend.get_result(handle.id), backend.get_traceback(handle.id)) == (1, None)
    assert backend.get_children(handle.id) == handle.children
    backend.forget(handle.id)
    assert backend.get_state(handle.id) == "PENDING"


def test_what_is_stored_by_hand_is_what_get_returns(shop, backend):
    assert backend.store_result("a", {"x": (1, 2)}, "SUCCESS") == {"x": (1, 2)}
    backend.mark_as_done("b", 5)
    backend.mark_as_failure("c", ValueError("no", 7))
    backend.store_result("d", KeyError("k"), "FAILURE", traceback="by hand")
    backend.mark_as_revoked("e", "too late")
    handles = [shop.app.AsyncResult(id_) for id_ in "abcde"]

    assert [handle.get(timeout=0, propagate=False) for handle in handles[:2]] == [{"x": (1, 2)}, 5]
    with pytest.raises(ValueError, match=r"\('no', 7\)"):
        handles[2].get(timeout=0)
    assert (handles[3].traceback, handles[3].state) == ("by hand", "FAILURE")
    with pytest.raises(TaskRevokedError, match="too late"):
        handles[4].get(timeout=0)
    assert {handle.name for handle in handles} == {None}


@pytest.mark.parametrize("state", ["REJECTED", "IGNORED"])
def test_the_other_endings_are_stored_too(shop, backend, state):
    backend.store_result("a", None, state)

    assert (shop.app.AsyncResult("a").state, shop.app.AsyncResult("a").ready()) == (state, True)


def test_k2_what_has_ended_stays_as_it_is(shop, backend):
    done = shop.add.delay(1)
    shop.drain()
    for state, value in [("SUCCESS", 2), ("FAILURE", ValueError("x")), ("REVOKED", "")]:
        backend.store_result(done.id, value, state)

    assert shop.app.AsyncResult(done.id).get(timeout=0) == 1


def test_a_task_that_was_ended_by_hand_does_not_run_and_what_follows_goes_on(shop, backend):
    last = chain(shop.add.s(1), shop.add.s(10)).delay()
    backend.store_result(last.parent.id, 5, "SUCCESS")
    shop.drain()

    assert last.get(timeout=0) == 15
    assert shop.executed == ["add"]


def test_a_task_that_failed_by_hand_fails_what_follows(shop, backend):
    last = chain(shop.add.s(1), shop.add.s(10)).delay()
    backend.mark_as_failure(last.parent.id, ValueError("by hand"))
    shop.drain()

    with pytest.raises(ValueError, match="by hand"):
        last.get(timeout=0)


@pytest.mark.parametrize("state", ["STARTED", "RETRY", "PENDING", "PROGRESS", ""])
def test_what_is_no_ending_is_not_stored(backend, state):
    with pytest.raises(ImproperlyConfigured, match=f"task a: {state!r} is not how a task ends"):
        backend.store_result("a", 1, state)


def test_what_cannot_be_meant_is_refused(backend):
    with pytest.raises(TypeError, match="task a: FAILURE is stored with an exception, found 'text'"):
        backend.store_result("a", "text", "FAILURE")
    with pytest.raises(EncodeError, match="object"):
        backend.store_result("a", object(), "SUCCESS")
    with pytest.raises(ImproperlyConfigured, match="a task's id must be"):
        backend.store_result("", 1, "SUCCESS")
    with pytest.raises(ImproperlyConfigured, match="a task's id must be"):
        backend.get_state("")


def test_an_exception_that_was_raised_brings_its_traceback(shop, backend):
    with pytest.raises(ValueError, match="invalid literal") as caught:
        int("x")
    backend.mark_as_failure("a", caught.value)

    assert "test_an_exception_that_was_raised" in shop.app.AsyncResult("a").traceback


@pytest.mark.parametrize(
    ("known", "text", "hidden"),
    [
        (
            {"broker": "amqp://", "backend": "redis://:secret@host/1"},
            "redis://:**@host/1",
            "redis://:secret@host/1",
        ),
        ({"broker": "memory://"}, "memory://", "memory://"),
        ({"broker": "amqp://", "backend": "rpc://"}, "rpc://", "rpc://"),
        ({"broker": "amqp://"}, "disabled://", "disabled://"),
    ],
)
def test_a_backend_says_where_it_is_without_the_password(known, text, hidden):
    backend = App("a", set_as_current=False, **known).backend

    assert (backend.as_uri(), backend.as_uri(include_password=True)) == (text, hidden)


@pytest.mark.parametrize("known", [{}, {"backend": "rpc://"}], ids=["none", "rpc"])
def test_without_a_store_nothing_is_stored_and_chords_are_not_allowed(known):
    backend = App("a", broker="amqp://127.0.0.1:1", set_as_current=False, **known).backend

    for use in (backend.ensure_chords_allowed, lambda: backend.store_result("a", 1, "SUCCESS")):
        with pytest.raises(ImproperlyConfigured, match="there is no result store"):
            use()
    assert App("b", broker="memory://", set_as_current=False).backend.ensure_chords_allowed() is None


def test_meta_holds_what_is_known_and_no_more(shop):
    (document,) = shop.app.results.get(["nobody"])

    assert meta_of(document) == {
        "task_id": "nobody",
        "status": "PENDING",
        "result": None,
        "traceback": None,
        "children": [],
        "date_done": None,
    }
