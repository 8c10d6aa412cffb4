"""A worker gives short tasks to its processes some at a time: none waits behind a long one, is lost with another, or starts after it was taken back."""

from __future__ import annotations

import pytest
from backbeat.canvas.clock import SystemClock
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.commit.memory import MemoryCommit
from backbeat.canvas.commit.memory_results import MemoryResults
from backbeat.canvas.commit.memory_store import MemoryStore
from backbeat.canvas.perform import Performer
from backbeat.canvas.pools.processes import ProcessPool
from backbeat.canvas.pools.runner import RunnerSpec
from backbeat.canvas.worker.listener import LogListener
from backbeat.canvas.worker.worker import Worker

from support import batch_app
from support.eager import connect
from support.processes import wait_until
from support.worker_thread import Released, WorkerThread


class Fleet(WorkerThread):
    def __init__(self, slots):
        self.store = store = MemoryStore()
        self.app = batch_app.app
        connect(self.app, lambda: MemoryCommit(store, worker="client"), lambda: MemoryResults(store))
        self.commit = Released(MemoryCommit(store, worker="w1", queues=["celery"]))
        performer = Performer(
            self.commit, self.app.results, now_us=SystemClock().now_us, is_early=self.app.is_early
        )
        self.pool = ProcessPool(slots, RunnerSpec("support.batch_app:make"))
        worker = Worker(
            self.commit, performer, self.pool, LogListener(), Limits(lease_seconds=10), grace_seconds=60
        )
        super().__init__(worker)

    def warm(self):
        """Let the worker learn that tasks are short, so that it takes many."""
        handles = [self.send("quick", n) for n in range(300)]
        assert [handle.get(timeout=30) for handle in handles] == list(range(300))

    def send(self, name, *args):
        return self.app.send_task(name, args)

    def run_of(self, handle):
        return self.store.state.runs[handle.id]


@pytest.fixture
def fleet(request):
    opened = Fleet(request.param)
    opened.thread.start()
    opened.warm()
    yield opened
    opened.close()


one_slot = pytest.mark.parametrize("fleet", [1], indirect=True)
two_slots = pytest.mark.parametrize("fleet", [2], indirect=True)


def arrived(folder):
    wait_until((folder / "stays").exists, 20)


@two_slots
def test_k24_no_short_task_waits_for_a_long_one_while_another_slot_is_free(fleet, tmp_path):
    before = [fleet.send("quick", n) for n in range(50)]
    long = fleet.send("stay", str(tmp_path))
    behind = [fleet.send("quick", n) for n in range(200)]

    assert [handle.get(timeout=20) for handle in (*before, *behind)] == [*range(50), *range(200)]

    assert not long.ready()
    (tmp_path / "go").touch()
    assert long.get(timeout=20)


@one_slot
def test_what_waits_behind_a_long_task_goes_back_for_others(fleet, tmp_path):
    long = fleet.send("stay", str(tmp_path))
    behind = [fleet.send("quick", n) for n in range(20)]
    arrived(tmp_path)
    runs = fleet.store.state.runs

    wait_until(lambda: {getattr(runs.get(h.id), "worker", "") for h in behind} == {""}, 20)

    assert not long.ready()
    assert {run.lost for handle in behind if (run := runs.get(handle.id))} <= {0}
    (tmp_path / "go").touch()
    assert [handle.get(timeout=20) for handle in behind] == list(range(20))


@one_slot
def test_a_process_that_dies_is_counted_against_the_task_that_it_ran_and_no_other(fleet, tmp_path):
    handles = [fleet.send("quick", n) for n in range(10)]
    fatal = fleet.send("die", str(tmp_path))
    behind = [fleet.send("quick", n) for n in range(20)]

    assert [handle.get(timeout=20) for handle in (*handles, *behind)] == [*range(10), *range(20)]
    assert fatal.get(timeout=20) == "again"
    assert [message.task for message, lost in fleet.commit.released if lost] == ["die"]


@one_slot
def test_a_worker_that_stops_hands_back_what_waits_while_its_task_goes_on(fleet, tmp_path):
    long = fleet.send("stay", str(tmp_path))
    behind = [fleet.send("quick", n) for n in range(20)]
    arrived(tmp_path)
    fleet.worker.stop()
    runs = fleet.store.state.runs

    wait_until(lambda: {getattr(runs.get(h.id), "worker", "") for h in behind} == {""}, 20)

    assert fleet.thread.is_alive()
    (tmp_path / "go").touch()
    fleet.thread.join(20)
    assert long.ready()
    assert not any(handle.ready() for handle in behind)


@two_slots
def test_a_task_that_waits_is_terminated_without_a_process(fleet, tmp_path):
    pids = fleet.pool.pids
    long = fleet.send("stay", str(tmp_path))
    victims = [fleet.send("quick", n) for n in range(100)]
    for handle in victims:
        handle.revoke(terminate=True)
    arrived(tmp_path)

    wait_until(lambda: all(handle.ready() for handle in victims), 20)

    assert {handle.state for handle in victims} <= {"SUCCESS", "REVOKED"}
    (tmp_path / "go").touch()
    assert long.get(timeout=20) in pids


@two_slots
def test_a_task_that_is_acknowledged_early_is_so_only_when_it_can_start(fleet, tmp_path):
    stays = [fleet.send("stay", str(tmp_path)) for _ in range(2)]
    handle = fleet.send("early")
    wait_until(lambda: fleet.worker.busy == 2 and (tmp_path / "stays").exists(), 20)
    runs = fleet.store.state.runs

    wait_until(lambda: getattr(runs.get(handle.id), "worker", "") == "", 20)

    assert not handle.ready()
    (tmp_path / "go").touch()
    assert handle.get(timeout=20)
    assert all(stay.get(timeout=20) for stay in stays)


@two_slots
def test_with_a_task_with_which_a_worker_died_nothing_is_held_that_cannot_start(fleet):
    """It may end this worker, too, and what is held then counts against each task that is held."""
    other = MemoryCommit(fleet.store, worker="w0", queues=["celery"])
    real, surplus = fleet.commit._inner.exchange, []

    def exchange(transitions, **known):
        found = real(transitions, **known)
        if any(item.suspect for item in found.taken):
            surplus.append(len(found.taken) - fleet.pool.free)
        return found

    fleet.commit._inner.exchange = exchange
    with fleet.store.changed:  # so that w1 does not come first
        suspect = fleet.send("quick", "suspect")
        taken = other.exchange([], take=1).taken
        behind = [fleet.send("quick", n) for n in range(100)]
        other.release(taken, lost=True)

    assert suspect.get(timeout=20) == "suspect"
    assert [handle.get(timeout=20) for handle in behind] == list(range(100))
    assert [(message.task, lost) for message, lost in fleet.commit.released] == [("quick", False)] * surplus[
        0
    ]
    assert surplus[0] > 0
