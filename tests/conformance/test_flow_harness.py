"""Every canvas settles, with the values of the plan, whatever dies: random canvases against a naive evaluator, over every Commit."""

from __future__ import annotations

import os
import random
import time
from dataclasses import replace

import pytest
from backbeat.canvas import App
from backbeat.canvas.eager import EagerRun
from backbeat.canvas.errors import Ignore, Replaced
from backbeat.canvas.ids import derive
from backbeat.canvas.node import Node, calls, freeze, root_of
from backbeat.canvas.options import map_calls

from support.backends import MemoryBackend
from support.flow_world import Faults, FlowWorld
from support.kinds import open_backend
from support.random_canvas import Expectation, all_ids, random_canvas

SETTINGS = {
    "calm": Faults(),
    "duplicates": Faults(duplicates=0.2),
    "crashes": Faults(crashes=0.1),
    "both": Faults(duplicates=0.2, crashes=0.1),
}
SPLIT_SETTINGS = {name: Faults(faults.duplicates, faults.crashes / 4) for name, faults in SETTINGS.items()}
"""A split commit has four times as many steps to die in."""

DEFAULT = 250
CANVASES = int(os.environ.get("BACKBEAT_HARNESS", DEFAULT))
"""Canvases for each setting in memory; the others take their share of it."""
SHARES = {
    "memory": 1.0,
    "sqlite": 0.06,
    "postgres": 0.05,
    "mariadb": 0.008,
    "redis": 0.08,
    "split-memory": 0.4,
    "split-rabbitmq-redis": 0.016,
    "split-rabbitmq-postgres": 0.016,
}


def settle_one(backend, rng: random.Random, faults: Faults) -> int:
    """Run one random canvas to its end and compare it with the evaluator; returns the number of executions."""
    node = freeze(random_canvas(rng), derive("harness", str(rng.random())))
    world = FlowWorld(backend, rng, faults)
    # revoking the root revokes all that descends from it, error callbacks included: not tried here
    revoked = frozenset(call.id for call in calls(node) if rng.random() < 0.03) - {root_of(node)}
    commit = backend.open("revoker")
    commit.revoke(sorted(revoked))
    commit.close()
    ids = sorted(set(all_ids(node)))
    deadline = time.monotonic() + backend.patience_seconds
    try:
        sent = world.send(node)
        while True:
            world.run()
            documents = {document.id: document for document in backend.results().get(ids)}
            if not sent and not any(each.ready for each in documents.values() if each.id not in revoked):
                return world.executions  # the sender died before anything was written: there is no canvas
            expectation = Expectation(documents, revoked)
            expectation.check(node)
            if not expectation.pending or time.monotonic() > deadline:
                break
    finally:
        world.close()
    assert not expectation.wrong, (expectation.wrong, node)
    assert not expectation.pending, (expectation.pending, node)
    return world.executions


@pytest.mark.timeout(max(120, 120 * CANVASES // DEFAULT))
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", SHARES)
def test_k1_every_random_canvas_settles_with_the_values_of_its_plan(name, setting, request):
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    faults = (SPLIT_SETTINGS if name.startswith("split") else SETTINGS)[setting]
    backend = open_backend(name, request)
    try:
        for number in range(max(2, round(CANVASES * SHARES[name]))):
            if name == "memory":
                backend = MemoryBackend()  # costs nothing, and keeps what is looked through short
            settle_one(backend, random.Random(f"{seed}/{number}"), faults)
    finally:
        backend.clear()  # the next test has the same database or vhost, and copies may be left of what has settled
        backend.close()


def eager_app() -> App:
    """The tasks of random canvases, as a project would write them. Every run returns another value."""
    app = App("random", set_as_current=False)
    runs = iter(range(1, 1_000_000))
    app.task(name="ok")(lambda *_: [next(runs)])
    app.task(name="expired")(lambda *_: [next(runs)])

    @app.task(name="fail")
    def fail(*_):
        raise ValueError(f"run {next(runs)}")

    @app.task(name="ignored")
    def ignored(*_):
        raise Ignore

    @app.task(name="retry", bind=True)
    def retry(task, *_):
        if task.request.retries < 2:
            raise task.retry()
        return [next(runs)]

    @app.task(name="replaced", bind=True)
    def replaced(task, *_):
        rng = random.Random(f"{task.request.id}/{task.request.replaced_task_nesting}")
        raise Replaced(random_canvas(rng, 1))

    return app


def routed(node: Node) -> Node:
    """A client names the queue of each call."""
    return map_calls(node, lambda call: replace(call, options={**call.options, "queue": "celery"}))


def test_every_random_canvas_has_the_values_of_its_plan_when_it_runs_eagerly():
    seed, app = random.randrange(1_000_000), eager_app()
    print(f"seed {seed}")
    for number in range(CANVASES):
        rng = random.Random(f"{seed}/{number}")
        node = freeze(routed(random_canvas(rng)), derive("eager", str(rng.random())))
        run = EagerRun(app, 1_000_000)

        run.play(node)

        documents = run.stage.results.get(sorted(set(all_ids(node))))
        expectation = Expectation({document.id: document for document in documents}, frozenset())
        expectation.check(node)
        assert not expectation.wrong, (expectation.wrong, node)
        assert not expectation.pending, (expectation.pending, node)
