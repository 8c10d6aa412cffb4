"""Real workers whose broker, results and canvases are one MariaDB database: the kinds of work there are, and a worker that is killed."""

from __future__ import annotations

import os
import signal

import pytest
from backbeat.canvas import chain, chord

from support.journal import read_events
from support.processes import wait_until
from support.servers import own_database
from support.stacks import Stack, states

TASKS = "support.acceptance_tasks"
MEMBERS = 6
SECONDS = 60


@pytest.fixture
def stack():
    with own_database("mariadb") as url:
        opened = Stack("mariadb", url.replace("mysql+pymysql", "mariadb"), url.replace("+pymysql", ""))
        yield opened
        opened.app.close()


@pytest.mark.timeout(300)
def test_calls_chains_chords_and_retries_end_also_when_a_worker_is_killed(programs, stack, tmp_path):
    log, gate, task = tmp_path / "log.jsonl", tmp_path / "gate", stack.app.signature
    victim, other = (programs.start(*stack.options, "worker", "-c", 1) for _ in range(2))
    for worker in (victim, other):
        worker.wait_for("ready$")

    called = task(f"{TASKS}.add", [1, 2]).delay()
    chained = chain(task(f"{TASKS}.add", [1, 2]), task(f"{TASKS}.add", [4]), task(f"{TASKS}.add", [8]))()
    retried = task(f"{TASKS}.succeed_second", [str(log)]).delay()
    failed = task(f"{TASKS}.fail", ["Ünglück 🂡"]).delay()

    assert called.get(timeout=SECONDS) == 3
    assert chained.get(timeout=SECONDS) == 15
    assert retried.get(timeout=SECONDS) == 1
    assert [line["retries"] for line in read_events(log, "attempt")] == [0, 1]
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
    running = [line for line in read_events(log, "started") if line["index"] >= 4]  # the others ended at once
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
    assert not other.matches("pymysql|sqlalchemy"), other.text
