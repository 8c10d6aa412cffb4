"""Dead letters from the command line: seen, shown, sent again to a worker that can run them, and dropped."""

from __future__ import annotations

import json
import signal

import pytest
from backbeat.canvas.envelope import unpack
from backbeat.canvas.wire import from_wire

from support.processes import wait_until
from support.stacks import COMMAND_STACKS
from support.thorough import in_turn

pytestmark = pytest.mark.parametrize("stack", in_turn(COMMAND_STACKS, always=["redis"]), indirect=True)

LATER = """
from backbeat.canvas import App

app = App("acceptance")


@app.task(name="later.defined")
def defined(number, more):
    return [number, more]
"""
ARGS = [1, {"a": 2}]


@pytest.fixture
def dead(programs, stack):
    """Runs `backbeat --json dead ...`; its exit code and what it says."""

    def run(*arguments):
        return programs.run(*stack.options, "--json", "dead", *arguments)

    return run


def refused(stack, worker):
    """A task that this worker does not know, refused."""
    letters = len(stack.dead_letters())
    handle = stack.app.send_task("later.defined", ARGS)
    wait_until(lambda: len(stack.dead_letters()) > letters, what=lambda: worker.text)
    return handle


def listed(dead):
    code, said = dead("list")
    assert code == 0, said
    return json.loads(said)


@pytest.mark.timeout(300)
def test_a_dead_letter_is_seen_and_shown_and_runs_again_where_its_task_is_known(
    stack, programs, dead, tmp_path
):
    (tmp_path / "later.py").write_text(LATER)
    worker = programs.start(*stack.options, "worker", "-P", "solo")
    worker.wait_for("ready$")
    handle = refused(stack, worker)

    (letter,) = listed(dead)
    code, said = dead("show", letter["key"])
    shown = json.loads(said)
    raw = from_wire(unpack(shown["raw"]), shown["queue"])
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0, worker.text
    other = programs.start("-A", "later", *stack.options[2:], "worker", "-P", "solo")
    other.wait_for("ready$")
    requeued = dead("requeue", letter["key"])

    assert code == 0
    assert (letter["id"], letter["task"], letter["args"]) == (handle.id, "later.defined", ARGS)
    assert (shown["key"], shown["args"], shown["queue"]) == (letter["key"], ARGS, "celery")
    assert (raw.id, json.loads(raw.args)) == (handle.id, ARGS)
    assert (requeued[0], json.loads(requeued[1])) == (0, {"requeued": [letter["key"]], "kept": []})
    wait_until(lambda: handle.state == "SUCCESS", what=lambda: other.text)
    assert handle.get(timeout=0) == ARGS
    assert listed(dead) == []
    assert dead("requeue", letter["key"])[0] == 1


@pytest.mark.timeout(300)
def test_dead_letters_are_dropped_by_key_or_all_of_them(stack, programs, dead):
    worker = programs.start(*stack.options, "worker", "-P", "solo")
    worker.wait_for("ready$")
    handles = [refused(stack, worker) for _ in range(3)]
    keys = [letter["key"] for letter in listed(dead)]

    both, said = dead("drop", *keys[:2], "--all")
    neither, _ = dead("drop")
    assert [letter["key"] for letter in listed(dead)] == keys
    one = dead("drop", keys[0])
    rest = dead("drop", "--all")

    assert (both, neither) == (2, 2)
    assert "not both" in said
    assert [(code, json.loads(text)) for code, text in (one, rest)] == [
        (0, {"dropped": 1}),
        (0, {"dropped": 2}),
    ]
    assert listed(dead) == []
    assert [handle.state for handle in handles] == ["FAILURE"] * 3
