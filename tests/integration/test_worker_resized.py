"""A worker whose pool is resized and restarted from another thread while it runs tasks: more of them run at once, and none is lost."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import pytest
from backbeat.canvas import App
from backbeat.canvas.worker.listener import LogListener
from backbeat.canvas.worker.wiring import WorkerOptions, open_worker

from support.journal import read_events
from support.processes import wait_until

SECONDS = 60.0
TASKS = "support.acceptance_tasks"


@contextmanager
def working(app, **options):
    """A worker in a thread of this process."""
    worker = open_worker(app, f"{TASKS}:app", WorkerOptions(name="resized@here", **options), LogListener())
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        worker.stop()
        thread.join(SECONDS)
    assert not thread.is_alive()


@pytest.fixture(params=["sqlite", "rabbitmq"])
def app(request, tmp_path):
    backend = f"sqlite:///{tmp_path}/resized.db"
    broker = backend if request.param == "sqlite" else request.getfixturevalue("amqp_url")
    app = App("resized", broker=broker, backend=backend, set_as_current=False)
    yield app
    app.close()


@pytest.mark.parametrize("pool", ["processes", "threads", "asyncio"])
def test_a_worker_that_grows_takes_more_and_one_that_shrinks_less(app, tmp_path, pool):
    log, gate = tmp_path / "log", tmp_path / "gate"
    with working(app, concurrency=1, pool=pool) as worker:
        handles = [app.send_task(f"{TASKS}.wait_at_gate", [str(log), str(gate)]) for _ in range(5)]
        wait_until(lambda: len(read_events(log, "started")) == 1)

        worker.sizing.grow(2)
        wait_until(lambda: len(read_events(log, "started")) == 3)
        worker.sizing.shrink(2)
        wait_until(lambda: worker._pool.size == 1)
        assert worker.busy == 3
        gate.touch()

        assert [handle.get(timeout=SECONDS) for handle in handles] == ["done"] * 5
    assert len(read_events(log, "started")) == 5


def test_tasks_that_are_sent_while_the_processes_are_replaced_all_run_once(app, tmp_path):
    log = tmp_path / "log"
    with working(app, concurrency=2) as worker:
        handles = []
        for n in range(200):
            handles.append(app.send_task(f"{TASKS}.note_value", [n, str(log)]))
            if n % 50 == 25:
                worker.sizing.restart()
        values = [handle.get(timeout=SECONDS) for handle in handles]

    assert values == list(range(200))
    assert sorted(line["value"] for line in read_events(log, "came")) == list(range(200))


def test_a_worker_that_is_told_to_sizes_its_pool_itself(app, tmp_path):
    log, gate = tmp_path / "log", tmp_path / "gate"
    with working(app, concurrency=1) as worker:
        worker.sizing.autoscale(3, 1)
        handles = [app.send_task(f"{TASKS}.wait_at_gate", [str(log), str(gate)]) for _ in range(5)]

        wait_until(lambda: len(read_events(log, "started")) == 3)
        assert worker.sizing.size == 3
        gate.touch()
        assert [handle.get(timeout=SECONDS) for handle in handles] == ["done"] * 5
