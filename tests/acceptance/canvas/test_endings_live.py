"""Endings that need real processes, at three places of a canvas: everything that depends on them settles within a lease and a little.

conformance/test_every_ending.py has every ending at every place, without processes.
"""

from __future__ import annotations

import time
import uuid
from contextlib import closing

import pytest
from backbeat.canvas import chain, chord
from backbeat.canvas.node import calls, freeze

from support.ending_tasks import NAME
from support.processes import Programs
from support.stacks import SHORT_LEASE, open_stack

BOUND_SECONDS = 5.0 + SHORT_LEASE
ENDINGS = {
    "soft": "SoftTimeLimitExceeded",
    "hard": "TimeLimitExceeded",
    "lost": "WorkerLostError",
    "unknown": "NotRegistered",
    "opaque": "EncodeError",
    "leaves": "SystemExit",
    "memory": "MemoryError",
}
"""The class of the error that everything is blamed on, by the task that ends so."""


@pytest.fixture(scope="module", params=["redis", "postgres"])
def stack(request, tmp_path_factory):
    """A stack with a worker that has two processes and a short lease."""
    directory = tmp_path_factory.mktemp("endings")
    with (
        open_stack(request.param, directory) as opened,
        closing(Programs(directory)) as programs,
    ):
        opened.tasks = NAME
        worker = programs.start(
            *opened.options,
            *("worker", "-P", "processes", "-c", "2"),
            environ={"BACKBEAT_TEST_LEASE": str(SHORT_LEASE)},
        )
        worker.wait_for("ready$")
        yield opened


def canvases_with(bad, give, gather):
    """A canvas for each place, with the states that its calls must come to, in order."""
    return {
        "a chain's middle": (chain(give(1), bad, give(2)), "SUCCESS FAILURE FAILURE"),
        "a header": (chord([give(1), bad], gather), "SUCCESS FAILURE FAILURE"),
        "a nested header": (
            chord([give(1), chord([bad.clone(), give(2)], gather.clone())], gather.clone()),
            "SUCCESS FAILURE SUCCESS FAILURE FAILURE",
        ),
    }


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ENDINGS)
def test_a_task_that_ends_so_in_a_worker_settles_all_that_depends_on_it(stack, name, figure):
    def sig(task, *args):
        return stack.app.signature(f"{NAME}.{task}", args)

    made = canvases_with(sig(name), lambda value: sig("give", value), sig("gather"))
    sent, started = {}, time.monotonic()
    for place, (canvas, states) in made.items():
        id_ = str(uuid.uuid4())
        sent[place] = [call.id for call in calls(freeze(canvas.to_node(), id_))], states.split()
        canvas.apply_async(task_id=id_)

    took = 0.0
    for place, (ids, states) in sent.items():
        left = BOUND_SECONDS - (time.monotonic() - started)
        is_over = stack.app.results.wait(ids, max(left, 0.0))
        took = time.monotonic() - started
        documents = stack.app.results.get(ids)

        assert is_over, (place, [str(document.state) for document in documents])
        assert [str(document.state) for document in documents] == states
        broken = ids[1]
        for document in documents:
            if document.error is not None:
                assert document.error.node == broken, (place, document)
                assert root_of(document.error).type == ENDINGS[name], (place, document)
        with pytest.raises(Exception) as caught:
            stack.app.AsyncResult(ids[-1]).get(timeout=0)
        assert type(innermost(caught.value)).__name__ == ENDINGS[name]
    figure(f"{stack.name}: three canvases had settled {took:.2f} s after they were sent")
    assert chord([sig("give", 1), sig("give", 2)], sig("gather")).apply_async().get(timeout=30) == [1, 2]


def root_of(error):
    """What the bodies of chords failed by in the end, as it is stored."""
    return root_of(error.cause) if error.type == "ChordError" else error


def innermost(exc):
    """The same of an exception."""
    return innermost(exc.__cause__) if type(exc).__name__ == "ChordError" else exc
