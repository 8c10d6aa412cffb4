"""Every canvas settles, with the values of the plan, whatever dies: random canvases against a naive evaluator."""

from __future__ import annotations

import random

import pytest
from backbeat.canvas.ids import derive
from backbeat.canvas.node import calls, freeze, root_of
from support.backends import MemoryBackend
from support.flow_world import Faults, FlowWorld
from support.random_canvas import Expectation, all_ids, random_canvas

SETTINGS = {
    "calm": Faults(),
    "duplicates": Faults(duplicates=0.2),
    "crashes": Faults(crashes=0.1),
    "both": Faults(duplicates=0.2, crashes=0.1),
}


def settle_one(backend, rng: random.Random, faults: Faults) -> int:
    """Run one random canvas to its end and compare it with the evaluator; returns the number of executions."""
    node = freeze(random_canvas(rng), derive("harness", str(rng.random())))
    world = FlowWorld(backend, rng, faults)
    # revoking the root revokes all that descends from it, error callbacks included: not tried here
    revoked = frozenset(call.id for call in calls(node) if rng.random() < 0.03) - {root_of(node)}
    commit = backend.open("revoker", lambda where: None)
    commit.revoke(sorted(revoked))
    commit.close()
    try:
        sent = world.send(node)
        world.run()
    finally:
        world.close()
    ids = sorted(set(all_ids(node)))
    documents = {document.id: document for document in backend.results().get(ids)}
    if not sent and not any(document.ready for document in documents.values()):
        return world.executions  # the sender died before anything was written: there is no canvas
    expectation = Expectation(documents, revoked)
    expectation.check(node)
    assert not expectation.wrong, (expectation.wrong, node)
    assert not expectation.pending, (expectation.pending, node)
    return world.executions


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_random_canvas_settles_with_the_values_of_its_plan(setting):
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    for number in range(250):
        settle_one(MemoryBackend(), random.Random(f"{seed}/{number}"), SETTINGS[setting])
