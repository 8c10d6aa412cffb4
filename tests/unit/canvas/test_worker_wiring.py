"""What a worker is started with: what cannot be meant is refused before anything is opened, let alone forked."""

from __future__ import annotations

import os

import pytest
from backbeat.canvas import App
from backbeat.canvas.errors import ImproperlyConfigured
from backbeat.canvas.pools.wiring import size_of
from backbeat.canvas.worker.wiring import (
    WorkerOptions,
    concurrency_of,
    grace_of,
    prefetch_of,
    queues_of,
)


@pytest.fixture
def app():
    return App("a", broker="memory://", set_as_current=False)


# --- how many ------------------------------------------------------------------------------------------------------------------


def test_without_a_word_there_is_one_task_for_each_processor(app):
    assert concurrency_of(app, WorkerOptions()) == os.cpu_count()


def test_the_command_line_goes_before_the_setting(app):
    app.conf.worker_concurrency = 3

    assert concurrency_of(app, WorkerOptions()) == 3
    assert concurrency_of(app, WorkerOptions(concurrency=5)) == 5


@pytest.mark.parametrize("value", [0, -1, float("nan"), 1.5, True, "4", 10**9])
@pytest.mark.parametrize("pool", ["processes", "prefork", "threads", "asyncio", "gevent", "eventlet"])
def test_a_number_of_tasks_that_cannot_be_is_refused(app, pool, value):
    with pytest.raises(
        ImproperlyConfigured, match=r"the concurrency of pool .* must be a whole number from 1 to"
    ):
        concurrency_of(app, WorkerOptions(pool=pool, concurrency=value))


@pytest.mark.parametrize(
    ("pool", "most"),
    [("processes", 1_000), ("prefork", 1_000), ("threads", 10_000), ("asyncio", 10_000), ("gevent", 10_000)],
)
def test_each_pool_has_a_size_beyond_which_a_machine_falls_over(pool, most):
    assert size_of(pool, most) == most
    with pytest.raises(
        ImproperlyConfigured, match=rf"\(-c, worker_concurrency\).* to {most:,}, found {most + 1}"
    ):
        size_of(pool, most + 1)


def test_the_setting_is_bound_by_the_pool_too(app):
    app.conf.worker_concurrency = 5_000

    assert concurrency_of(app, WorkerOptions(pool="threads")) == 5_000
    with pytest.raises(ImproperlyConfigured, match=r"pool processes .* to 1,000, found 5000"):
        concurrency_of(app, WorkerOptions())


def test_solo_runs_one_task_whatever_the_setting_says_of_other_pools(app):
    app.conf.worker_concurrency = 8

    assert concurrency_of(app, WorkerOptions(pool="solo")) == 1
    assert prefetch_of(app, WorkerOptions(pool="solo")) == 1
    assert concurrency_of(app, WorkerOptions(pool="solo", concurrency=1)) == 1


def test_more_than_one_task_is_not_asked_of_solo(app):
    with pytest.raises(
        ImproperlyConfigured, match=r"-c 2 cannot be: pool solo runs one task at a time. Use -P"
    ):
        concurrency_of(app, WorkerOptions(pool="solo", concurrency=2))


def test_a_pool_that_is_not_known_is_refused(app):
    app.conf.worker_pool = "green"

    with pytest.raises(
        ImproperlyConfigured, match="there is no pool 'green'; choose one of processes, threads, solo"
    ):
        concurrency_of(app, WorkerOptions())


def test_what_is_sent_ahead_is_what_a_broker_can_be_told(app):
    app.conf.worker_prefetch_multiplier = 20_000

    assert prefetch_of(app, WorkerOptions(concurrency=3)) == 60_000
    with pytest.raises(
        ImproperlyConfigured, match=r"worker_prefetch_multiplier = 20000 is too much.* 80,000 .*Write 0"
    ):
        prefetch_of(app, WorkerOptions(concurrency=4))
    app.conf.worker_prefetch_multiplier = 0
    assert prefetch_of(app, WorkerOptions(concurrency=4)) == 0


