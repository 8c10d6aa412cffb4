"""The kit for users' tests: a world in memory for an app, in which time passes when a test says so, and things go wrong when it says so."""

from __future__ import annotations

import asyncio
import time
import unittest
from datetime import UTC, datetime, timedelta

import pytest
from backbeat.canvas import App, chain, chord, group
from backbeat.canvas.errors import (
    EncodeError,
    ImproperlyConfigured,
    NotRegistered,
    Reject,
    TimeoutError,  # noqa: A004 - its name
    Unavailable,
    WorkerLostError,
)
from backbeat.canvas.stage import Endless
from backbeat.canvas.testing import Stuck, in_memory

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Refused(Exception):
    """What the shop's bank says."""


class Shop:
    """A project: its app names a broker that is not there."""

    def __init__(self):
        self.app = App(
            "shop", broker="amqp://nowhere.invalid", backend="redis://nowhere.invalid", set_as_current=False
        )
        self.log = []
        app, log = self.app, self.log

        @app.task(name="shop.ship", queue="parcels")
        def ship(order, *, fast=False):
            log.append(("ship", order, fast))
            return order

        @app.task(name="shop.total")
        def total(numbers):
            return sum(numbers)

        @app.task(name="shop.pay", bind=True, max_retries=10)
        def pay(task, order, bad=0):
            log.append(("pay", order, task.request.retries))
            if task.request.retries < bad:
                raise task.retry(countdown=60 * 2**task.request.retries)
            return order

        @app.task(name="shop.remind")
        def remind(order):
            log.append(("remind", order))
            return order

        @app.task(
            name="shop.fetch", autoretry_for=(OSError,), max_retries=3, retry_backoff=10, retry_jitter=False
        )
        def fetch():
            log.append("fetch")
            return "page"

        self.ship, self.total, self.pay, self.remind, self.fetch = ship, total, pay, remind, fetch


@pytest.fixture
def shop():
    return Shop()


@pytest.fixture
def world(shop):
    with in_memory(shop.app, at=START) as world:
        yield world


# --- the app in the world ----------------------------------------------------------------------------------------------------


def test_what_the_code_under_test_sends_waits_until_the_test_lets_it_run(shop, world):
    result = shop.ship.delay(7)

    assert (shop.log, result.state, world.waiting) == ([], "PENDING", 1)
    assert world.drain() == 1
    assert (shop.log, result.get(), world.waiting) == ([("ship", 7, False)], 7, 0)


def test_the_app_is_as_it_was_afterwards(shop):
    shop.app.conf.task_always_eager = True
    with in_memory(shop.app, task_ignore_result=True):
        assert shop.app.conf.broker_url == "memory://"
        assert shop.app.conf.task_ignore_result
        shop.app.conf.task_default_queue = "other"
        assert shop.ship.delay(1).ready() is False

    conf = shop.app.conf
    assert (conf.broker_url, conf.result_backend) == ("amqp://nowhere.invalid", "redis://nowhere.invalid")
    assert (conf.task_always_eager, conf.task_ignore_result, conf.task_default_queue) == (
        True,
        False,
        "celery",
    )


def test_afterwards_it_is_sent_where_it_was_sent_before():
    app = App("plain", broker="memory://afterwards", set_as_current=False)
    app.task(name="one")(lambda: 1)
    before = app.send_task("one")
    with in_memory(app) as world:
        app.send_task("one")
    after = app.send_task("one")

    assert len(world.sent) == 1
    assert [app.AsyncResult(each.id).exists() for each in (before, after)] == [True, True]
    assert not app.AsyncResult(world.sent[0].id).exists()


def test_worlds_know_nothing_of_each_other(shop):
    with in_memory(shop.app) as first:
        shop.ship.delay(1)
    with in_memory(shop.app) as second:
        assert (second.drain(), second.sent) == (0, [])
    assert len(first.sent) == 1


def test_the_app_is_as_it_was_after_an_error_too(shop):
    with pytest.raises(KeyError), in_memory(shop.app):
        raise KeyError
    assert shop.app.conf.broker_url == "amqp://nowhere.invalid"


def test_a_whole_canvas_runs(shop, world):
    flow = chain(shop.ship.s(1), group(shop.remind.s(), shop.ship.s()), shop.total.s())

    result = flow.delay()
    world.drain()

    assert result.get() == 2


def test_a_drain_that_has_no_end_is_told_of(shop, world):
    @shop.app.task(name="shop.again")
    def again():
        again.delay()

    again.delay()
    with pytest.raises(Endless, match="50 messages were run, and there are more"):
        world.drain(most=50)


def test_as_many_as_there_may_be_are_not_too_many(shop, world):
    for order in range(5):
        shop.ship.delay(order)

    assert world.drain(most=5) == 5


