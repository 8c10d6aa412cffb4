"""Handles that know whether their task was ever sent (R15), on a store in memory."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta

import pytest
from backbeat.canvas import AsyncResult, GroupResult, chain, group, result, result_from_tuple
from backbeat.canvas.commit.memory_results import MemoryResults
from backbeat.canvas.errors import ImproperlyConfigured, TimeoutError, UnknownResult  # noqa: A004 - Celery's name

from support.eager import Shop, connect
from support.number_doubles import Whole


@pytest.fixture
def shop():
    return Shop()


def now_of(shop):
    """The shop's time, aware."""
    return datetime.fromtimestamp(shop.clock.now_us() / 1_000_000, UTC)


def test_r15_an_id_that_was_never_sent_is_unknown_and_get_raises_at_once(shop):
    handle = shop.app.AsyncResult("never-sent")

    assert (handle.state, handle.status, handle.exists(), handle.ready()) == (
        "UNKNOWN",
        "UNKNOWN",
        False,
        False,
    )
    with pytest.raises(UnknownResult, match="never-sent: it was never sent"):
        handle.get()
    with pytest.raises(UnknownResult):
        handle.get(timeout=5, propagate=False)


@pytest.mark.parametrize("timeout", [timedelta(milliseconds=1), timedelta(-1), Whole(0)])
def test_the_time_to_wait_may_be_a_timedelta_or_another_s_number(shop, timeout):
    sent = shop.add.delay(1)

    for handle in (sent, shop.app.GroupResult("g", [sent])):
        with pytest.raises(TimeoutError, match=r"was not ready within 0(\.0|\.001)? s"):
            handle.get(timeout=timeout)


def test_r15_an_id_that_was_sent_is_pending_for_whoever_asks(shop):
    sent = shop.add.delay(1)
    asked = shop.app.AsyncResult(sent.id)

    assert (sent.state, sent.exists(), asked.state, asked.exists()) == ("PENDING", True, "PENDING", True)
    with pytest.raises(TimeoutError):
        asked.get(timeout=0)
    shop.drain()
    assert (asked.state, asked.exists(), asked.get(timeout=0)) == ("SUCCESS", True, 1)


def test_r15_a_step_that_has_still_to_be_sent_is_pending(shop):
    last = chain(shop.add.s(1), shop.add.s(2), shop.add.s(3)).delay()
    asked = result_from_tuple(last.as_tuple(), app=shop.app)

    assert [asked.state, asked.parent.state, asked.parent.parent.state] == ["PENDING"] * 3
    shop.drain()
    assert asked.get(timeout=0) == 6


def test_r15_after_forget_the_result_is_unknown_to_all(shop):
    handle = shop.add.delay(1)
    shop.drain()
    handle.forget()

    for asked in (handle, shop.app.AsyncResult(handle.id)):
        assert (asked.state, asked.exists()) == ("UNKNOWN", False)
        with pytest.raises(UnknownResult):
            asked.get()


def test_r15_a_frozen_signature_is_unknown_until_it_is_sent(shop):
    sig = shop.add.s(1)
    handle = sig.freeze()
    before = handle.state
    sig.delay()

    assert (before, handle.state) == ("UNKNOWN", "PENDING")


def test_r15_a_group_exists_if_all_its_members_do(shop):
    sent = group(shop.add.s(1), shop.add.s(2)).delay()
    asked = shop.app.GroupResult(sent.id, 2)
    too_many = shop.app.GroupResult(sent.id, 3)

    assert (sent.exists(), asked.exists(), too_many.exists()) == (True, True, False)
    with pytest.raises(UnknownResult):
        too_many.get()
    shop.drain()
    assert asked.get(timeout=0) == [1, 2]
    assert asked.exists()


def test_r15_a_group_of_nobody_exists(shop):
    assert GroupResult("g", [], app=shop.app).exists()


