"""A worker through outages of its store: what ended is kept and brought again, nothing runs twice, nobody is counted as lost."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest
from backbeat.canvas import App, chain, chord
from backbeat.canvas.clock import SystemClock
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.commit.memory import MemoryCommit
from backbeat.canvas.commit.memory_results import MemoryResults
from backbeat.canvas.commit.memory_store import MemoryStore
from backbeat.canvas.commit.role import OUTBOX, Role
from backbeat.canvas.commit.split import SplitCommit
from backbeat.canvas.commit.store_broker import StoreBroker
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.continuation import JoinRecord, Step
from backbeat.canvas.effect import Publish
from backbeat.canvas.errors import EncodeError, ImproperlyConfigured, Unavailable
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import Message
from backbeat.canvas.outcome import Failure, Success, celery_error
from backbeat.canvas.perform import Performer
from backbeat.canvas.pools.base import Lost
from backbeat.canvas.pools.child import run_job
from backbeat.canvas.pools.solo import SoloPool
from backbeat.canvas.worker.listener import LogListener
from backbeat.canvas.worker.worker import Worker

from support.eager import connect
from support.processes import wait_until


class Failing:
    """A Commit whose named methods raise what `faults` holds for them, one after the other."""

    def __init__(self, inner):
        self.inner = inner
        self.faults = {}
        self.at_once = inner.at_once

    def __getattr__(self, name):
        real = getattr(self.inner, name)

        def call(*args, **kwargs):
            if self.faults.get(name):
                raise self.faults[name].pop()
            return real(*args, **kwargs)

        return call


@dataclass
class Crew:
    app: App
    commit: Failing
    runs: list
    worker: Worker


@pytest.fixture
def crew():
    """An app on a store in memory, and a worker over a commit that can be made to fail."""
    store = MemoryStore()
    app = App("outage", broker="memory://outage", set_as_current=False)
    connect(app, lambda: MemoryCommit(store, worker="client"), lambda: MemoryResults(store))
    runs = []

    @app.task(name="note")
    def note(*values):
        runs.append(values)
        return len(runs)

    commit = Failing(MemoryCommit(store, worker="w1", queues=["celery", "backbeat"]))
    performer = Performer(commit, app.results, now_us=SystemClock().now_us, is_early=app.is_early)
    pool = SoloPool(lambda job, limit: run_job(job, app.tasks, "celery@test", limit))
    return Crew(app, commit, runs, Worker(commit, performer, pool, LogListener(), Limits(lease_seconds=3)))


@pytest.fixture
def fleet(crew):
    """The crew, and a thread for its worker, to be started."""
    thread = threading.Thread(target=crew.worker.run)
    yield crew.app, crew.commit, crew.runs, thread
    crew.worker.stop()
    thread.join(20)
    assert not thread.is_alive()


def long_chain(app, steps):
    filler = "x" * 1_000  # too long to travel inline: the worker must load the record
    return chain([app.signature("note", [filler]) for _ in range(steps)])


def test_outcomes_survive_that_what_follows_cannot_be_loaded(fleet):
    app, commit, runs, thread = fleet
    handles = [long_chain(app, 3).apply_async() for _ in range(3)]
    commit.faults["load"] = [Unavailable("down")] * 4

    thread.start()

    for handle in handles:
        handle.get(timeout=20)
    assert len(runs) == 9


def test_outcomes_survive_that_nothing_can_be_stored(fleet):
    app, commit, runs, thread = fleet
    body = app.signature("note", ["body"])
    handle = chord([app.signature("note", [i]) for i in range(5)], body).apply_async()
    commit.faults["exchange"] = [Unavailable("down")] * 3
    commit.faults["renew"] = [Unavailable("down")] * 2

    thread.start()

    handle.get(timeout=20)
    assert len(runs) == 6


def test_a_fault_that_nobody_foresaw_does_not_end_the_worker(fleet):
    app, commit, runs, thread = fleet
    commit.faults["exchange"] = [ZeroDivisionError("a bug")]

    thread.start()

    assert app.send_task("note", [1]).get(timeout=20) == 1
    assert runs == [(1,)]


def test_k18_one_of_a_batch_that_cannot_be_stored_fails_and_the_others_are_stored(fleet):
    app, commit, runs, thread = fleet
    real, struck = commit.inner.exchange, []

    def exchange(transitions, **known):
        if any(
            t.outcome is not None and t.message.args == '["bad"]' and isinstance(t.outcome, Success)
            for t in transitions
        ):
            struck.append(len(transitions))
            raise EncodeError("the database refuses it: too long")
        return real(transitions, **known)

    commit.inner.exchange = exchange
    handles = [app.send_task("note", [value]) for value in ("good", "bad", "fine")]

    thread.start()

    assert [handles[0].get(timeout=20), handles[2].get(timeout=20)] == [1, 3]
    error = handles[1].get(timeout=20, propagate=False)
    assert type(error).__name__ == "EncodeError"
    assert "the database refuses it: too long" in str(error)
    assert struck
    assert len(runs) == 3


def test_k18_a_join_whose_body_cannot_be_stored_fails_with_all_that_was_to_follow(fleet):
    app, commit, runs, thread = fleet
    real = commit.inner.exchange

    def exchange(transitions, **known):
        published = [e.message for t in transitions for e in t.effects if isinstance(e, Publish)]
        if any(message.task == "body" for message in published):
            raise EncodeError("key 'shop' may not send task 'body'")
        return real(transitions, **known)

    commit.inner.exchange = exchange
    members = [app.signature("note", [value]) for value in ("one", "two")]
    told = app.signature("note", ["told"])
    last = chord(members, app.signature("body") | app.signature("note")).on_error(told).apply_async()

    thread.start()

    for handle in (last.parent, last):
        with pytest.raises(Exception, match="key 'shop' may not send task 'body'"):
            handle.get(timeout=20)
    wait_until(lambda: len(runs) == 3)
    assert [runs[2][-1], commit.dead_letters(9)[0].letter.task_id] == ["told", last.parent.parent.id]


class Away:
    """A Broker that cannot be reached while `is_away`; `refused` counts who tried."""

    def __init__(self, inner):
        self._inner = inner
        self.is_away = False
        self.refused = 0

    def __getattr__(self, name):
        real = getattr(self._inner, name)

        def call(*args, **kwargs):
            if self.is_away and name != "close":
                self.refused += 1
                raise Unavailable("the broker is away")
            return real(*args, **kwargs)

        return call


class BusyPool(SoloPool):
    """A second slot, in which a job of task `stay` stays until the worker stops."""

    held = None

    def submit(self, jobs):
        for job in jobs:
            if '"task":"stay"' in job.raw.replace(" ", ""):
                self.held = job
            else:
                super().submit([job])


class SplitFleet:
    """An app and one worker over a broker that may go away and a store that stays; task `leave` makes it go while it runs."""

    def __init__(self):
        self.kept, self._carried = MemoryStore(), MemoryStore()
        self.app = App("outage", broker="memory://split", set_as_current=False)
        connect(self.app, lambda: self._commit("client")[1], lambda: MemoryResults(self.kept))
        self.broker, commit = self._commit("w1", queues=["celery", "backbeat"])
        performer = Performer(commit, self.app.results, now_us=SystemClock().now_us)
        self.runs = []

        @self.app.task(name="leave")
        def leave(*values):
            self.runs.append(values)
            self.broker.is_away = len(self.runs) == 1
            self.worker._renewal.due = 0.0
            return len(self.runs)

        self.pool = BusyPool(lambda job, limit: run_job(job, self.app.tasks, "celery@test", limit))
        self.worker = Worker(commit, performer, self.pool, LogListener(), Limits(), grace_seconds=1)
        self.thread = threading.Thread(target=self.worker.run)

    def _commit(self, name, queues=()):
        carrier = MemoryCommit(self._carried, worker=name, queues=queues, role=Role.BROKER)
        broker = Away(StoreBroker(carrier))
        return broker, SplitCommit(broker, MemoryCommit(self.kept, worker=name, role=Role.STORE))

    def close(self):
        self.broker.is_away = False
        self.worker.stop()
        self.thread.join(20)
        assert not self.thread.is_alive()


@pytest.fixture
def split_fleet():
    opened = SplitFleet()
    yield opened
    opened.close()


def test_k7_what_has_ended_is_stored_while_the_broker_is_away_so_that_its_claim_cannot_run_out(split_fleet):
    other = split_fleet.app.send_task("stay")
    split_fleet.thread.start()
    wait_until(lambda: split_fleet.pool.held, 10)

    handle = split_fleet.app.send_task("leave")

    wait_until(handle.ready, 10)
    assert split_fleet.broker.is_away
    assert split_fleet.broker.refused
    assert not other.ready()


def test_k1_what_follows_is_written_once_however_long_the_broker_is_away(split_fleet):
    app, broker = split_fleet.app, split_fleet.broker
    handle = (app.signature("leave") | app.signature("leave")).apply_async()

    split_fleet.thread.start()

    wait_until(lambda: broker.is_away and broker.refused >= 4, 10)
    mail = split_fleet.kept.state.mail
    with split_fleet.kept.changed:  # a relay moves it from the one to the other
        assert len(mail.waiting().get(OUTBOX, [])) + mail.held == 1
    broker.is_away = False
    assert handle.get(timeout=20) == 2
    assert split_fleet.runs == [(), (1,)]


def test_k7_the_broker_hears_of_what_is_held_while_the_store_is_away():
    store = Away(MemoryCommit(MemoryStore(), worker="w", role=Role.STORE))
    broker = Away(StoreBroker(MemoryCommit(MemoryStore(), worker="w", role=Role.BROKER)))
    store.is_away = broker.is_away = True

    with pytest.raises(Unavailable):
        SplitCommit(broker, store).renew([])

    assert (store.refused, broker.refused) == (1, 1)


# --- what was taken while something could not be done ---------------------------------------------------------------------------


class Beaten:
    """While task `beaten` runs, another outcome of it is stored; what follows from that one cannot be stored while `is_away`."""

    def __init__(self, app, commit, waiting):
        self.is_away, self.renewed = True, set()
        self._real, self._renew = commit.inner.exchange, commit.inner.renew
        commit.inner.exchange, commit.inner.renew = self._exchange, self._note_renewal

        @app.task(name="beaten", bind=True)
        def beaten(task):
            other = Message(id=task.request.id, task="beaten")
            self._real([Transition(message=other, outcome=Success(value=Json("7")))])
            for handle in waiting:  # they come while it ends
                app.send_task("note", [handle], task_id=handle)
            return 8

    def _exchange(self, transitions, *, take=0):
        if self.is_away and transitions and not take:
            raise Unavailable("down")
        return self._real(transitions, take=take)

    def _note_renewal(self, held):
        self.renewed |= {taken.message.id for taken in held}
        self._renew(held)


@pytest.fixture
def beaten(fleet):
    app, commit, _, _ = fleet
    made = Beaten(app, commit, ["left", "waits"])
    yield made
    made.is_away = False


def test_what_was_taken_when_a_commit_could_not_be_ended_is_held_and_runs_afterwards(fleet, beaten):
    app, _, runs, thread = fleet
    handle = app.send_task("beaten")

    thread.start()

    wait_until(lambda: "left" in beaten.renewed, 20)
    assert "waits" not in beaten.renewed  # there was room for one
    beaten.is_away = False
    assert [app.AsyncResult(id_).get(timeout=20) for id_ in ("left", "waits")] == [1, 2]
    assert handle.get(timeout=20) == 7
    assert runs == [("left",), ("waits",)]


def test_what_was_taken_when_a_commit_could_not_be_ended_is_handed_back_at_a_stop(crew, fleet, beaten):
    app, commit, runs, thread = fleet
    app.send_task("beaten")
    thread.start()
    wait_until(lambda: "left" in beaten.renewed, 20)

    beaten.is_away = False
    crew.worker.stop()
    thread.join(20)

    taker = MemoryCommit(commit.inner._store, worker="w2", queues=["celery"])
    assert sorted(taken.message.id for taken in taker.exchange([], take=9).taken) == ["left", "waits"]
    assert runs == []


# --- one that is wrong, and all the others -------------------------------------------------------------------------------------


def test_a_message_that_cannot_be_acknowledged_early_fails_and_the_worker_goes_on(fleet):
    app, commit, runs, thread = fleet
    app.task(name="early", acks_late=False)(runs.append)
    real = commit.inner.exchange

    def exchange(transitions, **known):
        if any(t.early is not None for t in transitions):
            raise EncodeError("the key may not send to backbeat")
        return real(transitions, **known)

    commit.inner.exchange = exchange
    early = app.send_task("early", ["never"])

    thread.start()

    error = early.get(timeout=20, propagate=False)
    assert "the key may not send to backbeat" in str(error)
    assert app.send_task("note", [1]).get(timeout=20) == 1
    assert runs == [(1,)]


def test_a_join_that_cannot_be_settled_does_not_end_the_worker(fleet):
    app, commit, runs, thread = fleet
    commit.inner.sweep = lambda: [
        JoinRecord(join_id=f"j{number}", then=Step("gone", 1), root_id="root") for number in range(2)
    ]
    commit.faults["exchange"] = [EncodeError("not with this key")]

    thread.start()

    assert app.send_task("note", [1]).get(timeout=20) == 1
    assert runs == [(1,)]


class CannotStart(BusyPool):
    """Its children cannot start any more, once a job was done and another one stays."""

    def collect(self):
        if self.held and self._reports and not self._stopped:
            raise ImproperlyConfigured("children cannot start")
        return super().collect()


def test_a_worker_whose_children_cannot_start_stores_what_ended_and_hands_the_rest_back(split_fleet):
    fleet = split_fleet
    fleet.pool.__class__ = CannotStart
    other = fleet.app.send_task("stay")
    fleet.app.task(name="fine")(lambda: "kept")
    raised = []

    def run():
        try:
            fleet.worker.run()
        except ImproperlyConfigured as error:
            raised.append(error)

    fleet.thread = threading.Thread(target=run)
    fleet.thread.start()
    wait_until(lambda: fleet.pool.held, 10)
    handle = fleet.app.send_task("fine")

    assert handle.get(timeout=20) == "kept"
    fleet.thread.join(20)
    assert raised
    assert fleet.kept.state.runs[other.id].worker == ""


def test_a_task_that_is_killed_for_its_time_limit_while_the_worker_ends_has_its_outcome(split_fleet):
    fleet = split_fleet
    handle = fleet.app.send_task("stay")
    fleet.thread.start()
    wait_until(lambda: fleet.pool.held, 10)
    (running,) = fleet.worker._running
    running.fate = Failure(error=celery_error("TimeLimitExceeded", "too long", handle.id))
    key, stop = fleet.pool.held.key, fleet.pool.stop
    fleet.pool.stop = lambda grace: [*stop(grace), Lost(key, "killed")]

    fleet.worker.stop()
    fleet.worker.stop()
    fleet.thread.join(20)

    assert type(handle.get(timeout=20, propagate=False)).__name__ == "TimeLimitExceeded"