def test_who_waits_lets_the_workers_work(shop, world):
    assert shop.ship.delay(3).get(timeout=5) == 3
    assert chord([shop.ship.s(1), shop.ship.s(2)], shop.total.s()).delay().get() == 3
    assert world.now == START


def test_who_waits_waits_in_the_world_s_time(shop, world):
    result = shop.pay.delay(1, bad=3)

    with pytest.raises(TimeoutError):
        result.get(timeout=100)
    assert world.now == START + timedelta(seconds=100)
    assert result.get() == 1
    assert world.now == START + timedelta(seconds=60 + 120 + 240)


def test_who_would_wait_for_ever_is_told(shop, world):
    with world.broker_down(), pytest.raises(Unavailable):
        shop.ship.delay(1)
    sent = shop.ship.delay(1)
    several = chain(shop.ship.s(1), group(shop.ship.si(2), shop.ship.si(3))).delay()
    with world.broker_down():
        with pytest.raises(Stuck, match=sent.id):
            sent.get()
        with pytest.raises(Stuck, match=several[0].id):
            several.get()
        with pytest.raises(Stuck, match=several[0].id):
            next(several.iterate())


def test_who_waits_for_several_or_in_a_coroutine_waits_in_the_world_s_time_too(shop, world):
    paid = group(shop.pay.s(1, bad=2), shop.pay.s(2), shop.pay.s(3, bad=10)).delay()

    async def main():
        sent = await shop.pay.adelay(4, bad=3)
        with pytest.raises(TimeoutError):
            await sent.aget(timeout=60)
        return await sent.aget()

    with pytest.raises(TimeoutError):
        paid.get(timeout=timedelta(hours=1))
    assert world.now == START + timedelta(hours=1)
    values = paid.iterate(timeout=60)
    assert {next(values), next(values)} == {1, 2}
    with pytest.raises(TimeoutError):
        next(values)
    assert asyncio.run(main()) == 4
    assert paid.get() == [1, 2, 3]
    assert world.now == START + timedelta(seconds=60 * (2**10 - 1))


def test_it_works_in_unittest():
    shop = Shop()

    class Case(unittest.TestCase):
        def setUp(self):
            self.world = self.enterContext(in_memory(shop.app))

        def test_it(self):
            shop.ship.delay(1)
            self.world.assert_sent("shop.ship")
            assert self.world.drain() == 1

    outcome = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Case).run(outcome)

    assert (outcome.testsRun, outcome.failures, outcome.errors) == (1, [], [])
    assert shop.app.conf.broker_url == "amqp://nowhere.invalid"


# --- time --------------------------------------------------------------------------------------------------------------------


def test_nothing_runs_before_its_time_and_everything_at_its_own(shop, world):
    at = []
    shop.app.task(name="shop.when")(lambda: at.append(world.now))
    for hours in (3, 1, 2):
        shop.app.send_task("shop.when", countdown=3600 * hours)

    assert world.drain() == 0
    assert world.advance("59m") == 0
    assert world.advance("1m") == 1
    assert world.advance("1d") == 2
    assert at == [START + timedelta(hours=hours) for hours in (1, 2, 3)]
    assert world.now == START + timedelta(days=1, hours=1)


def test_a_week_of_retries_takes_no_time(shop, world):
    runs = []

    @shop.app.task(name="shop.patient", bind=True, max_retries=10)
    def patient(task):
        runs.append(world.now)
        if task.request.retries < 10:
            raise task.retry(countdown=590 * 2**task.request.retries)
        return "at last"

    result = patient.delay()
    begun = time.perf_counter()

    world.advance("7d")

    assert (result.state, len(runs)) == ("SUCCESS", 11)
    assert timedelta(days=6.9) < runs[-1] - START < timedelta(days=7)
    assert time.perf_counter() - begun < 1.0  # some 6 ms; the bound is for a machine that is busy


def test_drain_until_idle_runs_what_waits_for_its_time_too(shop, world):
    result = shop.pay.delay(1, bad=2)

    assert world.drain() == 1
    assert world.drain(until_idle=True) == 2
    assert (result.get(), world.now) == (1, START + timedelta(seconds=180))


@pytest.mark.parametrize(
    ("length", "seconds"),
    [
        ("7d", 604_800),
        ("1d 2h", 93_600),
        ("250ms", 0.25),
        (90, 90),
        (timedelta(minutes=2), 120),
        ("1h30m", 5_400),
    ],
)
def test_lengths_of_time(world, length, seconds):
    world.advance(length)

    assert (world.now - START).total_seconds() == seconds