def test_children_of_a_document_were_sent(shop):
    link = shop.add.s(10)
    handle = shop.add.apply_async((1,), link=link)
    shop.drain()
    (child,) = handle.children
    shop.store.state.runs.clear()
    shop.store.state.documents.clear()

    assert child.state == "PENDING"


def test_where_nothing_is_certain_get_waits_and_says_why(shop, caplog):
    connect(shop.app, lambda: shop.open("client"), lambda: MemoryResults(shop.store, is_whole=False))
    handle = shop.app.AsyncResult("somebody-elses")

    with caplog.at_level(logging.WARNING), pytest.raises(TimeoutError):
        handle.get(timeout=0)

    assert (handle.state, handle.exists()) == ("UNKNOWN", False)
    assert "no trace of task somebody-elses; waiting" in caplog.text


def test_what_runs_tells_its_worker(shop):
    handle = shop.add.delay(1)
    commit = shop.open("celery@box|box - 77 5 abc", "celery")
    commit.exchange([], take=1)

    assert (handle.state, handle.worker) == ("STARTED", "celery@box")
    assert handle.info == handle.result == {"pid": 77, "hostname": "celery@box"}
    assert handle.date_started == now_of(shop)


def test_what_ended_tells_when_it_began(shop):
    @shop.app.task(name="slow")
    def slow():
        shop.clock.advance(5)

    handle, began = slow.delay(), now_of(shop)
    assert handle.date_started is None
    shop.drain()

    assert (handle.date_started, handle.date_done) == (began, now_of(shop))
    assert handle.date_started < handle.date_done


def test_a_worker_without_a_process_has_no_pid(shop):
    handle = shop.add.delay(1)
    shop.open("w", "celery").exchange([], take=1)

    assert handle.info == {"pid": None, "hostname": "w"}


def test_the_store_is_not_asked_twice_of_what_is_ready(shop):
    handle = AsyncResult(shop.add.delay(1).id, app=shop.app)
    shop.drain()
    assert handle.state == "SUCCESS"
    shop.store.state.documents.clear()

    assert json.dumps([handle.get(), handle.exists()]) == "[1, true]"


# --- groups --------------------------------------------------------------------------------------------------------------------


class Counting(MemoryResults):
    """Counts what it is asked for."""

    def __init__(self, store):
        super().__init__(store)
        self.asked = []
        self.before_wait = lambda: None

    def get(self, ids):
        self.asked.append(("get", len(ids)))
        return super().get(ids)

    def wait(self, ids, timeout):
        self.asked.append(("wait", len(ids)))
        self.before_wait()
        return super().wait(ids, timeout)


@pytest.fixture
def counted(shop):
    results = Counting(shop.store)
    connect(shop.app, lambda: shop.open("client"), lambda: results)
    return results


def test_a_group_that_has_ended_is_read_by_one_call_and_then_by_none(shop, counted):
    handle = group(shop.add.s(1), group(shop.add.s(2), shop.add.s(3)), shop.add.s(4)).delay()
    nested = GroupResult("outer", [handle, AsyncResult(handle.results[0].id, app=shop.app)], app=shop.app)
    shop.drain()

    assert nested.get() == [[1, 2, 3, 4], 1]
    assert counted.asked == [("get", 5)]
    assert (handle.ready(), handle.successful(), handle.completed_count()) == (True, True, 4)
    assert [member.state for member in handle] == ["SUCCESS"] * 4
    assert counted.asked == [("get", 5)]


def test_a_group_is_asked_for_only_those_members_that_had_not_ended(shop, counted):
    handle = group(shop.add.s(number) for number in range(5)).delay()
    shop.drain(limit=3)

    assert (handle.completed_count(), handle.ready()) == (3, False)
    with pytest.raises(TimeoutError, match="was not ready within 0 s"):
        handle.get(timeout=0)
    shop.drain()
    assert handle.get(timeout=0) == [0, 1, 2, 3, 4]
    assert counted.asked == [("get", 5), ("get", 2), ("get", 2), ("wait", 2), ("get", 2)]


