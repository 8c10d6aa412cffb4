"""A worker with -P asyncio: thousands of tasks that wait, side by side; ended one by one."""

from __future__ import annotations

import time

import pytest
from backbeat.canvas import group

from support.journal import read_events, read_lines
from support.processes import wait_until
from support.stacks import open_stack, states

TASKS = "support.acceptance_tasks"
MANY = 5_000


@pytest.fixture(params=["redis"])
def stack(request, tmp_path):
    with open_stack(request.param, tmp_path) as opened:
        yield opened


def asyncio_worker(programs, stack, *options):
    worker = programs.start(*stack.options, "worker", "-P", "asyncio", *options)
    worker.wait_for("ready$")
    return worker


@pytest.mark.timeout(120)
def test_five_thousand_tasks_that_sleep_for_a_second_take_a_few_seconds(stack, programs, figure):
    asyncio_worker(programs, stack, "-c", str(MANY))
    stack.app.signature(f"{TASKS}.nap", [0]).apply_async().get(timeout=30)

    nap = stack.app.signature(f"{TASKS}.nap", [1])
    tasks = [nap.clone() for _ in range(MANY)]
    before = time.monotonic()
    handle = group(tasks).apply_async()
    sent = time.monotonic() - before
    values = handle.get(timeout=60)
    seconds = time.monotonic() - before

    assert values == ["rested"] * MANY
    figure(f"{MANY:,} tasks that sleep 1 s: {seconds:.2f} s to the last result, {sent:.2f} s of it sending")
    assert (
        seconds < 20
    )  # one by one they would take an hour and a half; the bound leaves room for what else this machine does


def test_a_task_is_revoked_while_it_runs_and_its_neighbour_goes_on_in_the_same_process(
    stack, programs, log, gate
):
    asyncio_worker(programs, stack, "-c", "10")
    wait = stack.app.signature(f"{TASKS}.await_gate", [str(log), str(gate)])
    revoked, neighbour = wait.clone().apply_async(), wait.clone().apply_async()
    wait_until(lambda: len(read_events(log, "started")) == 2)

    revoked.revoke(terminate=True)
    error = revoked.get(timeout=30, propagate=False)

    assert type(error).__name__ == "TaskRevokedError"
    assert states(stack.app, [neighbour.id]) == ["STARTED"]
    gate.touch()
    assert neighbour.get(timeout=30) == "done"
    assert wait.clone().apply_async().get(timeout=30) == "done"
    assert len({line["pid"] for line in read_lines(log)}) == 1
