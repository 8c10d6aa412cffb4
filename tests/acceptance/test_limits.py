"""Time limits of the command line, on tasks whose messages carry none."""

from __future__ import annotations

import pytest

from support.journal import read_lines
from support.stacks import open_stack, states

TASKS = "support.acceptance_tasks"


@pytest.fixture
def stack(tmp_path):
    with open_stack("sqlite", tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("pool", ["processes", "threads"])
def test_a_task_beyond_the_worker_s_limit_ends_and_its_neighbour_goes_on(stack, programs, tmp_path, pool):
    log, gate = tmp_path / "log.jsonl", tmp_path / "gate"
    limits = ["--time-limit", "300", "--soft-time-limit", "0.4", "--max-tasks-per-child", "50"]
    worker = programs.start(*stack.options, "worker", "-P", pool, "-c", "2", *limits)
    worker.wait_for("ready$")
    wait = stack.app.signature(f"{TASKS}.wait_at_gate", kwargs={"log": str(log), "gate": str(gate)})

    neighbour = wait.clone().apply_async(soft_time_limit=300)
    hard = wait.clone().apply_async(time_limit=0.3, soft_time_limit=300)
    hard_error = hard.get(timeout=30, propagate=False)
    soft_error = wait.clone().apply_async().get(timeout=30, propagate=False)

    assert type(hard_error).__name__ == "TimeLimitExceeded"
    assert str(hard_error) == "the task ran longer than its time limit of 0.3 s"
    assert type(soft_error).__name__ == "SoftTimeLimitExceeded"
    assert str(soft_error) == "the task ran longer than its soft time limit of 0.4 s"
    assert states(stack.app, [neighbour.id]) == ["STARTED"]
    gate.touch()
    assert neighbour.get(timeout=30) == "done"


def test_a_worker_does_not_start_with_a_limit_that_its_pool_cannot_keep(stack, programs):
    worker = programs.start(*stack.options, "worker", "-P", "solo", "--time-limit", "5")

    assert worker.wait() == 2
    assert "pool solo cannot keep the time_limit of setting task_time_limit" in worker.text


def test_a_process_is_replaced_after_the_number_of_tasks_that_was_asked_for(stack, programs, tmp_path):
    log = tmp_path / "log.jsonl"
    programs.start(*stack.options, "worker", "-c", "1", "--max-tasks-per-child", "1").wait_for("ready$")

    for _ in range(2):
        stack.app.send_task(f"{TASKS}.note_time", kwargs={"log": str(log)}).get(timeout=30)

    assert len({line["pid"] for line in read_lines(log)}) == 2
