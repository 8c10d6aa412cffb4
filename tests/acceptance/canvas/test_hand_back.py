"""RabbitMQ sends messages ahead. Those behind a long task, and those of a worker that stops, are run by another one meanwhile."""

from __future__ import annotations

import signal
import time

import pytest
from backbeat.canvas import App

from support import servers
from support.acceptance_tasks import NAME as TASKS
from support.journal import read_events
from support.processes import percentiles, wait_until
from support.stacks import own_redis_database

QUICK = 40
"""More than what is sent ahead to both workers together."""
WITHIN = 5.0
"""Half a second is what it takes on a machine that has nothing else to do; the gate stays closed for minutes."""


@pytest.fixture(params=["rabbitmq", "rabbitmq+redis"])
def urls(request):
    """Broker and result backend, which may be none."""
    with servers.own_vhost() as broker:
        if request.param == "rabbitmq":
            yield broker, None
        else:
            with own_redis_database() as backend:
                yield broker, backend


@pytest.fixture
def app(urls):
    broker, backend = urls
    with App("acceptance", broker=broker, backend=backend, set_as_current=False) as opened:
        yield opened


@pytest.fixture
def start_worker(programs, urls):
    broker, backend = urls
    where = ["-b", broker, *(["--result-backend", backend] if backend else [])]

    def start(concurrency, pool="processes"):
        options = ["-P", pool, "-c", concurrency, "-Q", "a,b", "--grace", 60]
        worker = programs.start("-A", TASKS, *where, "worker", *options)
        worker.wait_for("ready$")
        return worker

    return start


@pytest.fixture
def begin_long(app, log, gate):
    """Starts a task that lasts until the gate is opened; the worker, of these, that runs it."""

    def begin(workers):
        app.send_task(f"{TASKS}.wait_at_gate", [str(log), str(gate)], queue="a")
        (started,) = wait_until(lambda: read_events(log, "started"), what=lambda: workers[0].text)
        (busy,) = [worker for worker in workers if started["pid"] in worker.processes]
        return busy

    return begin


def run_quick(app, log, *, workers):
    """Send tasks of both queues, and wait until all have run; how long each took."""
    sent = {
        app.send_task(f"{TASKS}.note_time", [str(log)], queue="ab"[n % 2]).id: time.time()
        for n in range(QUICK)
    }

    def ran():
        lines = [line for line in read_events(log, "ran") if line["id"] in sent]
        return lines if len({line["id"] for line in lines}) == QUICK else None

    lines = wait_until(ran, 30, what=lambda: "\n".join(worker.text for worker in workers))
    return [line["at"] - sent[line["id"]] for line in lines], {line["pid"] for line in lines}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("pool", ["processes", "solo"])
def test_what_was_sent_ahead_to_a_worker_with_a_long_task_is_run_by_an_idle_one(
    app, start_worker, begin_long, log, gate, figure, pool
):
    workers = [start_worker(1, pool), start_worker(1, pool)]
    busy = begin_long(workers)

    seconds, pids = run_quick(app, log, workers=workers)

    assert not pids & set(busy.processes)
    assert max(seconds) < WITHIN
    assert not read_events(log, "ended")
    gate.touch()
    wait_until(lambda: read_events(log, "ended"))
    # who was busy works again
    wait_until(lambda: run_quick(app, log, workers=workers)[1] & set(busy.processes))
    figure(f"{pool}: {QUICK} tasks beside a long one: {percentiles(seconds)}")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("urls", ["rabbitmq"], indirect=True)
def test_timers_that_a_worker_without_a_store_holds_keep_nobody_waiting(app, start_worker, log, figure):
    worker = start_worker(1)
    for n in range(200):
        app.send_task(f"{TASKS}.note_time", [str(log)], countdown=600, queue="ab"[n % 2])

    seconds, _ = run_quick(app, log, workers=[worker])

    assert max(seconds) < WITHIN
    assert len(read_events(log, "ran")) == QUICK
    figure(f"{QUICK} tasks behind 200 timers: {percentiles(seconds)}")
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0, worker.text


@pytest.mark.timeout(180)
def test_a_worker_that_stops_keeps_nothing_that_it_will_not_run(
    app, start_worker, begin_long, log, gate, figure
):
    workers = [start_worker(2), start_worker(2)]
    stopping = begin_long(workers)

    stopping.send(signal.SIGTERM)
    seconds, pids = run_quick(app, log, workers=workers)

    assert pids - set(stopping.processes)
    assert stopping.runs
    assert max(seconds) < WITHIN
    assert not read_events(log, "ended")
    gate.touch()
    assert stopping.wait() == 0, stopping.text
    assert "Traceback" not in stopping.text
    figure(f"{QUICK} tasks beside a worker that stops: {percentiles(seconds)}")
