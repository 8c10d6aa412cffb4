"""ResultRuns over a whole fleet in one thread: tasks and workflows that end, fail, hang or are revoked."""

from __future__ import annotations

import json
import threading

import pytest
from backbeat.canvas import App, chain, group
from backbeat.canvas.commit.store_broker import StoreBroker
from backbeat.canvas.errors import Unavailable
from backbeat.canvas.outcome import State
from backbeat.canvas.results.document import Document, from_text
from backbeat.scheduler.errors import ScheduleError
from backbeat.scheduler.firing import regular_firing
from backbeat.scheduler.listener import SilentListener
from backbeat.scheduler.outlet import BrokerOutlet
from backbeat.scheduler.result_runs import ResultRuns
from backbeat.scheduler.wiring import BeatOptions, open_beat

from support.eager import Fleet

DUE_US = 1_767_225_600_000_000


@pytest.fixture
def fleet():
    fleet = Fleet()

    @fleet.app.task(name="ok")
    def ok(*_args):
        return "fine"

    @fleet.app.task(name="bad")
    def bad(*_args):
        raise ValueError("no")

    return fleet


@pytest.fixture
def runs(fleet):
    runs = ResultRuns(fleet.app, answer_seconds=10.0)
    yield runs
    runs.close()


def fire(fleet, signature, name="e"):
    """Send a firing as a beat does; its task id."""
    payload = json.loads(json.dumps(signature))
    firing = regular_firing("test", name, DUE_US, payload, rev=1, batch_id=1)
    broker = StoreBroker(fleet.open("beat"))
    outlet = BrokerOutlet(broker, fleet.app, cluster="test", store_id="s")
    assert outlet.publish([firing]).confirmed
    return firing.task_id


def shapes(app):
    ok, bad = app.signature("ok"), app.signature("bad")
    return {
        "a task": ok,
        "a task that fails": bad,
        "a chain": chain(ok, ok, ok),
        "a chain that fails in the middle": chain(ok, bad, ok),
        "a group": group(ok, ok, ok),
        "a group of which one fails": group(ok, bad),
        "a group and what follows": chain(group(ok, ok), ok),
        "a group that fails and what follows": chain(group(ok, bad), ok),
        "chains in a group in a chain": chain(ok, group(chain(ok, ok), ok), ok),
    }


@pytest.mark.parametrize("shape", shapes(Fleet().app))
def test_a_run_is_over_when_all_of_it_has_ended_and_not_before(fleet, runs, shape):
    task_id = fire(fleet, shapes(fleet.app)[shape])
    steps = 0

    while not runs.over([task_id]):
        assert fleet.drain(limit=1) == 1, "nothing is left to run, and it does not count as over"
        steps += 1

    assert fleet.drain("celery") == 0, "it counted as over, and something ran after that"
    assert steps >= 1


def test_only_those_that_are_over_are_named(fleet, runs):
    first = fire(fleet, fleet.app.signature("ok"), "first")
    fleet.drain()
    second = fire(fleet, fleet.app.signature("ok"), "second")

    assert runs.over([first, second, "unknown"]) == {first}


@pytest.mark.parametrize("shape", shapes(Fleet().app))
def test_a_run_that_is_revoked_before_it_starts_runs_nothing(fleet, runs, shape):
    task_id = fire(fleet, shapes(fleet.app)[shape])

    assert runs.revoke(task_id)
    fleet.drain()

    assert fleet.executed == []
    assert runs.over([task_id])


@pytest.mark.parametrize("shape", [shape for shape in shapes(Fleet().app) if not shape.startswith("a task")])
def test_a_workflow_that_is_revoked_on_its_way_goes_no_further(fleet, runs, shape):
    task_id = fire(fleet, shapes(fleet.app)[shape])
    while not fleet.executed:
        fleet.drain(limit=1)

    assert runs.revoke(task_id)
    fleet.drain()

    assert len(fleet.executed) == 1
    assert runs.over([task_id])


def test_a_result_of_a_celery_worker_counts(runs):
    text = '{"status": "SUCCESS", "result": "text", "traceback": null, "children": [], "date_done": "2026-01-01T00:00:00+00:00", "task_id": "a"}'

    class App:
        class results:  # noqa: N801 - the name of the property that it stands for
            @staticmethod
            def get(ids):
                return [
                    from_text(text) if id_ == "a" else Document(id=id_, state=State.STARTED) for id_ in ids
                ]

    assert ResultRuns(App()).over(["a", "b"]) == {"a"}


class Slow:
    """An app whose results come when they are told to, or not at all."""

    def __init__(self):
        self.go = threading.Semaphore(0)
        self.asked = []
        self.fault = None
        self.results = self

    def get(self, ids):
        self.asked.append(list(ids))
        assert self.go.acquire(timeout=20)
        if self.fault is not None:
            raise self.fault
        return [Document(id=id_, state=State.SUCCESS, date_done="2026") for id_ in ids]

    def revoke(self, _ids):
        raise Unavailable("no store here")


def test_a_store_that_hangs_holds_up_nobody_and_its_answer_is_used_when_it_is_there():
    app = Slow()
    runs = ResultRuns(app, answer_seconds=0.01)

    assert runs.over(["a"]) == ()
    assert runs.over(["a", "b"]) == ()
    assert app.asked == [["a"]]
    app.go.release()
    answer = ()
    while not answer:
        answer = runs.over(["a", "b"])
    app.go.release()

    assert answer == {"a"}
    runs.close()


def test_a_store_that_is_away_means_that_nothing_is_known_to_be_over():
    app = Slow()
    runs = ResultRuns(app, answer_seconds=10.0)
    app.fault = Unavailable("no store here")
    app.go.release()
    assert runs.over(["a"]) == set()

    app.fault = None
    app.go.release()

    assert runs.over(["a"]) == {"a"}
    assert runs.revoke("a") is False
    runs.close()


def test_overlap_without_a_result_backend_is_refused_at_the_start_with_the_entry_and_what_to_do(tmp_path):
    file = tmp_path / "schedules.yaml"
    file.write_text("schedules:\n  report:\n    every: 10s\n    task: jobs.report\n    overlap: skip\n")
    app = App("no-results", broker="amqp://guest@127.0.0.1:1//", set_as_current=False)

    with pytest.raises(ScheduleError, match=r"entry 'report'.*result backend.*overlap: allow"):
        open_beat(app, BeatOptions(files=[file], store="memory://"), SilentListener())
