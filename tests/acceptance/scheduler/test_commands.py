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


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--time-limit", "nan"], "Invalid value for '--time-limit': nan is not a number"),
        (["-Q", ""], "Invalid value for '-Q' / '--queues': '' has an empty name in it"),
        (["-P", "solo", "-c", "2"], "-c 2 cannot be: pool solo runs one task at a time"),
        (["-c", "1", "-X", "nosuch"], "queue 'nosuch' cannot be excluded: it would not be served anyway"),
        (["-c", "1", "-n", ""], "the node name (-n) must be a printable text"),
        (
            ["-c", "1", "--time-limit", "5", "--soft-time-limit", "5"],
            "task_soft_time_limit must be below task_time_limit: 5.0 is not below 5.0",
        ),
    ],
)
def test_a_worker_is_not_started_with_what_cannot_be_meant(stack, programs, options, text):
    code, told = programs.run(*stack.options, "worker", *options)

    assert code == 2
    assert text in " ".join(told.split())
    assert "Traceback" not in told


def test_a_project_with_a_setting_that_cannot_be_is_told_which_one(programs, tmp_path):
    (tmp_path / "wrong.py").write_text(
        "from backbeat.canvas import App\napp = App('wrong', task_acks_late='no')\n"
    )

    code, text = programs.run("-A", "wrong", "-b", "sqlite:///queue.db", "worker", "-c", "1")

    assert code == 2
    assert (
        f"at {tmp_path}/wrong.py:2: ImproperlyConfigured: task_acks_late must be True or False, found 'no'"
        in text
    )
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["-b", "", "call", "t"], "Invalid value for '-b' / '--broker': it is empty"),
        (["--result-backend", "", "worker"], "Invalid value for '--result-backend': it is empty"),
        (["-A", "", "worker"], "Invalid value for '-A' / '--app': it is empty"),
        (["-b", "memory://", "call", ""], "a task's name must be a printable text"),
        (["-b", "memory://", "result", ""], "a task's id must be a printable text"),
        (["-A", TASKS, "-b", "memory://", "worker", "-c", "1", "--web", ""], '--web "" is no address'),
    ],
)
def test_an_option_that_is_empty_is_not_as_if_it_were_not_there(programs, options, text):
    """It is what a variable of the shell gives that is not set; the app's own broker may be quite another one."""
    code, told = programs.run(*options)

    assert code == 2
    assert text in " ".join(told.split())
    assert "Traceback" not in told
