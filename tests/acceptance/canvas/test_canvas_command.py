"""A canvas from the command line: shown, made to go on where it failed, cancelled; and a cancel that outlives its workers."""

from __future__ import annotations

import json
import signal
import xml.etree.ElementTree as ET

import pytest
from backbeat.canvas import chain, chord
from backbeat.canvas.errors import ChordError

from support.journal import read_lines
from support.stacks import COMMAND_STACKS
from support.thorough import in_turn

pytestmark = pytest.mark.parametrize("stack", in_turn(COMMAND_STACKS, always=["redis"]), indirect=True)


@pytest.fixture
def canvas(programs, stack):
    """Runs `backbeat canvas ...`; its exit code and what it says."""

    def run(*arguments, as_json=False):
        return programs.run(*stack.options, *(["--json"] if as_json else []), "canvas", *arguments)

    return run


def state(stack, handle):
    return stack.app.AsyncResult(handle.id).state


@pytest.mark.timeout(300)
def test_what_failed_runs_again_and_what_succeeded_does_not(stack, canvas, start_worker, tmp_path):
    log, broken = tmp_path / "log", tmp_path / "broken"
    broken.touch()
    add, total = (stack.app.signature(f"support.acceptance_tasks.{name}") for name in ("counted", "total"))
    worker = start_worker()
    members = [add.clone((str(log), number, str(broken) if number == 1 else "")) for number in range(3)]
    handle = chord(members, total).apply_async()
    with pytest.raises(ChordError, match="broken as it was to be"):
        handle.get(timeout=60)

    code, text = canvas("show", handle.id)
    assert (code, text.count("SUCCESS"), text.count("FAILURE")) == (0, 2, 2), worker.text
    data = json.loads(canvas("show", handle.id, as_json=True)[1])["canvases"][0]
    assert data["id"] == handle.id
    assert [task["state"] for task in data["tasks"]] == ["SUCCESS", "FAILURE", "SUCCESS", "FAILURE"]
    picture = tmp_path / "canvas.svg"
    assert canvas("show", handle.id, "-f", "svg", "-o", str(picture))[0] == 0
    assert ET.parse(picture).getroot().tag.endswith("svg")

    broken.unlink()
    assert json.loads(canvas("retry", handle.id, "--failed", as_json=True)[1]) == {
        "failed": 1,
        "dependents": 1,
        "stuck": [],
    }
    assert stack.app.AsyncResult(handle.id).get(timeout=60) == 3, worker.text
    assert sorted(line["number"] for line in read_lines(log)) == [0, 1, 1, 2]
    assert canvas("retry", handle.id, "--failed")[0] == 1


@pytest.mark.timeout(300)
def test_a_cancel_outlives_all_workers(stack, canvas, start_worker, tmp_path):
    log = tmp_path / "log"
    counted = stack.app.signature("support.acceptance_tasks.counted")
    sig = chain(*(counted.clone((str(log), number, ""), immutable=True) for number in range(3)))
    handle = sig.apply_async(countdown=3)

    assert canvas("cancel", handle.id)[0] == 0
    assert [state(stack, part) for part in (handle.parent.parent, handle.parent, handle)] == ["REVOKED"] * 3
    first = start_worker()
    first.send(signal.SIGKILL)
    first.wait()
    second = start_worker()
    after = counted.clone((str(log), 9, "")).apply_async(countdown=5)

    assert after.get(timeout=60) == 9, second.text
    assert [line["number"] for line in read_lines(log)] == [9]
    assert state(stack, handle) == "REVOKED"


@pytest.mark.timeout(120)
def test_what_nobody_knows_is_said(stack, canvas):
    code, text = canvas("show", "nowhere")

    assert code == 1
    assert "nothing is known of canvas nowhere" in text
