"""Commands of the command line that need an app, a result, or both."""

from __future__ import annotations

import pytest

from support.stacks import open_stack

TASKS = "support.acceptance_tasks"
SPEAKING = """
import logging
from backbeat.canvas import App
app = App("speaking")

@app.task(name="speaking.speak")
def speak():
    return logging.getLogger("speaking").getEffectiveLevel()
"""


@pytest.fixture
def stack(tmp_path):
    with open_stack("sqlite", tmp_path) as opened:
        yield opened


def test_the_traceback_of_a_task_that_fails_while_it_is_waited_for_is_printed(stack, programs):
    handle = stack.app.send_task(f"{TASKS}.fail", ["out of paper"])
    asked = programs.start(*stack.options, "result", handle.id, "--traceback", "--wait", "60")

    programs.start(*stack.options, "worker", "-c", "1").wait_for("ready$")

    assert asked.wait(60) == 1
    assert "Traceback (most recent call last)" in asked.text
    assert "out of paper" in asked.text


@pytest.mark.parametrize("command", ["worker", "dev"])
def test_what_runs_tasks_does_not_start_without_an_app(programs, command):
    code, text = programs.run("-b", "sqlite:///queue.db", command)

    assert code == 2
    assert "which app?" in text
    assert "Traceback" not in text


@pytest.mark.parametrize(("level", "number"), [("DEBUG", 10), ("ERROR", 40)])
def test_the_log_level_is_that_of_tasks_in_children_too(stack, programs, tmp_path, level, number):
    (tmp_path / "speaking.py").write_text(SPEAKING)
    programs.start("-A", "speaking", "-b", stack.broker, "worker", "-c", "1", "-l", level)

    assert stack.app.send_task("speaking.speak").get(timeout=60) == number
