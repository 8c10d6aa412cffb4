"""Chords that grow while workers die and messages come twice: the body runs with each member's value once, whoever added it."""

from __future__ import annotations

import json
import os
import random
import time

import pytest
from backbeat.canvas.ids import derive
from backbeat.canvas.json_text import Json
from backbeat.canvas.node import Call, Group, chain_of, freeze
from backbeat.canvas.node_data import node_to_data
from backbeat.canvas.outcome import Retry, State, Success

from support.backends import MemoryBackend
from support.flow_world import Faults, FlowWorld
from support.kinds import STORES, open_backend

CANVASES = int(os.environ.get("BACKBEAT_HARNESS", "250"))
SHARES = {"memory": 0.06, "split-memory": 0.02, "sqlite": 0.008, "redis": 0.008, "postgres": 0.004}
"""Of the canvases; the others, where time passes by itself, get one each."""
FAULTS = Faults(duplicates=0.2, crashes=0.05)
SPLIT_FAULTS = Faults(duplicates=0.2, crashes=0.015)


def a_tree(rng, depth=3):
    """What a task adds, and what these add: a list of such lists."""
    return [a_tree(rng, depth - 1) for _ in range(rng.choice([0, 0, 1, 2, 3]))] if depth else []


def adding(rng, tree):
    return Call(task=rng.choice(["adding", "adding", "late"]), args=Json(json.dumps([tree])), immutable=True)


def added_by(id_, task, tree):
    """The calls that a run adds; "late" does so in its third attempt."""
    attempt = 2 if task == "late" else 0
    return [
        Call(
            task=task,
            id=derive(id_, f"added:0.{attempt}:{index}:value"),
            args=Json(json.dumps([each])),
            options={"queue": "celery"},
        )
        for index, each in enumerate(tree)
    ]


class GrowingWorld(FlowWorld):
    """Its tasks add to their chords what their argument says."""

    def _execute(self, message):
        if message.task not in ("adding", "late"):
            return super()._execute(message)
        self.executions += 1
        if message.task == "late" and message.retries < 2:
            return Retry(eta_us=self.backend.now_us())
        (tree,) = json.loads(message.args)
        calls = added_by(message.id, message.task, tree)
        added = tuple(Json(json.dumps(node_to_data(call, json.loads))) for call in calls)
        return Success(value=Json(json.dumps([self.executions])), added=added)


def all_added(call):
    """All that `call` adds, and what these add."""
    (tree,) = json.loads(call.args)
    for each in added_by(call.id, call.task, tree):
        yield each
        yield from all_added(each)


def settle_one(backend, rng, faults):
    members = [
        chain_of(tuple(adding(rng, a_tree(rng)) for _ in range(rng.choice([1, 1, 1, 2, 3]))))
        for _ in range(rng.randint(1, 4))
    ]
    whole = chain_of((Group(members=tuple(members)), Call(task="ok")))
    node = freeze(whole, derive("growth", str(rng.random())))
    header, body = node.steps
    calls = [
        call for member in header.members for call in (member.steps if hasattr(member, "steps") else [member])
    ]
    extra = [each for call in calls for each in all_added(call)]
    world = GrowingWorld(backend, rng, faults)
    ids = [body.id, *(member.id for member in header.members), *(call.id for call in extra)]
    deadline = time.monotonic() + backend.patience_seconds
    try:
        sent = world.send(node)
        while True:
            world.run()
            documents = {document.id: document for document in backend.results().get(ids)}
            if not sent and not any(document.ready for document in documents.values()):
                return
            if all(document.ready for document in documents.values()) or time.monotonic() > deadline:
                break
    finally:
        world.close()
    assert {document.state for document in documents.values()} == {State.SUCCESS}, node
    (got,) = json.loads(documents[body.id].args)
    values = {id_: json.loads(document.value) for id_, document in documents.items()}
    assert got[: len(header.members)] == [values[member.id] for member in header.members], node
    assert sorted(got[len(header.members) :]) == sorted(values[call.id] for call in extra), node


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", [*STORES, "split-memory", "split-rabbitmq-redis"])
def test_every_chord_that_grows_settles_with_the_values_of_all_that_was_added(kind, request):
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    backend = open_backend(kind, request)
    faults = SPLIT_FAULTS if kind.startswith("split") else FAULTS
    try:
        for number in range(max(1, round(CANVASES * SHARES.get(kind, 0)))):
            if kind == "memory":
                backend = MemoryBackend()
            settle_one(backend, random.Random(f"{seed}/{number}"), faults)
    finally:
        backend.clear()
        backend.close()
