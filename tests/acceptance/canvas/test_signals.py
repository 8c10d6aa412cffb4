"""What a project hears of its programs: a worker and a beat, from their beginning to SIGTERM."""

from __future__ import annotations

import os
import signal

import pytest
from backbeat.canvas import App

from support.journal import read_lines
from support.processes import wait_until
from support.stacks import GREEN_POOLS, open_stack
from support.telling_app import NAME, PATH


@pytest.fixture
def stack(tmp_path):
    with open_stack("sqlite", tmp_path) as opened:
        opened.tasks = f"{NAME}:app"
        yield opened


@pytest.fixture
def told(tmp_path):
    return tmp_path / "told"


@pytest.mark.parametrize("pool", ["processes", "threads", "asyncio", *GREEN_POOLS, "solo"])
def test_a_worker_tells_of_its_life_and_its_children_of_theirs(programs, stack, told, pool):
    worker = programs.start(*stack.options, "worker", "-c", "1", "-P", pool, environ={PATH: str(told)})
    worker.wait_for("^ours: ready$")
    app = App("sends", broker=stack.broker, backend=stack.backend, set_as_current=False)
    assert app.send_task("divide", (6, 3)).get(timeout=60) == 2.0
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait() == 0, worker.text
    app.close()

    lines = read_lines(told)
    ours = [line["what"] for line in lines if line["pid"] == worker.pid]
    children = [line["what"] for line in lines if line["pid"] != worker.pid]
    life = [
        "celeryd_init",
        "celeryd_after_setup",
        "worker_init",
        "worker_ready",
        "worker_shutting_down",
        "worker_shutdown",
    ]
    assert [what for what in ours if what in life] == life
    assert ours.index("setup_logging") < ours.index("celeryd_init")
    assert "after_setup_logger" not in ours  # a receiver of setup_logging leaves that to it
    runs = ours if pool == "solo" else children
    assert "worker_process_init" in runs
    assert [
        what
        for what in runs
        if what
        in ("task_prerun", "before_start", "on_success", "after_return", "task_success", "task_postrun")
    ] == [
        "task_prerun",
        "before_start",
        "on_success",
        "after_return",
        "task_success",
        "task_postrun",
    ]
    if pool != "solo":
        assert children.count("worker_process_shutdown") >= 1


def test_a_beat_tells_that_it_begins(programs, stack, told, tmp_path):
    beat = programs.start(*stack.options, "beat", environ={PATH: str(told)})
    wait_until(lambda: any(line["what"] == "beat_init" for line in read_lines(told)), what=lambda: beat.text)
    os.kill(beat.pid, signal.SIGTERM)

    assert beat.wait() == 0, beat.text
