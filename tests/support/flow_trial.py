"""FlowTrial: one random canvas under some faults on some backend, or eagerly, compared with what the naive evaluator says of it."""

from __future__ import annotations

import random
import time
from typing import Any

from backbeat.canvas import App
from backbeat.canvas.eager import EagerRun
from backbeat.canvas.errors import Ignore, Replaced
from backbeat.canvas.ids import derive
from backbeat.canvas.node import Node, calls, freeze, root_of
from backbeat.canvas.options import map_calls
from msgspec.structs import replace

from .flow_world import Faults, FlowWorld
from .random_canvas import Expectation, all_ids, random_canvas

SETTINGS = {
    "calm": Faults(),
    "duplicates": Faults(duplicates=0.2),
    "crashes": Faults(crashes=0.1),
    "both": Faults(duplicates=0.2, crashes=0.1),
}
SPLIT_SETTINGS = {name: Faults(faults.duplicates, faults.crashes / 4) for name, faults in SETTINGS.items()}
"""A split commit has four times as many steps to die in."""


def settle_one(backend: Any, rng: random.Random, faults: Faults) -> int:
    """Run one random canvas to its end and compare it with the evaluator, how often each task was started included, unless processes die.

    Returns the number of executions.
    """
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
    if not faults.crashes and not expectation.pending:
        expectation.check_starts(world.starts)
        expectation.wrong += [f"{run} ran {n} times" for run, n in world.attempts.items() if n > 1]
    assert not expectation.wrong, (expectation.wrong, node)
    assert not expectation.pending, (expectation.pending, node)
    return world.executions


def eager_app() -> App:
    """The tasks of random canvases, as a project would write them. Every run returns another value."""
    app = App("random", set_as_current=False)
    runs = iter(range(1, 1_000_000_000))
    app.task(name="ok")(lambda *_: [next(runs)])
    app.task(name="expired")(lambda *_: [next(runs)])

    @app.task(name="fail")
    def fail(*_: Any) -> None:
        raise ValueError(f"run {next(runs)}")

    @app.task(name="ignored")
    def ignored(*_: Any) -> None:
        raise Ignore

    @app.task(name="retry", bind=True)
    def retry(task: Any, *_: Any) -> list[int]:
        if task.request.retries < 2:
            raise task.retry()
        return [next(runs)]

    @app.task(name="replaced", bind=True)
    def replaced(task: Any, *_: Any) -> None:
        rng = random.Random(f"{task.request.id}/{task.request.replaced_task_nesting}")
        raise Replaced(random_canvas(rng, 1))

    return app


def settle_eagerly(app: App, rng: random.Random) -> None:
    """The same in eager mode, where nobody dies and nothing comes twice."""
    node = freeze(_routed(random_canvas(rng)), derive("eager", str(rng.random())))
    run = EagerRun(app, 1_000_000)

    run.play(node)

    documents = run.stage.results.get(sorted(set(all_ids(node))))
    expectation = Expectation({document.id: document for document in documents}, frozenset())
    expectation.check(node)
    assert not expectation.wrong, (expectation.wrong, node)
    assert not expectation.pending, (expectation.pending, node)


def _routed(node: Node) -> Node:
    """A client names the queue of each call."""
    return map_calls(node, lambda call: replace(call, options={**call.options, "queue": "celery"}))
