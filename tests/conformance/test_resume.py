"""A canvas that failed goes on: what failed runs again and what depends on it, and nothing else does; over every store, whatever dies."""

from __future__ import annotations

import json
import os
import random
import time
from contextlib import contextmanager

import pytest
from backbeat.canvas.canvas_run import CanvasRun
from backbeat.canvas.ids import derive
from backbeat.canvas.json_text import Json
from backbeat.canvas.node import Call, Group, Policy, calls, chain_of, flat, freeze, root_of
from backbeat.canvas.outcome import State
from backbeat.canvas.resume import parts_to_run
from backbeat.canvas.signing import NO_KEYS

from support.flow_world import Faults, FlowWorld
from support.kinds import IN_TURN, open_backend
from support.random_canvas import Expectation

CANVASES = {"memory": 40, "sqlite": 3, "postgres": 3, "redis": 4, "split-memory": 8}
FACTOR = int(os.environ.get("BACKBEAT_HARNESS", "250")) // 250 or 1
ROUNDS = 9
"""How often a canvas is retried at most that has failed: what failed once does not fail again, but what was never begun may."""
FAULTS = {"calm": Faults(), "duplicates": Faults(duplicates=0.2), "crashes": Faults(crashes=0.03)}


def random_canvas(rng, depth=3):
    """Calls, chains and groups, of which one call in five fails as long as nobody has repaired it."""
    kind = rng.choice(["call", "chain", "group", "group"]) if depth else "call"
    match kind:
        case "chain":
            return chain_of(tuple(random_canvas(rng, depth - 1) for _ in range(rng.randint(1, 4))))
        case "group":
            members = flat(random_canvas(rng, depth - 1) for _ in range(rng.randint(0, 3)))
            policy = rng.choice([Policy.FAIL, Policy.FAIL, Policy.FAIL_FAST])
            return chain_of((Group(members=members, policy=policy), random_canvas(rng, depth - 1)))
    task = rng.choices(["ok", "fail", "retry"], [7, 2, 1])[0]
    return Call(task=task, args=Json(json.dumps([rng.randint(0, 9)])))


def run_of(backend, id_):
    @contextmanager
    def client():
        commit = backend.open("operator")
        try:
            yield commit
        finally:
            commit.close()

    return CanvasRun(id_, client, backend.results(), NO_KEYS)


def settle(backend, world, ids):
    """Work until all of `ids` have ended; returns their documents."""
    deadline = time.monotonic() + max(backend.patience_seconds, 1)
    while True:
        world.run()
        documents = {document.id: document for document in backend.results().get(ids)}
        if all(document.ready for document in documents.values()) or time.monotonic() > deadline:
            return documents


def wait_until_known(backend, world, run):
    """Until what was revoked before it began has come to a worker, too: a broker may bring its message after all results are there."""
    deadline = time.monotonic() + max(backend.patience_seconds, 1)
    plans = run.plans()
    while parts_to_run(plans, run.documents(plans)).stuck and time.monotonic() < deadline:
        world.run()


@pytest.mark.parametrize("faults", FAULTS)
@pytest.mark.parametrize("name", IN_TURN)
def test_k6_what_failed_runs_again_and_what_depends_on_it_and_nothing_else(name, faults, request):
    try_canvases(check, name, faults, request)


@pytest.mark.parametrize("faults", FAULTS)
@pytest.mark.parametrize("name", IN_TURN)
def test_k6_a_canvas_may_be_retried_at_any_moment_and_in_the_end_it_has_succeeded(name, faults, request):
    try_canvases(retry_while_it_runs, name, faults, request)


def try_canvases(trial, name, faults, request):
    """`trial(backend, world, canvas)` with random canvases over one implementation."""
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    backend = open_backend(name, request)
    try:
        for number in range(FACTOR * CANVASES.get(name, 1)):
            rng = random.Random(f"{seed}/{number}")
            node = freeze(random_canvas(rng), derive(trial.__name__, f"{seed}/{number}"))
            trial(backend, FlowWorld(backend, rng, FAULTS[faults]), node)
    finally:
        backend.clear()
        backend.close()


def check(backend, world, node):
    ids = [call.id for call in calls(node)]
    try:
        if not world.send(node):
            return
        before = settle(backend, world, ids)
        if not all(document.ready for document in before.values()):
            assert not any(document.ready for document in before.values()), "it was sent half"
            return
        first = Expectation(before, frozenset())
        first.check(node)
        assert not first.wrong, (first.wrong, node)
        starts, failed = dict(world.starts), {id_ for id_ in ids if before[id_].state is not State.SUCCESS}

        wait_until_known(backend, world, run_of(backend, root_of(node)))
        done = run_of(backend, root_of(node)).retry()

        assert not done.stuck, (done, node)
        assert bool(done.failed) == bool(failed)
        assert done.failed + done.dependents == len(failed), (done, failed, node)
        after = settle(backend, world, ids)
        second = Expectation(after, frozenset(), repaired=True)
        second.check(node)
        assert not second.wrong, (second.wrong, node)
        assert not second.pending, (second.pending, node)
        again = {id_ for id_ in ids if world.starts[id_] > starts.get(id_, 0)}
        assert again == failed, (again ^ failed, node)
        for id_ in set(ids) - failed:
            assert after[id_] == before[id_]
    finally:
        world.close()


def retry_while_it_runs(backend, world, node):
    ids = [call.id for call in calls(node)]
    run = run_of(backend, root_of(node))
    succeeded = {}

    def retry():
        succeeded.update({d.id: d for d in backend.results().get(ids) if d.state is State.SUCCESS})
        return run.retry()

    try:
        if not world.send(node) or isinstance(node, Call):
            return  # of a single task that has not begun nothing is known
        for _ in range(world.rng.randint(1, 3)):
            for _ in range(world.rng.randint(0, 8)):
                world.step()
            retry()
        for _ in range(ROUNDS):
            after = settle(backend, world, ids)
            wait_until_known(backend, world, run)
            if not retry().failed:
                break
        judged = Expectation(after, frozenset(), repaired=True)
        judged.check(node)
        assert not judged.wrong, (judged.wrong, node)
        assert not judged.pending, (judged.pending, node)
        assert {id_: after[id_] for id_ in succeeded} == succeeded
    finally:
        world.close()
