"""Time limits of the command line, on tasks whose messages carry none."""

from __future__ import annotations

import time

import pytest
from backbeat.canvas import chord

from support.journal import read_events, read_lines
from support.processes import wait_until
from support.stacks import GREEN_POOLS, open_stack, states

TASKS = "support.acceptance_tasks"

LIMITED = """
from backbeat.canvas import App

app = App("limited")
app.task(name="limited.one", time_limit=5)(print)
app.task(name="limited.two", time_limit=5)(print)
"""


@pytest.fixture
def stack(tmp_path):
    with open_stack("sqlite", tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("pool", ["processes", "threads", "asyncio", *GREEN_POOLS])
def test_a_task_beyond_the_worker_s_limit_ends_and_its_neighbour_goes_on(stack, programs, tmp_path, pool):
    log, gate = tmp_path / "log.jsonl", tmp_path / "gate"
    limits = ["--time-limit", "300", "--soft-time-limit", "2", "--max-tasks-per-child", "50"]
    worker = programs.start(*stack.options, "worker", "-P", pool, "-c", "2", *limits)
    worker.wait_for("ready$")
    wait = stack.app.signature(f"{TASKS}.wait_at_gate", kwargs={"log": str(log), "gate": str(gate)})

    neighbour = wait.clone().apply_async(soft_time_limit=300)
    hard = wait.clone().apply_async(time_limit=0.3)
    hard_error = hard.get(timeout=30, propagate=False)
    soft_error = wait.clone().apply_async().get(timeout=30, propagate=False)

    assert type(hard_error).__name__ == "TimeLimitExceeded"
    assert str(hard_error) == "the task ran longer than its time limit of 0.3 s"
    assert type(soft_error).__name__ == "SoftTimeLimitExceeded"
    assert str(soft_error) == "the task ran longer than its soft time limit of 2.0 s"
    assert states(stack.app, [neighbour.id]) == ["STARTED"]
    gate.touch()
    assert neighbour.get(timeout=30) == "done"


@pytest.mark.timeout(120)
def test_a_hung_child_is_replaced_and_the_next_task_runs_soon_after_its_hard_limit(
    stack, programs, tmp_path, figure
):
    log, limit = tmp_path / "log.jsonl", 0.3
    worker = programs.start(*stack.options, "worker", "-P", "processes", "-c", "1")
    worker.wait_for("ready$")

    sent_at = []
    for how in ("stopped", "deaf", "stopped", "deaf", "stopped"):
        sent_at.append(time.time())  # it begins a little later, so that what is counted is too much
        stack.app.signature(f"{TASKS}.hang", [str(log), how]).set(time_limit=limit).apply_async()
        after = stack.app.send_task(f"{TASKS}.note_time", [str(log)])
        after.get(timeout=30)

    hung, ran = read_events(log, "hangs"), read_events(log, "ran")
    gaps = sorted(line["at"] - sent - limit for line, sent in zip(ran, sent_at, strict=True))
    assert len({line["pid"] for line in hung}) == 5  # each of them was another child
    assert not {line["pid"] for line in hung} & set(worker.processes)
    figure(f"limit to the next task, which waits for a new child: p50 {gaps[2]:.3f} s, max {gaps[-1]:.3f} s")
    assert gaps[2] < 1.0


@pytest.mark.timeout(180)
def test_a_chord_with_a_member_that_cannot_end_well_settles_and_calls_its_errback_once(
    stack, programs, tmp_path
):
    worker = programs.start(*stack.options, "worker", "-P", "processes", "-c", "2")
    worker.wait_for("ready$")

    def sig(name, *args, **options):
        return stack.app.signature(f"{TASKS}.{name}", args).set(**options)

    runs, gate = str(tmp_path / "runs.jsonl"), str(tmp_path / "gate")
    members = {
        "EncodeError": sig("opaque"),
        "TimeLimitExceeded": sig("wait_at_gate", runs, gate, time_limit=0.3),
        "WorkerLostError": sig("die_always", runs),
    }
    tails = {}
    for what, bad in members.items():
        body = sig("total").on_error(sig("note_failure", str(tmp_path / what)))
        tails[what] = (chord([sig("add", 1, 2), bad], body) | sig("add", 1)).apply_async()

    for what, tail in tails.items():
        error = tail.get(timeout=60, propagate=False)
        log = tmp_path / what
        wait_until(log.exists, what=lambda: worker.text)
        assert type(error).__name__ == "ChordError"
        assert type(error.__cause__).__name__ == what
        assert states(stack.app, [tail.parent.id, tail.id]) == ["FAILURE"] * 2
        assert sorted(each.state for each in tail.parent.parent) == ["FAILURE", "SUCCESS"]
    assert sig("add", 1, 2).apply_async().get(timeout=30) == 3
    assert [len(read_lines(tmp_path / what)) for what in members] == [1, 1, 1]


def test_a_worker_does_not_start_with_a_limit_that_its_pool_cannot_keep(stack, programs):
    worker = programs.start(*stack.options, "worker", "-P", "solo", "--time-limit", "5")

    assert worker.wait() == 2
    assert "pool solo cannot keep the time_limit of setting task_time_limit" in worker.text


def test_a_worker_does_not_start_with_a_task_whose_limit_its_pool_cannot_keep(stack, programs, tmp_path):
    (tmp_path / "limited.py").write_text(LIMITED)
    options = ["-A", "limited", *stack.options[2:], "worker", "-P", "solo"]
    worker = programs.start(*options, environ={"PYTHONPATH": str(tmp_path)})

    assert worker.wait() == 2
    assert "pool solo cannot keep the time_limit of limited.one, limited.two" in worker.text


@pytest.mark.parametrize(
    "limit", ["--max-tasks-per-child", "--max-memory-per-child"], ids=["tasks", "KiB of memory"]
)
def test_a_process_is_replaced_after_the_number_of_tasks_or_the_memory_that_was_asked_for(
    stack, programs, tmp_path, limit
):
    log = tmp_path / "log.jsonl"
    programs.start(*stack.options, "worker", "-c", "1", limit, "1").wait_for("ready$")

    for _ in range(2):
        stack.app.send_task(f"{TASKS}.note_time", kwargs={"log": str(log)}).get(timeout=30)

    assert len({line["pid"] for line in read_lines(log)}) == 2
