"""What was cancelled stays cancelled: after all workers were killed, and the server that broker and store are on was killed, too."""

from __future__ import annotations

import signal
from contextlib import closing

import pytest
from backbeat.canvas import chain

from chaos.own_server import SQL, OwnServer
from support.journal import read_events
from support.processes import wait_until
from support.stacks import Stack

TASKS = "support.acceptance_tasks"


@pytest.fixture(params=["redis", "postgres"])
def own(request):
    """A server of the test's own, and the stack on it."""
    with closing(OwnServer(request.param)) as server:
        url = server.create_database("canvas") if server.kind in SQL else server.url()
        stack = Stack(request.param, url, url)
        yield server, stack
        stack.app.close()


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("scope", "ran"), [("all", 0), ("rest", 1)])
def test_a_cancel_stands_when_all_workers_and_the_server_were_killed(own, programs, tmp_path, scope, ran):
    server, stack = own
    log = tmp_path / "log.jsonl"
    worker = programs.start(*stack.options, "worker", "-c", 1)
    worker.wait_for("ready$")
    step = stack.app.signature(f"{TASKS}.note_time", [str(log)], immutable=True)
    canvas = chain(step.clone().set(countdown=2.0), step, step)
    canvas.freeze()
    last = canvas.apply_async()
    middle = last.parent
    (last if scope == "all" else middle).revoke(scope=scope)
    worker.send(signal.SIGKILL)
    wait_until(lambda: not worker.processes)
    server.end(server.crash_signal)
    server.start()

    programs.start(*stack.options, "worker", "-c", 1).wait_for("ready$")
    handles = [middle.parent, middle, last]
    wait_until(lambda: all(stack.app.AsyncResult(handle.id).ready() for handle in handles))
    canvas.apply_async()  # under the same ids, as somebody does who does not know whether it was sent
    assert stack.app.send_task(f"{TASKS}.add", [1, 2], countdown=2.5).get(timeout=60) == 3

    states = [str(stack.app.AsyncResult(handle.id).state) for handle in handles]
    assert states == ["SUCCESS"] * ran + ["REVOKED"] * (3 - ran)
    assert len(read_events(log, "ran")) == ran
