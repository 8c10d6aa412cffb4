"""What `backbeat worker` takes besides: -I, --purge and -B; and which queues it serves."""

from __future__ import annotations

import signal

import pytest

from support.acceptance_tasks import NAME
from support.journal import read_lines
from support.processes import wait_until
from support.stacks import IS_WHOLE, STACKS, states

pytestmark = pytest.mark.parametrize("stack", STACKS if IS_WHOLE else ["redis"], indirect=True)
"""What is shown here is the worker's own doing; all brokers have their part in the conformance suites."""

EXTRA = """
from backbeat.canvas import shared_task

@shared_task(name="extra.double")
def double(x):
    return 2 * x
"""
SCHEDULES = """
schedules:
  quick: {every: 250ms, task: support.acceptance_tasks.note_firing, kwargs: {log: LOG}}
"""


def ended(worker):
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0, worker.text
    assert "Traceback" not in worker.text


@pytest.mark.parametrize("pool", ["processes", "solo"])
def test_modules_that_are_included_have_tasks_that_run(stack, start_worker, programs, tmp_path, pool):
    (tmp_path / "extra_module.py").write_text(EXTRA)
    worker = start_worker("-I", "extra_module", "-P", pool)

    assert stack.app.send_task("extra.double", [21]).get(timeout=60) == 42
    ended(worker)


def test_purge_revokes_what_waits_in_the_queues_to_serve_and_says_how_many(stack, start_worker):
    send = stack.app.send_task
    waiting = [send(f"{NAME}.add", [n, 1]) for n in range(30)]
    chain = (
        stack.app.signature(f"{NAME}.add", [1, 2]) | stack.app.signature(f"{NAME}.add", [3])
    ).apply_async()
    elsewhere = send(f"{NAME}.add", [20, 22], queue="elsewhere")

    worker = start_worker("--purge")
    after = send(f"{NAME}.add", [40, 2])

    assert after.get(timeout=60) == 42
    assert set(states(stack.app, [handle.id for handle in waiting])) == {"REVOKED"}
    wait_until(chain.ready, 30.0)
    assert chain.state != "SUCCESS"
    assert worker.matches(r"purged\s+31 messages")
    ended(worker)
    assert not elsewhere.ready()
    ended(start_other := start_worker("-Q", "elsewhere"))
    assert "purged" not in start_other.text


def test_a_beat_beside_the_worker_sends_what_is_due_and_stops_with_it(stack, start_worker, log, tmp_path):
    path = tmp_path / "schedules.yaml"
    path.write_text(SCHEDULES.replace("LOG", str(log)))

    worker = start_worker("-B", "-s", str(path))
    wait_until(lambda: len(read_lines(log)) >= 3, 60.0, what=lambda: worker.text)
    ended(worker)

    ids = [line["id"] for line in read_lines(log)]
    assert len(ids) == len(set(ids))


def test_schedules_without_a_beat_are_a_mistake(stack, programs, tmp_path):
    worker = programs.start(*stack.options, "worker", "-s", str(tmp_path / "schedules.yaml"))

    assert worker.wait() == 2
    assert "add -B, or run backbeat beat -s FILE" in worker.text
