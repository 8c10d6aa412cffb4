"""A worker that sizes its pool itself: it grows with what waits, on every broker, and what is sent while it is restarted runs."""

from __future__ import annotations

import pytest

from support.journal import read_events
from support.processes import wait_until

TASKS = "support.acceptance_tasks"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("pool", ["processes", "asyncio"])
def test_a_worker_with_autoscale_runs_what_waits_and_no_more_than_its_bound(stack, programs, log, gate, pool):
    worker = programs.start(*stack.options, "worker", "-P", pool, "--autoscale", "4,1")
    worker.wait_for("ready$")
    wait = stack.app.signature(f"{TASKS}.wait_at_gate", [str(log), str(gate)])

    handles = [wait.clone().apply_async() for _ in range(6)]
    wait_until(lambda: len(read_events(log, "started")) == 4, what=lambda: worker.text)
    worker.wait_for("resized from . to 4")
    assert "1 to 4 at a time" in worker.text
    gate.touch()

    assert [handle.get(timeout=60) for handle in handles] == ["done"] * 6
    assert len(read_events(log, "started")) == 6


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--autoscale", "2,3"], "the first number is the most tasks"),
        (["--autoscale", "a,b"], "must be two whole numbers, as 10,3"),
        (["--autoscale", "2,1", "-P", "solo"], "pool solo runs one task at a time"),
        (["--autoscale", "2000,1"], "from 1 to 1,000, found 2000"),
    ],
)
@pytest.mark.parametrize("stack", ["sqlite"], indirect=True)
def test_bounds_that_cannot_be_are_refused_at_the_start(stack, programs, options, text):
    worker = programs.start(*stack.options, "worker", *options)

    assert worker.wait() == 2
    assert text in worker.text