def test_a_group_is_read_once_more_after_it_was_waited_for(shop, counted):
    handle = group(shop.add.s(1), shop.add.s(2)).delay()
    counted.before_wait = shop.drain

    assert handle.get(timeout=0) == [1, 2]
    assert counted.asked == [("get", 2), ("wait", 2), ("get", 2)]


def test_callbacks_are_told_the_values_of_a_group_up_to_its_first_failure(shop):
    handle = group(shop.add.s(1), shop.add.s(2, None), shop.add.s(3)).delay()
    shop.drain()
    told = []

    with pytest.raises(TypeError):
        handle.get(callback=lambda id_, value: told.append((id_, value)))

    assert told == [(handle.results[0].id, 1)]


def test_of_a_group_whose_results_are_ignored_nothing_is_asked(shop, counted):
    handle = group(shop.add.s(number).set(ignore_result=True) for number in range(2)).delay()

    assert handle.get() == [None, None]
    assert (handle.exists(), counted.asked) == (True, [])


def test_r15_after_forget_a_group_is_unknown_to_all(shop):
    handle = group(shop.add.s(1), group(shop.add.s(2), shop.add.s(3))).delay()
    nested = GroupResult("outer", [handle], app=shop.app)
    shop.drain()
    assert nested.get() == [[1, 2, 3]]
    nested.forget()

    for asked in (nested, handle, shop.app.GroupResult(handle.id, 3)):
        assert (asked.exists(), asked.ready(), asked.completed_count()) == (False, False, 0)
        with pytest.raises(UnknownResult):
            asked.get()
    assert [member.state for member in handle] == ["UNKNOWN"] * 3


def test_handles_are_where_celery_has_them():
    assert (result.AsyncResult, result.GroupResult, result.result_from_tuple) == (
        AsyncResult,
        GroupResult,
        result_from_tuple,
    )


# --- what cannot be meant --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [float("nan"), float("inf"), 1e300, "5", True])
def test_a_time_to_wait_that_cannot_be_is_refused(shop, timeout):
    """Waiting for "not a number" of seconds would never end."""
    alone, together = shop.add.delay(1), group(shop.add.s(1)).delay()

    for handle in (alone, together):
        with pytest.raises(ImproperlyConfigured, match="timeout must be seconds from 0 to a century"):
            handle.get(timeout=timeout)


def test_when_the_time_to_wait_is_over_already_one_look_is_taken(shop):
    handle = shop.add.delay(1)

    with pytest.raises(TimeoutError):
        handle.get(timeout=-1)
    shop.drain()
    assert handle.get(timeout=-1) == 1


@pytest.mark.parametrize("id_", ["", None, 5, "a\0", "x" * 256])
def test_what_no_task_is_called_is_neither_asked_for_nor_revoked(shop, id_):
    for use in (shop.app.AsyncResult, lambda id_: shop.app.revoke([id_])):
        with pytest.raises(ImproperlyConfigured, match="a task's id must be a printable text"):
            use(id_)


@pytest.mark.parametrize("size", [-1, True])
def test_a_group_has_so_many_members_or_none(shop, size):
    with pytest.raises(ImproperlyConfigured, match="a group's size must be a whole number from 0"):
        shop.app.GroupResult("g", size)


@pytest.mark.parametrize("value", ["no", "false", 0, None])
def test_a_task_is_not_ended_because_of_a_text_that_counts_as_true(shop, value):
    handle = shop.add.delay(1)

    with pytest.raises(ImproperlyConfigured, match="terminate must be True or False"):
        handle.revoke(terminate=value)
    assert handle.state == "PENDING"


def test_a_signal_that_there_is_not_is_refused_though_nobody_would_get_it(shop):
    with pytest.raises(ImproperlyConfigured, match="there is no signal 'foo'"):
        shop.add.delay(1).revoke(signal="foo")


def test_who_has_a_handle_has_its_timeout_error():
    from backbeat.canvas.exceptions import TimeoutError as Late

    assert AsyncResult.TimeoutError is Late
