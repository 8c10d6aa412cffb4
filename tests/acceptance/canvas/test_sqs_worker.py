"""Real workers whose broker is Amazon SQS (an emulator): with results in Redis the kinds of work there are, and a worker that is killed;
without results, what waits for longer than SQS would leave it alone.
"""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from backbeat.canvas import App, chain, chord

from support.journal import read_events
from support.processes import TESTS, wait_until
from support.sqs_server import own_sqs
from support.stacks import Stack, own_redis_database, states

TASKS = "support.acceptance_tasks"
VISIBILITY = 3
OPTIONS = {"visibility_timeout": VISIBILITY, "wait_time_seconds": 1}
APP = f"""
from support.acceptance_tasks import app

app.conf.broker_transport_options = {OPTIONS}
"""
MEMBERS = 6
SECONDS = 60


@pytest.fixture
def server():
    with own_sqs() as started:
        yield started


@pytest.fixture
def start(programs, tmp_path):
    """Starts `backbeat ...` for an app with these options."""
    (tmp_path / "on_sqs.py").write_text(APP)
    path = os.pathsep.join([str(tmp_path), str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    environ = {"PYTHONPATH": path, "BACKBEAT_TEST_LEASE": "3"}
    return lambda *arguments: programs.start("-A", "on_sqs:app", *arguments, environ=environ)


@pytest.mark.timeout(300)
def test_calls_chains_chords_and_retries_end_also_when_a_worker_is_killed(start, server, tmp_path):
    log, gate = tmp_path / "log.jsonl", tmp_path / "gate"
    with own_redis_database() as redis:
        stack = Stack("sqs+redis", server.url, redis)
        task, where = stack.app.signature, ["-b", server.url, "--result-backend", redis]
        victim, other = (start(*where, "worker", "-c", 1) for _ in range(2))
        for worker in (victim, other):
            worker.wait_for("ready$")

        called = task(f"{TASKS}.add", [1, 2]).delay()
        chained = chain(task(f"{TASKS}.add", [1, 2]), task(f"{TASKS}.add", [4]), task(f"{TASKS}.add", [8]))()
        retried = task(f"{TASKS}.succeed_second", [str(log)]).delay()
        failed = task(f"{TASKS}.fail", ["Ünglück 🂡"]).delay()
        assert called.get(timeout=SECONDS) == 3
        assert chained.get(timeout=SECONDS) == 15
        assert retried.get(timeout=SECONDS) == 1
        with pytest.raises(ValueError, match="Ünglück 🂡"):
            failed.get(timeout=SECONDS)

        header = [
            task(f"{TASKS}.member", kwargs={"index": index, "log": str(log), "gate": str(gate)})
            for index in range(MEMBERS)
        ]
        joined = chord(header)(task(f"{TASKS}.body", kwargs={"log": str(log)}))
        wait_until(
            lambda: len(read_events(log, "started")) == MEMBERS, what=lambda: f"{victim.text}\n{other.text}"
        )
        running = [
            line for line in read_events(log, "started") if line["index"] >= 4
        ]  # the others ended at once
        struck = {line["id"] for line in running if line["pid"] in victim.processes}
        os.kill(victim.pid, signal.SIGKILL)
        wait_until(lambda: not victim.processes)
        gate.touch()

        assert joined.get(timeout=SECONDS) == sum(range(MEMBERS))
        assert states(stack.app, [part.id for part in joined.parent.results]) == ["SUCCESS"] * MEMBERS
        assert [line["id"] for line in read_events(log, "body")] == [joined.id]
        starts = [line["id"] for line in read_events(log, "started")]
        assert len(struck) == 1
        assert {id_ for id_ in starts if starts.count(id_) > 1} == struck
        other.send(signal.SIGTERM)
        assert other.wait() == 0, other.text
        assert not other.matches("ERROR.*(boto|sqs)"), other.text
        stack.app.close()


@pytest.mark.timeout(120)
def test_without_results_what_runs_or_waits_for_longer_than_the_visibility_timeout_runs_once(
    start, server, tmp_path
):
    log, gate = tmp_path / "log.jsonl", tmp_path / "gate"
    app = App("client", broker=server.url, set_as_current=False)
    workers = [start("-b", server.url, "worker", "-c", 1) for _ in range(2)]
    for worker in workers:
        worker.wait_for("ready$")

    app.signature(f"{TASKS}.wait_at_gate", [str(log), str(gate)]).delay()
    sent = time.time()
    later = app.signature(f"{TASKS}.note_time", [str(log)]).apply_async(countdown=2 * VISIBILITY + 1)
    opening = threading.Timer(3 * VISIBILITY, gate.touch)
    opening.start()
    wait_until(lambda: read_events(log, "ran"), what=lambda: "\n".join(worker.text for worker in workers))
    opening.join()
    for worker in workers:
        worker.send(signal.SIGTERM)
    assert [worker.wait() for worker in workers] == [0, 0]

    assert len(read_events(log, "started")) == 1
    (noted,) = read_events(log, "ran")
    assert noted["id"] == later.id
    assert noted["at"] >= sent + 2 * VISIBILITY
    app.close()


@pytest.mark.timeout(120)
def test_a_killed_worker_s_task_runs_elsewhere_after_the_visibility_timeout_also_without_results(
    start, server, tmp_path
):
    log, gate = tmp_path / "log.jsonl", tmp_path / "gate"
    app = App("client", broker=server.url, set_as_current=False)
    victim = start("-b", server.url, "worker", "-c", 1)
    victim.wait_for("ready$")
    app.signature(f"{TASKS}.wait_at_gate", [str(log), str(gate)]).delay()
    wait_until(lambda: read_events(log, "started"), what=lambda: victim.text)

    os.kill(victim.pid, signal.SIGKILL)
    killed = time.monotonic()
    other = start("-b", server.url, "worker", "-c", 1)

    wait_until(lambda: len(read_events(log, "started")) == 2, what=lambda: other.text)
    assert time.monotonic() - killed < 5 * VISIBILITY
    gate.touch()
    app.close()


def test_workers_are_not_asked_over_sqs_and_the_command_says_so(programs, start, server):
    worker = start("-b", server.url, "worker", "-c", 1)
    worker.wait_for("ready$")

    code, said = programs.run("-A", TASKS, "-b", server.url, "inspect", "ping")

    assert code == 2
    assert "carries no remote control" in said
    assert "a/secret" not in said
    assert "secret" not in worker.text
