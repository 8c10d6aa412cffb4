"""Eager mode: a canvas runs here and now, through the very flow of any worker; nothing is sent, and nobody waits."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest
from backbeat.canvas import App, chain, chord, group
from backbeat.canvas.eager import EagerRun
from backbeat.canvas.eager_result import EagerGroupResult, EagerResult
from backbeat.canvas.errors import (
    ChordError,
    EncodeError,
    Ignore,
    ImproperlyConfigured,
    MaxRetriesExceededError,
    Reject,
    TaskRevokedError,
)
from backbeat.canvas.ids import derive
from backbeat.canvas.stage import Endless


class Broken(Exception):
    """What the tasks of these tests raise."""


class Kitchen:
    """An app without any broker, and what its tasks have noted."""

    def __init__(self, **settings):
        self.app = App("kitchen", set_as_current=False, **settings)
        self.seen = []
        self.tries = 0
        app = self.app

        @app.task(name="add")
        def add(x, y=0):
            return x + y

        @app.task(name="total")
        def total(numbers):
            return sum(numbers)

        @app.task(name="note")
        def note(value):
            self.seen.append(value)
            return value

        @app.task(name="broken")
        def broken(*_):
            raise Broken("no salt")

        @app.task(name="told")
        def told(request, exc, traceback):
            self.seen.append((request.id, type(exc), "no salt" in traceback))

        @app.task(name="flaky", bind=True, max_retries=5, default_retry_delay=86_400)
        def flaky(task, good):
            self.tries += 1
            if task.request.retries < good:
                raise task.retry(exc=Broken("not yet"))
            return task.request.retries

        @app.task(name="asking", bind=True)
        def asking(task):
            request = task.request
            return [request.is_eager, request.called_directly, request.id, request.root_id, request.parent_id]

        self.add, self.total, self.note, self.broken = add, total, note, broken
        self.told, self.flaky, self.asking = told, flaky, asking


@pytest.fixture
def kitchen():
    return Kitchen()


@pytest.fixture
def always():
    return Kitchen(task_always_eager=True)


# --- one task ----------------------------------------------------------------------------------------------------------------


def test_a_task_runs_here_and_now_without_a_broker(kitchen):
    result = kitchen.add.apply((2,), {"y": 3})

    assert isinstance(result, EagerResult)
    assert (result.get(), result.result, result.state, result.ready(), result.successful()) == (
        5,
        5,
        "SUCCESS",
        True,
        True,
    )
    assert (result.name, result.args, result.kwargs, result.parent, result.children) == (
        "add",
        [2],
        {"y": 3},
        None,
        [],
    )


def test_the_id_is_the_one_that_was_asked_for(kitchen):
    assert kitchen.add.apply((1,), task_id="mine").id == "mine"
    frozen = kitchen.add.s(1)
    handle = frozen.freeze()
    assert frozen.apply().id == handle.id


def test_wrong_arguments_are_refused_before_anything_runs(kitchen):
    with pytest.raises(TypeError, match="task add"):
        kitchen.add.apply(())


def test_what_could_not_be_sent_is_refused_here_too(kitchen):
    with pytest.raises(EncodeError):
        kitchen.note.apply((object(),))


def test_arguments_and_values_have_been_through_json(kitchen):
    given = {1: "one"}

    assert kitchen.note.apply((given,)).get() == {"1": "one"}
    assert kitchen.seen == [{"1": "one"}]
    assert kitchen.seen[0] is not given


def test_the_task_knows_that_it_is_eager(kitchen):
    result = kitchen.asking.apply()

    assert result.get() == [True, False, result.id, result.id, None]


def test_a_failure_is_in_the_handle_and_get_raises_it(kitchen):
    result = kitchen.broken.apply()

    assert (result.state, result.failed(), result.successful()) == ("FAILURE", True, False)
    assert "no salt" in result.traceback
    assert isinstance(result.get(propagate=False), Broken)
    with pytest.raises(Broken, match="no salt"):
        result.get()


def test_throw_raises_the_very_exception(kitchen):
    class Local(Exception):
        """No message could carry its class."""

    thrown = Local()

    @kitchen.app.task(name="local")
    def local():
        raise thrown

    with pytest.raises(Local) as caught:
        local.apply(throw=True)
    assert caught.value is thrown


def test_task_eager_propagates_is_the_default_of_throw():
    kitchen = Kitchen(task_eager_propagates=True)

    with pytest.raises(Broken):
        kitchen.broken.apply()
    assert kitchen.broken.apply(throw=False).state == "FAILURE"


def test_an_unknown_task_fails_as_with_a_worker(kitchen):
    result = kitchen.app.signature("nowhere").apply()

    assert result.state == "FAILURE"
    assert "nowhere" in str(result.result)


def test_ignore_and_reject_end_as_with_a_worker(kitchen):
    @kitchen.app.task(name="ignores")
    def ignores():
        raise Ignore

    @kitchen.app.task(name="rejects")
    def rejects():
        raise Reject("not mine")

    assert (ignores.apply().state, rejects.apply().state) == ("IGNORED", "REJECTED")


def test_a_result_that_is_to_be_ignored_is_known_to_the_caller_all_the_same(kitchen):
    @kitchen.app.task(name="quiet", ignore_result=True)
    def quiet():
        return 7

    result = quiet.apply()

    assert (result.state, result.get()) == ("SUCCESS", 7)


def test_a_coroutine_runs_to_its_end_also_for_a_coroutine(kitchen):
    @kitchen.app.task(name="slowly")
    async def slowly(x):
        await asyncio.sleep(0)
        return x + 1

    async def caller():
        return slowly.apply((1,)).get() + slowly.apply((2,)).get()

    assert slowly.apply((1,)).get() == 2
    assert asyncio.run(caller()) == 5


def test_an_error_in_a_coroutine_of_a_coroutine_is_the_task_s(kitchen):
    @kitchen.app.task(name="sinking")
    async def sinking():
        raise Broken("sunk")

    async def caller():
        return sinking.apply()

    assert asyncio.run(caller()).state == "FAILURE"


# --- time --------------------------------------------------------------------------------------------------------------------


def test_a_countdown_is_not_waited_for(kitchen):
    begun = time.monotonic()

    assert kitchen.add.apply((1,), countdown=7 * 86_400).get() == 1
    assert time.monotonic() - begun < 5


def test_what_expires_before_its_time_is_revoked(kitchen):
    result = kitchen.add.apply((1,), countdown=60, expires=30)

    assert result.state == "REVOKED"
    with pytest.raises(TaskRevokedError):
        result.get()
    with pytest.raises(TaskRevokedError):
        kitchen.add.apply((1,), eta=datetime.now(UTC) + timedelta(hours=1), expires=30, throw=True)


def test_retries_run_at_once(kitchen):
    begun = time.monotonic()

    result = kitchen.flaky.apply((4,))

    assert (result.get(), kitchen.tries, result.retries) == (4, 5, 4)
    assert time.monotonic() - begun < 5


def test_a_retry_beyond_the_last_raises_what_it_was_asked_for(kitchen):
    result = kitchen.flaky.apply((9,))

    assert kitchen.tries == 6
    with pytest.raises(Broken, match="not yet"):
        result.get()
    with pytest.raises(Broken, match="not yet"):
        kitchen.flaky.apply((9,), throw=True)


def test_a_retry_without_a_reason_ends_as_max_retries_exceeded(kitchen):
    @kitchen.app.task(name="stubborn", bind=True, max_retries=2)
    def stubborn(task):
        raise task.retry(countdown=600)

    with pytest.raises(MaxRetriesExceededError):
        stubborn.apply().get()


def test_autoretry_is_obeyed(kitchen):
    runs = []

    @kitchen.app.task(name="auto", autoretry_for=(Broken,), max_retries=3, retry_backoff=3600)
    def auto():
        runs.append(1)
        raise Broken("again")

    assert auto.apply().state == "FAILURE"
    assert len(runs) == 4


def test_retries_says_how_often_it_was_tried_before(kitchen):
    assert kitchen.flaky.apply((4,), retries=3).get() == 4
    assert kitchen.tries == 2


def test_a_task_that_never_ends_is_told_of(kitchen):
    @kitchen.app.task(name="forever", bind=True, max_retries=None)
    def forever(task):
        raise task.retry(countdown=1)

    run = EagerRun(kitchen.app, 1_000_000, most=20)
    with pytest.raises(Endless, match=r"20 messages .* without end"):
        run.play(kitchen.app.prepare(forever.s()))


def test_a_task_that_asks_for_its_message_again_gets_it(kitchen):
    @kitchen.app.task(name="returns")
    def returns():
        self_seen = kitchen.seen
        self_seen.append(1)
        if len(self_seen) < 3:
            raise Reject("not now", requeue=True)
        return len(self_seen)

    assert returns.apply().get() == 3


# --- canvases ----------------------------------------------------------------------------------------------------------------


def test_a_chain_gives_its_last_step_whose_parents_are_those_before(kitchen):
    result = chain(kitchen.add.s(1, 1), kitchen.add.s(2), kitchen.add.s(3)).apply()

    assert result.get() == 7
    assert (result.parent.get(), result.parent.parent.get(), result.parent.parent.parent) == (4, 2, None)
    assert isinstance(result.parent, EagerResult)


def test_a_group_gives_the_handles_of_its_members(kitchen):
    result = group(kitchen.add.s(i, i) for i in range(4)).apply()

    assert isinstance(result, EagerGroupResult)
    assert (result.get(), result.join(), result.ready(), result.completed_count()) == (
        [0, 2, 4, 6],
        [0, 2, 4, 6],
        True,
        4,
    )
    assert all(isinstance(member, EagerResult) for member in result)


def test_a_chord_gives_its_body_whose_parent_is_the_group(kitchen):
    result = chord([kitchen.add.s(i) for i in range(5)], kitchen.total.s()).apply()

    assert result.get() == 10
    assert isinstance(result.parent, EagerGroupResult)
    assert result.parent.get() == [0, 1, 2, 3, 4]


def test_arguments_go_in_front_of_what_starts_first(kitchen):
    assert (kitchen.add.s(1) | kitchen.add.s(5)).apply((10,)).get() == 16
    assert kitchen.add.s(1).apply((2,)).get() == 3


def test_nested_canvases_have_the_values_of_a_worker(kitchen):
    add, total = kitchen.add, kitchen.total
    flow = chain(
        add.s(1), group(add.s(10), chain(add.s(20), group(add.s(1), add.s(2)), total.s())), total.s()
    )

    result = flow.apply()

    assert result.get() == 11 + (22 + 23)


def test_an_empty_chain_is_nothing(kitchen):
    assert chain().apply() is None


def test_a_broken_step_settles_all_that_follows(kitchen):
    result = chain(kitchen.broken.s(), kitchen.note.s(), kitchen.note.s()).apply()

    assert (result.state, result.parent.state) == ("FAILURE", "FAILURE")
    assert kitchen.seen == []
    with pytest.raises(Broken):
        result.get()


def test_a_broken_member_fails_the_body_and_throw_raises_what_the_member_raised(kitchen):
    flow = chord([kitchen.add.s(1), kitchen.broken.s()], kitchen.total.s())

    with pytest.raises(ChordError, match="no salt"):
        flow.apply().get()
    with pytest.raises(Broken, match="no salt"):
        flow.apply(throw=True)


def test_a_group_throws_what_its_first_broken_member_raised(kitchen):
    with pytest.raises(Broken):
        group(kitchen.add.s(1), kitchen.broken.s()).apply(throw=True)


def test_links_and_error_callbacks_run(kitchen):
    kitchen.add.apply((2,), link=kitchen.note.s())
    failed = kitchen.broken.apply(link_error=kitchen.told.s())

    assert kitchen.seen == [2, (failed.id, Broken, True)]


def test_links_are_children(kitchen):
    result = kitchen.add.apply((2,), link=kitchen.add.s(40))

    assert [child.get() for child in result.children] == [42]


def test_a_broken_link_does_not_pass_unseen_with_throw(kitchen):
    assert kitchen.add.apply((2,), link=kitchen.broken.s()).get() == 2
    with pytest.raises(Broken):
        kitchen.add.apply((2,), link=kitchen.broken.s(), throw=True)


def test_a_broken_member_of_a_callback_does_not_pass_unseen_with_throw(kitchen):
    link = chord([kitchen.add.si(1), kitchen.broken.si()], kitchen.total.s())

    with pytest.raises(Broken):
        kitchen.add.apply((2,), link=link, throw=True)


def test_what_a_group_s_policy_makes_good_is_not_thrown(kitchen):
    count = kitchen.app.task(name="count")(len)
    header = group(kitchen.add.s(1), kitchen.broken.s() | kitchen.add.s(1), kitchen.broken.s())

    result = (header.set(failure_policy="drop") | count.s()).apply(throw=True)

    assert result.get() == 1


def test_all_that_follows_has_run_before_throw_raises(kitchen):
    with pytest.raises(Broken):
        kitchen.broken.apply(link_error=kitchen.note.si("told"), throw=True)

    assert kitchen.seen == ["told"]


# --- replace -----------------------------------------------------------------------------------------------------------------


def test_what_replaces_a_task_gives_its_value(kitchen):
    @kitchen.app.task(name="fans", bind=True)
    def fans(task, n):
        raise task.replace(chord([kitchen.add.s(i) for i in range(n)], kitchen.total.s()))

    result = fans.apply((5,))

    assert (result.get(), result.state) == (10, "SUCCESS")
    assert (fans.s(4) | kitchen.add.s(100)).apply().get() == 106


def test_on_replace_may_change_what_takes_the_place(kitchen):
    @kitchen.app.task(name="turns", bind=True)
    def turns(task):
        return task.replace(kitchen.add.s(1))

    plain = turns.on_replace
    turns.on_replace = lambda sig: plain(sig.clone((41,)))

    assert turns.apply().get() == 42


# --- always eager ------------------------------------------------------------------------------------------------------------


def test_always_eager_runs_what_is_sent(always):
    assert always.add.delay(1, 2).get() == 3
    assert always.add.s(1).apply_async((5,)).get() == 6
    assert (always.add.s(1) | always.add.s(2)).delay().get() == 3
    assert chord([always.add.s(1), always.add.s(2)])(always.total.s()).get() == 3
    assert always.app.send_task("add", (4, 4)).get() == 8


def test_always_eager_is_eager_all_the_way_down(always):
    @always.app.task(name="outer", bind=True)
    def outer(task):
        inner = always.asking.delay()
        both = group(always.add.s(1), always.add.s(2)).delay()
        return [task.request.id, inner.get(), both.get()]

    result = outer.delay()
    own, inner, both = result.get()

    assert own == result.id
    assert inner == [True, False, result.children[0].id, result.id, result.id]
    assert both == [1, 2]
    assert [child.get() for child in result.children][1:] == [[1, 2]]


def test_always_eager_propagates_from_within(always):
    always.app.conf.task_eager_propagates = True

    @always.app.task(name="outer")
    def outer():
        always.broken.delay()

    with pytest.raises(Broken):
        outer.delay()


def test_always_eager_runs_at_once_in_a_transaction(always):
    with always.app.transaction(None):
        assert always.add.delay(1, 1).get() == 2
    assert always.add.apply_async((1, 1), session=None).get() == 2


def test_throw_means_nothing_where_a_worker_runs_it():
    kitchen = Kitchen(broker="memory://throw")

    assert kitchen.broken.apply_async(throw=True).state == "PENDING"


def test_nothing_is_sent_without_always_eager(kitchen):
    @kitchen.app.task(name="sends")
    def sends():
        kitchen.add.delay(1)

    with pytest.raises(ImproperlyConfigured, match="no broker"):
        sends.apply().get()


# --- what is stored ----------------------------------------------------------------------------------------------------------


def test_the_store_knows_nothing_of_an_eager_result():
    kitchen = Kitchen(broker="memory://unknown")
    result = kitchen.add.apply((1,))

    assert kitchen.app.AsyncResult(result.id).state == "UNKNOWN"


def test_task_store_eager_result_puts_all_endings_into_the_store():
    kitchen = Kitchen(broker="memory://kept", task_store_eager_result=True)

    flow = chain(kitchen.add.s(1), kitchen.broken.s(), kitchen.note.s()).apply()
    quiet = kitchen.note.apply((1,), ignore_result=True)
    handles = [kitchen.app.AsyncResult(id_) for id_ in (flow.parent.parent.id, flow.parent.id, flow.id)]

    assert [handle.state for handle in handles] == ["SUCCESS", "FAILURE", "FAILURE"]
    assert (handles[0].get(), handles[0].name) == (1, "add")
    with pytest.raises(Broken):
        handles[2].get()
    assert kitchen.app.AsyncResult(quiet.id).state == "UNKNOWN"


def test_task_store_eager_result_needs_a_store():
    kitchen = Kitchen(broker="amqp://nowhere", task_store_eager_result=True)

    with pytest.raises(ImproperlyConfigured, match="task_store_eager_result"):
        kitchen.add.apply((1,))


def test_a_forgotten_result_is_unknown_and_a_revoke_comes_too_late():
    kitchen = Kitchen(broker="memory://forget")
    result = kitchen.add.apply((1,))

    result.revoke()
    assert result.get() == 1
    result.forget()
    assert result.state == "UNKNOWN"


def test_a_group_id_names_its_members_as_ever(kitchen):
    result = group(kitchen.add.s(1), kitchen.add.s(2)).apply(task_id="many")

    assert [member.id for member in result] == [derive("many", "0"), derive("many", "1")]
