"""When the listener of a worker hears that a task is stored: at the next exchange, or before the worker waits for anything."""

from __future__ import annotations

import pytest
from backbeat.canvas import App
from backbeat.canvas.clock import SystemClock
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.commit.memory import MemoryCommit
from backbeat.canvas.commit.memory_results import MemoryResults
from backbeat.canvas.commit.memory_store import MemoryStore
from backbeat.canvas.perform import Performer
from backbeat.canvas.pools.child import run_job
from backbeat.canvas.pools.solo import SoloPool
from backbeat.canvas.worker.listener import LogListener
from backbeat.canvas.worker.worker import Worker

from support.eager import connect
from support.processes import wait_until
from support.worker_thread import WorkerThread


class Hears(LogListener):
    """Keeps the ids of what is stored, and raises after the first one, if it shall."""

    def __init__(self, fault=None):
        self.ids, self._fault = [], fault

    def applied(self, transition, seconds):
        self.ids.append(transition.message.id)
        if self._fault is not None:
            raise self._fault


class Fleet(WorkerThread):
    """A worker that runs tasks in its own thread, over a store in memory."""

    def __init__(self, listener):
        store = MemoryStore()
        self.app = App("hears", broker="memory://hears", set_as_current=False)
        connect(self.app, lambda: MemoryCommit(store, worker="client"), lambda: MemoryResults(store))
        self.app.task(name="quick")(lambda value: value)
        commit = MemoryCommit(store, worker="w1", queues=["celery"])
        performer = Performer(commit, self.app.results, now_us=SystemClock().now_us)
        pool = SoloPool(lambda job, limit: run_job(job, self.app.tasks, "celery@test", limit))
        worker = Worker(commit, performer, pool, listener, Limits(lease_seconds=10), runs_tasks_in_loop=True)
        super().__init__(worker, self._run)
        self.error = None

    def _run(self):
        try:
            self.worker.run()
        except ZeroDivisionError as error:
            self.error = error

    def send(self, value):
        return self.app.send_task("quick", [value])


@pytest.fixture
def new_fleet():
    opened = []

    def new(listener):
        opened.append(Fleet(listener))
        return opened[-1]

    yield new
    for fleet in opened:
        fleet.close()


def test_of_the_last_task_it_hears_before_the_worker_waits(new_fleet):
    heard = Hears()
    fleet = new_fleet(heard)
    handles = [fleet.send(number) for number in range(5)]
    fleet.thread.start()

    wait_until(lambda: len(heard.ids) == len(handles), 10)

    assert heard.ids == [handle.id for handle in handles]


def test_of_the_last_task_it_hears_before_the_worker_ends(new_fleet):
    heard = Hears()
    fleet = new_fleet(heard)
    handles = [fleet.send(number) for number in range(50)]
    fleet.thread.start()
    wait_until(lambda: heard.ids, 10)

    fleet.close()

    assert set(heard.ids) == {handle.id for handle in handles if handle.ready()}


def test_a_listener_that_raises_ends_the_worker_and_no_task_fails_for_it(new_fleet):
    fleet = new_fleet(Hears(ZeroDivisionError()))
    handles = [fleet.send(number) for number in range(50)]
    fleet.thread.start()

    fleet.thread.join(20)

    assert isinstance(fleet.error, ZeroDivisionError)
    assert {handle.state for handle in handles} <= {"SUCCESS", "PENDING", "STARTED"}
    assert handles[0].get(timeout=0) == 0