@pytest.mark.parametrize("length", ["", "soon", "-1h", 0, -5, timedelta(0), True, None])
def test_what_is_no_length_of_time_is_refused(world, length):
    with pytest.raises(ValueError, match="is not a length of time"):
        world.advance(length)


def test_what_expires_is_not_run(shop, world):
    result = shop.ship.apply_async((1,), countdown=60, expires=30)

    world.advance("1h")

    assert (result.state, shop.log) == ("REVOKED", [])


def test_a_start_needs_a_zone(shop):
    with pytest.raises(ValueError, match="no time zone"), in_memory(shop.app, at=datetime(2026, 1, 1)):
        pass
    with in_memory(shop.app, at="2026-03-29T00:30:00+01:00") as world:
        assert world.now == datetime(2026, 3, 28, 23, 30, tzinfo=UTC)


# --- what was sent -----------------------------------------------------------------------------------------------------------


def test_what_was_sent_is_there_to_look_at(shop, world):
    shop.ship.apply_async((7,), {"fast": True}, countdown=60, priority=3, headers={"tenant": "a"})
    (sent,) = world.sent

    assert (sent.task, sent.args, sent.kwargs, sent.queue) == ("shop.ship", [7], {"fast": True}, "parcels")
    assert (sent.countdown, sent.eta, sent.sent_at) == (60.0, START + timedelta(seconds=60), START)
    assert (sent.priority, sent.headers["tenant"], sent.root_id) == (3, "a", sent.id)


def test_assert_sent_looks_at_what_it_is_told_to(shop, world):
    shop.ship.apply_async((7,), {"fast": True}, countdown=60)

    world.assert_sent(shop.ship)
    world.assert_sent("shop.ship", [7], {"fast": True}, queue="parcels", countdown=timedelta(minutes=1))
    world.assert_sent(shop.ship, args=(7,), eta=START + timedelta(seconds=60))
    world.assert_not_sent(shop.ship, args=[8])
    world.assert_not_sent(shop.remind)


def test_assert_sent_compares_what_has_been_through_json(shop, world):
    shop.remind.delay({1: START})

    world.assert_sent(shop.remind, [{1: START}])
    with pytest.raises(EncodeError):
        world.assert_sent(shop.remind, [object()])


def test_assert_sent_returns_what_it_found(shop, world):
    result = shop.ship.delay(1)

    assert [each.id for each in world.assert_sent(shop.ship)] == [result.id]


def test_a_failed_assertion_shows_what_is_different_and_what_else_was_sent(shop, world):
    shop.ship.delay(7)
    shop.remind.delay(9)

    with pytest.raises(AssertionError) as failed:
        world.assert_sent(shop.ship, [8], queue="slow")

    text = str(failed.value)
    assert "shop.ship with args=[8], queue='slow' was sent never, not once" in text
    assert "shop.ship(7) to 'parcels': args is [7], not [8]; queue is 'parcels', not 'slow'" in text
    assert "shop.remind(9) to 'celery'" in text


@pytest.mark.parametrize(("times", "text"), [(1, "twice, not once"), (3, "twice, not 3 times")])
def test_too_often_or_too_seldom_is_a_failure(shop, world, times, text):
    shop.ship.delay(1)
    shop.ship.delay(1)

    world.assert_sent(shop.ship, times=2)
    world.assert_sent(shop.ship, times=None)
    with pytest.raises(AssertionError, match=text):
        world.assert_sent(shop.ship, times=times)
    with pytest.raises(AssertionError, match="twice, not never"):
        world.assert_not_sent(shop.ship)


def test_a_misspelt_name_gets_a_suggestion(shop, world):
    shop.ship.delay(1)

    with pytest.raises(AssertionError, match=r"did you mean 'shop.ship'\?"):
        world.assert_sent("shop.shi")
    with pytest.raises(TypeError, match="a task or its name"):
        world.assert_sent(shop.ship.s(1).args)


def test_nothing_sent_is_said_so(world):
    with pytest.raises(AssertionError, match="nothing was sent at all"):
        world.assert_sent("shop.ship")


def test_steps_and_callbacks_are_sent_when_it_is_their_turn(shop, world):
    (shop.ship.s(1) | shop.remind.s()).apply_async(link=shop.total.si([1]))

    world.assert_not_sent(shop.remind)
    world.drain()
    assert [each.task for each in world.sent] == ["shop.ship", "shop.remind", "shop.total"]
    world.assert_sent(shop.remind, [1])


def test_another_attempt_is_not_sent_again(shop, world):
    shop.pay.delay(1, bad=3)
    world.advance("1d")

    world.assert_sent(shop.pay)
    world.forget_sent()
    world.assert_not_sent(shop.pay)


# --- faults ------------------------------------------------------------------------------------------------------------------


