"""Messages that no worker can run, put into the queue by whoever can reach it: refused, written down, and the worker lives on."""

from __future__ import annotations

import re
import signal
import time

import pytest

from support.hostile import hostiles_for
from support.processes import wait_until
from support.stacks import STACKS, open_stack
from support.thorough import long

ADD = "support.acceptance_tasks.add"


@pytest.fixture(params=[long(name) if name == "sqlite" else name for name in STACKS])
def stack(request, tmp_path):
    with open_stack(request.param, tmp_path) as opened:
        yield opened


def send_all(stack, marker):
    """Send what is hostile, and after each a good message; returns by its name the id of each that can be told by one, and the good ones."""
    ids, good = {}, {}
    for hostile in hostiles_for(stack, marker, ADD):
        hostile.send(stack)
        ids[hostile.what] = hostile.id
        good[hostile.what] = stack.app.send_task(ADD, [20, 22])
    return ids, good


@pytest.mark.timeout(300)
def test_hostile_messages_do_not_stop_a_worker(stack, programs, tmp_path, figure):
    marker = tmp_path / "the-pickle-was-loaded"
    worker = programs.start(*stack.options, "worker", "-c", 1)
    worker.wait_for("ready$")
    begun = time.monotonic()

    ids, good = send_all(stack, marker)
    assert len(ids) > 40

    def answer():
        return all(handle.ready() for handle in good.values()) and len(stack.dead_letters()) >= len(ids)

    wait_until(answer, 120, what=lambda: missing(stack, ids, worker))
    seconds = time.monotonic() - begun
    assert {what: handle.get(timeout=0) for what, handle in good.items()} == dict.fromkeys(ids, 42)
    assert not marker.exists()
    letters = stack.dead_letters()
    assert len(letters) == len(ids)
    assert sorted(str(letter["task_id"]) for letter in letters) == sorted(map(str, ids.values()))
    assert all(letter["reason"] for letter in letters)
    for what, id_ in ids.items():
        if id_ is not None:
            assert stack.app.AsyncResult(id_).state == "FAILURE", what
    unknown = stack.app.AsyncResult(ids["unknown task"]).get(timeout=0, propagate=False)
    assert type(unknown).__name__ == "NotRegistered"
    errors = [line for _, line in worker.lines if "ERROR" in line]
    assert len(errors) == len(ids), "\n".join(errors)
    assert all(len(line) < 2_000 for line in errors)
    others = [line for _, line in worker.lines if re.search("Traceback|WARNING|^  File", line)]
    assert others == []
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    figure(
        f"{stack.name}: {len(ids)} hostile messages, {len(letters)} dead letters, {len(errors)} error lines in {seconds:.1f} s"
    )


def missing(stack, ids, worker):
    letters = stack.dead_letters()
    known = {letter["task_id"] for letter in letters}
    lacking = [what for what, id_ in ids.items() if id_ is not None and id_ not in known]
    return f"{len(letters)} dead letters of {len(ids)}; none for {lacking}\n{worker.text[-8000:]}"