# --- the rest ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "5", True])
def test_a_grace_that_cannot_be_is_refused(app, value):
    with pytest.raises(ImproperlyConfigured, match="--grace must be seconds from 0 to a century"):
        grace_of(app, WorkerOptions(grace=value))


def test_a_grace_may_be_none_at_all(app):
    assert (grace_of(app, WorkerOptions()), grace_of(app, WorkerOptions(grace=0))) == (600, 0)


def test_queues_are_those_asked_for_and_the_one_for_joins(app):
    assert queues_of(app, WorkerOptions()) == ["celery", "backbeat"]
    assert queues_of(app, WorkerOptions(queues=["a", "b", "a"])) == ["a", "b", "backbeat"]
    assert queues_of(app, WorkerOptions(queues=["a", "b"], excluded=["a"])) == ["b", "backbeat"]


@pytest.mark.parametrize("name", ["", "a\nb", "q" * 256])
def test_a_name_that_no_queue_can_have_is_refused(app, name):
    with pytest.raises(ImproperlyConfigured, match=r"the name of a queue \(-Q\) must be a printable text"):
        queues_of(app, WorkerOptions(queues=["a", name]))


@pytest.mark.parametrize(
    ("excluded", "text"),
    [
        ("c", "queue 'c' cannot be excluded: it would not be served anyway, but a, b"),
        ("backbeat", "queue 'backbeat' cannot be excluded: every worker serves it"),
    ],
)
def test_a_queue_that_is_excluded_would_have_been_served(app, excluded, text):
    with pytest.raises(ImproperlyConfigured, match=text):
        queues_of(app, WorkerOptions(queues=["a", "b"], excluded=[excluded]))


def test_not_all_queues_are_excluded(app):
    with pytest.raises(ImproperlyConfigured, match="every queue is excluded"):
        queues_of(app, WorkerOptions(queues=["a"], excluded=["a"]))


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 256])
def test_a_node_without_a_name_is_refused(name):
    with pytest.raises(ImproperlyConfigured, match=r"the node name \(-n\) must be a printable text"):
        _ = WorkerOptions(name=name).hostname


@pytest.mark.parametrize("scheme", ["amqp", "amqps", "pyamqp", "AMQP"])
def test_a_queue_that_is_rabbitmq_s_own_is_not_served(app, scheme):
    app.conf.broker_url = f"{scheme}://nowhere.invalid"

    with pytest.raises(
        ImproperlyConfigured,
        match=r"'amq\.x' cannot be: queue names that begin with amq\. are RabbitMQ's own",
    ):
        queues_of(app, WorkerOptions(queues=["a", "amq.x"]))


def test_on_another_broker_a_queue_may_have_such_a_name(app):
    assert "amq.x" in queues_of(app, WorkerOptions(queues=["amq.x"]))


@pytest.mark.parametrize("pool", ["asyncio", "gevent", "eventlet"])
def test_a_pool_of_tasks_that_wait_has_a_hundred_of_them_where_nobody_says(app, pool):
    assert concurrency_of(app, WorkerOptions(pool=pool)) == 100
    app.conf.worker_concurrency = 7
    assert concurrency_of(app, WorkerOptions(pool=pool)) == 7


# --- autoscale -------------------------------------------------------------------------------------------------------------------


def test_a_pool_that_sizes_itself_begins_small_and_has_enough_sent_ahead_for_its_largest_size(app):
    options = WorkerOptions(autoscale=(10, 3))

    assert concurrency_of(app, options) == 3
    assert prefetch_of(app, options) == 10
    assert concurrency_of(app, WorkerOptions(autoscale=(10, 3), concurrency=6)) == 6
    assert concurrency_of(app, WorkerOptions(autoscale=(10, 3), concurrency=60)) == 10


def test_bounds_beyond_what_the_pool_can_be_are_refused(app):
    with pytest.raises(ImproperlyConfigured, match=r"pool processes .* to 1,000, found 2000"):
        concurrency_of(app, WorkerOptions(autoscale=(2_000, 3)))
    with pytest.raises(ImproperlyConfigured, match=r"--autoscale 2,1 cannot be: pool solo"):
        concurrency_of(app, WorkerOptions(autoscale=(2, 1), pool="solo"))