def test_a_run_that_shall_fail_fails_as_the_task_says(shop, world):
    world.fail(shop.fetch, OSError("down"), times=2)
    result = shop.fetch.delay()

    world.drain()
    assert (result.state, shop.log) == ("RETRY", [])
    world.advance("10s")
    world.advance("20s")

    assert (result.get(), result.retries, shop.log) == ("page", 2, ["fetch"])


def test_what_is_not_retried_fails_with_that_exception(shop, world):
    world.fail("shop.ship", Refused)
    result = shop.ship.delay(1)
    world.drain()

    with pytest.raises(Refused):
        result.get()
    assert shop.ship.delay(2).get() == 2


def test_a_bound_task_fails_too(shop, world):
    world.fail(shop.pay, Refused("no"))

    assert isinstance(shop.pay.delay(1).get(propagate=False), Refused)


def test_a_worker_that_dies_while_it_runs_a_task_leaves_it_to_another(shop, world):
    world.kill_worker_on(shop.ship)
    result = shop.ship.delay(1)
    world.drain()

    assert (result.get(), shop.log) == (1, [("ship", 1, False)])


def test_a_worker_that_dies_after_the_last_line_has_it_run_twice(shop, world):
    world.kill_worker_on(shop.ship, when="end")
    result = shop.ship.delay(1)
    world.drain()

    assert (result.get(), shop.log) == (1, [("ship", 1, False)] * 2)


def test_a_task_that_kills_its_worker_three_times_is_given_up(shop, world):
    world.kill_worker_on(shop.ship, times=3)
    result = (shop.ship.s(1) | shop.remind.s()).delay()
    world.drain()

    assert (result.parent.state, result.state, shop.log) == ("FAILURE", "FAILURE", [])
    with pytest.raises(WorkerLostError):
        result.get()
    assert len(world.dead_letters) == 1


def test_what_no_worker_could_run_is_a_dead_letter(shop, world):
    @shop.app.task(name="shop.refuses")
    def refuses():
        raise Reject("not for me")

    result = refuses.delay()
    world.drain()

    assert (result.state, [letter.letter.reason for letter in world.dead_letters]) == (
        "REJECTED",
        ["the task rejected its message: not for me"],
    )


def test_the_settings_of_the_app_hold_in_its_world(shop):
    with in_memory(shop.app, result_max_bytes=10, task_max_lost=1) as world:
        assert shop.ship.delay("x" * 20).get(propagate=False).args[0].startswith("the result has")
        world.kill_worker_on(shop.ship)
        with pytest.raises(WorkerLostError):
            shop.ship.delay(1).get()


def test_messages_are_signed_where_the_app_has_keys(shop):
    with in_memory(shop.app, security_keys={"shop": "s" * 40}) as world:
        result = (shop.ship.s(1) | shop.remind.s()).delay()

        assert result.get() == 1
        world.assert_sent(shop.ship, [1])
        world.assert_sent(shop.remind, [1])


def test_a_task_that_was_acknowledged_early_is_not_run_again(shop, world):
    shop.app.task(name="shop.once", acks_late=False)(lambda: 1)
    world.kill_worker_on("shop.once")
    result = shop.app.send_task("shop.once")
    world.drain()

    with pytest.raises(WorkerLostError):
        result.get()


def test_a_message_that_comes_twice_is_run_once(shop, world):
    world.duplicate(shop.ship)
    result = (shop.ship.s(1) | shop.remind.s()).delay()

    assert world.waiting == 2
    world.drain()

    assert (result.get(), shop.log) == (1, [("ship", 1, False), ("remind", 1)])
    world.assert_sent(shop.ship)
    shop.ship.delay(2)
    assert world.waiting == 1  # and only this once


def test_while_the_broker_is_down_nothing_is_sent_and_nothing_is_run(shop, world):
    result = shop.ship.delay(1)
    with world.broker_down():
        with pytest.raises(Unavailable, match="the test has switched it off"):
            shop.ship.delay(2)
        assert (world.drain(), world.advance("1h")) == (0, 0)
    world.drain()

    assert (result.get(), shop.log) == (1, [("ship", 1, False)])


def test_what_cannot_be_meant_is_refused(shop, world):
    with pytest.raises(NotRegistered, match=r"did you mean 'shop.ship'\?"):
        world.fail("shop.shipp", Refused)
    with pytest.raises(TypeError, match="an exception"):
        world.fail(shop.ship, "Refused")
    with pytest.raises(ValueError, match="times"):
        world.kill_worker_on(shop.ship, times=0)
    with pytest.raises(ValueError, match="'start' or 'end'"):
        world.kill_worker_on(shop.ship, when="middle")
    with pytest.raises(ImproperlyConfigured), in_memory(shop.app, no_such_setting=1):
        pass
