"""What holds whatever pool a worker has: retries, limits, early acknowledgement, tasks that kill their process, and terminate."""

from __future__ import annotations

import os
import signal

import pytest
from backbeat.canvas.errors import TaskRevokedError, WorkerLostError

from support.journal import read_events, read_lines
from support.processes import wait_until
from support.stacks import GREEN_POOLS, open_stack, states

TASKS = "support.acceptance_tasks"
POOLS = ["processes", "threads", "asyncio", *GREEN_POOLS]


@pytest.fixture
def stack(tmp_path):
    with open_stack("sqlite", tmp_path) as opened:
        yield opened


@pytest.fixture(params=POOLS)
def worker(request, start_worker):
    return start_worker("-P", request.param, concurrency=3)


@pytest.mark.timeout(180)
def test_retries_limits_losses_and_terminate_hold_on_every_pool(stack, worker, log, gate, tmp_path):
    def sig(name, *args, **options):
        return stack.app.signature(f"{TASKS}.{name}", args).set(**options)

    neighbour = sig("wait_at_gate", str(tmp_path / "beside"), str(gate)).apply_async()
    retried = sig("succeed_second", str(tmp_path / "retried")).apply_async()
    limited = sig("wait_at_gate", str(log), str(gate), time_limit=0.3).apply_async()
    told = sig("wait_at_gate", str(log), str(gate), soft_time_limit=0.3).apply_async()

    assert retried.get(timeout=60) == 1
    assert type(limited.get(timeout=60, propagate=False)).__name__ == "TimeLimitExceeded"
    assert type(told.get(timeout=60, propagate=False)).__name__ == "SoftTimeLimitExceeded"
    revoked = sig("wait_at_gate", str(tmp_path / "revoked"), str(gate)).apply_async()
    wait_until(lambda: read_events(tmp_path / "revoked", "started"), what=lambda: worker.text)
    revoked.revoke(terminate=True)
    assert isinstance(revoked.get(timeout=60, propagate=False), TaskRevokedError)
    assert states(stack.app, [neighbour.id]) == ["STARTED"]
    gate.touch()
    assert neighbour.get(timeout=60) == "done"
    assert len(read_events(tmp_path / "beside", "started")) == 1  # what became of the others did not touch it


@pytest.mark.timeout(180)
def test_a_task_that_kills_its_process_ends_and_the_next_one_runs(stack, worker, tmp_path):
    log = tmp_path / "dies"
    error = stack.app.send_task(f"{TASKS}.die_always", [str(log)]).get(timeout=100, propagate=False)

    assert isinstance(error, WorkerLostError)
    assert len(read_lines(log)) == 3
    assert stack.app.send_task(f"{TASKS}.add", [1, 2]).get(timeout=60) == 3


@pytest.mark.timeout(180)
def test_what_was_acknowledged_early_is_lost_with_its_process_and_not_run_again(stack, worker, log, gate):
    handle = stack.app.send_task(f"{TASKS}.wait_early", [str(log), str(gate)])
    wait_until(lambda: read_events(log, "started"), what=lambda: worker.text)

    os.kill(read_lines(log)[0]["pid"], signal.SIGKILL)

    assert isinstance(handle.get(timeout=60, propagate=False), WorkerLostError)
    assert len(read_events(log, "started")) == 1
