"""A process that has more than 1,024 descriptors open: workers, pools and clocks in it go on as in any other."""

from __future__ import annotations

import os

import pytest
from backbeat.canvas import App
from backbeat.canvas.clock import SystemClock
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.commit.memory import MemoryCommit
from backbeat.canvas.commit.memory_results import MemoryResults
from backbeat.canvas.commit.memory_store import MemoryStore
from backbeat.canvas.connections import Connections
from backbeat.canvas.perform import Performer
from backbeat.canvas.pools.processes import ProcessPool
from backbeat.canvas.pools.runner import RunnerSpec
from backbeat.canvas.worker.listener import LogListener
from backbeat.canvas.worker.worker import Worker
from backbeat.scheduler.clock import SystemClock as BeatClock

from support.pool_jobs import SECONDS


@pytest.fixture
def _many_descriptors():
    """All numbers that select(2) could watch are taken."""
    opened = [os.open(os.devnull, os.O_RDONLY)]
    while opened[-1] < 1_100:
        opened.append(os.dup(opened[0]))
    yield
    for each in opened:
        os.close(each)


@pytest.mark.usefixtures("_many_descriptors")
def test_the_clock_of_a_beat_wakes():
    clock = BeatClock()
    clock.wake()

    assert clock.wait(SECONDS)
    assert not clock.wait(0)
    assert not clock.wait(-1)
    clock.close()


class StopAfter(LogListener):
    """Stops its worker when so many tasks have ended."""

    def __init__(self, count):
        super().__init__()
        self.left, self.worker = count, None

    def applied(self, transition, seconds):
        super().applied(transition, seconds)
        self.left -= 1
        if not self.left:
            self.worker.stop()


@pytest.mark.usefixtures("_many_descriptors")
def test_a_worker_with_child_processes_works_and_stops():
    store = MemoryStore()
    app = App("many", broker="memory://many", set_as_current=False)
    app._connections = Connections(lambda: MemoryCommit(store, worker="client"), lambda: MemoryResults(store))
    commit = MemoryCommit(store, worker="w1", queues=["celery"])
    performer = Performer(commit, app.results, now_us=SystemClock().now_us)
    runner = RunnerSpec("backbeat.canvas.pools.child:make_runner", RUNNER)
    listener = StopAfter(3)
    worker = listener.worker = Worker(commit, performer, ProcessPool(1, runner), listener, Limits())
    handles = [app.send_task("support.acceptance_tasks.add", [n, 1]) for n in range(3)]

    worker.run()

    assert [handle.get(timeout=0) for handle in handles] == [1, 2, 3]


RUNNER = ("support.acceptance_tasks", "celery@test", "memory://", None, None, None, "WARNING")
