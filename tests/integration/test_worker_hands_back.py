"""A worker that holds what it cannot run: it goes back when all slots have been taken for a while, or when it stops; and is asked for again."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

import pytest
from backbeat.canvas import App
from backbeat.canvas.clock import SystemClock
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.commit.memory import MemoryCommit
from backbeat.canvas.commit.memory_results import MemoryResults
from backbeat.canvas.commit.memory_store import MemoryStore
from backbeat.canvas.errors import Unavailable
from backbeat.canvas.perform import Performer
from backbeat.canvas.pools.child import run_job
from backbeat.canvas.pools.solo import SoloPool
from backbeat.canvas.worker.appetite import FULL_SECONDS
from backbeat.canvas.worker.listener import LogListener
from backbeat.canvas.worker.worker import Worker

from support.eager import connect
from support.processes import wait_until
from support.worker_thread import Released, WorkerThread


class Heard(Released):
    """One that notes when it is paused, too, and raises what `faults` holds for a method, one after the other."""

    def __init__(self, inner):
        super().__init__(inner)
        self.paused_at = []
        self.renewed = 0
        self.faults = {}

    def pause(self):
        self.paused_at.append(time.monotonic())
        if self.faults.get("pause"):
            raise self.faults["pause"].pop()
        self._inner.pause()

    def renew(self, held):
        self.renewed += 1
        self._inner.renew(held)


class Slots(SoloPool):
    """`count` slots; a job of task `stay` keeps its own until `let_go`, all others end at once."""

    def __init__(self, runner, count):
        super().__init__(runner)
        self.count, self.held, self.let_go = count, [], threading.Event()

    @property
    def free(self):
        return self.count - len(self.held) if super().free else 0

    def submit(self, jobs):
        for job in jobs:
            if '"task":"stay"' in job.raw.replace(" ", ""):
                self.held.append(job)
            else:
                self._reports.append(self._runner(job, self._limit))
                self._waker.send(b".")

    def collect(self):
        if self.let_go.is_set() and self.held:
            held, self.held = self.held, []
            for job in held:
                self._reports.append(self._runner(job, self._limit))
                self._waker.send(b".")
        return super().collect()


class InLoop(Slots):
    """Runs jobs in `submit`, as solo does; a job of task `stay` then waits there until `let_go`."""

    def submit(self, jobs):
        for job in jobs:
            if '"task":"stay"' in job.raw.replace(" ", ""):
                self.held.append(job)
                self.let_go.wait(20)
                self.held.clear()
            self._reports.append(self._runner(job, self._limit))
            self._waker.send(b".")


class Fleet(WorkerThread):
    def __init__(self, slots, kind=Slots):
        store = MemoryStore()
        self.store = store
        self.app = App("busy", broker="memory://busy", set_as_current=False)
        connect(self.app, lambda: MemoryCommit(store, worker="client"), lambda: MemoryResults(store))
        self.app.task(name="stay")(lambda: None)
        self.app.task(name="quick")(lambda value=None: value)
        self.commit = Heard(MemoryCommit(store, worker="w1", queues=["celery"]))
        performer = Performer(
            self.commit, self.app.results, now_us=SystemClock().now_us, is_early=self.app.is_early
        )
        self.pool = kind(lambda job, limit: run_job(job, self.app.tasks, "celery@test", limit), slots)
        worker = Worker(
            self.commit,
            performer,
            self.pool,
            LogListener(),
            Limits(lease_seconds=1),
            grace_seconds=60,
            runs_tasks_in_loop=kind is InLoop,
        )
        super().__init__(worker)

    def send(self, name, *args):
        return self.app.send_task(name, args)


@pytest.fixture
def fleet(request):
    opened = Fleet(request.param)
    yield opened
    opened.close()


one_slot = pytest.mark.parametrize("fleet", [1], indirect=True)
two_slots = pytest.mark.parametrize("fleet", [2], indirect=True)


@one_slot
def test_nothing_more_is_wanted_once_a_task_has_kept_the_only_slot_for_a_while(fleet):
    fleet.send("stay")
    began = time.monotonic()
    fleet.thread.start()

    wait_until(lambda: fleet.commit.paused_at, 10)

    assert fleet.pool.held
    assert FULL_SECONDS <= fleet.commit.paused_at[0] - began < FULL_SECONDS + 3
    later = fleet.send("quick", 1)
    fleet.pool.let_go.set()
    assert later.get(timeout=20) == 1  # it is asked for again


@two_slots
def test_while_a_slot_is_free_more_is_wanted_however_long_the_other_is_taken(fleet):
    fleet.send("stay")
    fleet.thread.start()
    wait_until(lambda: fleet.pool.held, 10)
    until = time.monotonic() + FULL_SECONDS * 3

    while time.monotonic() < until:
        assert fleet.send("quick", 1).get(timeout=20) == 1

    assert fleet.commit.paused_at == []


@one_slot
def test_short_tasks_one_after_the_other_hand_nothing_back(fleet):
    handles = [fleet.send("quick", n) for n in range(300)]
    fleet.thread.start()

    assert [handle.get(timeout=30) for handle in handles] == list(range(300))
    assert fleet.commit.paused_at == []


@two_slots
def test_a_worker_that_stops_wants_nothing_more_at_once_and_lives_on_for_its_task(fleet):
    fleet.send("stay")
    fleet.thread.start()
    wait_until(lambda: fleet.pool.held, 10)

    fleet.commit.faults["pause"] = [Unavailable("down"), Unavailable("down")]
    stopped_at = time.monotonic()
    fleet.worker.stop()
    wait_until(lambda: fleet.commit.paused_at, 10)
    renewed = fleet.commit.renewed

    assert fleet.commit.paused_at[0] - stopped_at < FULL_SECONDS
    wait_until(lambda: fleet.commit.renewed > renewed + 1, 10)  # what runs is renewed all the same
    assert fleet.thread.is_alive()
    assert not fleet.commit.faults["pause"]


@two_slots
def test_what_was_taken_and_could_not_start_is_handed_back_when_the_worker_stops(fleet):
    fleet.app.task(name="early", acks_late=False)(lambda: None)
    fleet.send("stay")
    fleet.thread.start()
    wait_until(lambda: fleet.pool.held, 10)
    real = fleet.commit._inner.exchange

    def exchange(transitions, **known):
        if any(transition.early is not None for transition in transitions):
            raise Unavailable("down")
        return real(transitions, **known)

    fleet.commit._inner.exchange = exchange
    handle = fleet.send("early")
    wait_until(lambda: getattr(fleet.store.state.runs.get(handle.id), "worker", "") == "w1", 10)

    fleet.worker.stop()

    wait_until(lambda: fleet.store.state.runs[handle.id].worker == "", 10)
    assert fleet.thread.is_alive()
    assert fleet.pool.held


@one_slot
def test_who_has_nothing_to_renew_renews_all_the_same_as_a_commit_may_hold_something_itself(fleet):
    fleet.thread.start()

    wait_until(lambda: fleet.commit.renewed > 2, 10)


@one_slot
def test_what_was_taken_ahead_goes_back_when_a_task_keeps_the_slot(fleet):
    handles = [fleet.send("quick", n) for n in range(100)]
    stay, behind = fleet.send("stay"), [fleet.send("quick", n) for n in range(5)]
    fleet.thread.start()
    wait_until(lambda: fleet.pool.held, 20)
    runs = fleet.store.state.runs
    wait_until(lambda: fleet.commit.released, 10)  # what was taken ahead
    wait_until(lambda: {getattr(runs.get(handle.id), "worker", "") for handle in behind} == {""}, 10)

    assert {message.id for message, _ in fleet.commit.released} & {handle.id for handle in behind}
    assert all(handle.ready() for handle in handles)
    assert not any(handle.ready() for handle in (stay, *behind))
    fleet.pool.let_go.set()
    assert [handle.get(timeout=20) for handle in behind] == list(range(5))


@two_slots
def test_queues_that_were_empty_are_asked_again_only_after_a_wait(fleet):
    """A slot is free all the time; so each task that ends costs one exchange, and not one more that finds nothing."""
    calls, real_exchange, real_wait = [], fleet.commit._inner.exchange, fleet.commit._inner.wait

    def exchange(transitions, **known):
        found = real_exchange(transitions, **known)
        calls.append("empty" if not transitions and not found.taken else "exchange")
        return found

    def wait(*arguments):
        calls.append("wait")
        return real_wait(*arguments)

    fleet.commit._inner.exchange, fleet.commit._inner.wait = exchange, wait
    fleet.thread.start()
    for n in range(20):
        assert fleet.send("quick", n).get(timeout=20) == n

    followed = set(pairwise(calls))
    assert ("exchange", "empty") not in followed
    assert ("empty", "empty") not in followed
    assert calls.count("exchange") >= 20


@pytest.mark.parametrize("count", [99, 100])
def test_solo_stores_what_ended_before_it_runs_the_next_task(count):
    fleet = Fleet(1, InLoop)
    try:
        short = [fleet.send("quick", n) for n in range(count)]
        fleet.send("stay")
        fleet.thread.start()
        wait_until(lambda: fleet.pool.held, 20)

        assert all(handle.ready() for handle in short)
    finally:
        fleet.pool.let_go.set()
        fleet.close()
