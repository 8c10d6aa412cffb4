"""Workers that are killed, that lose their children, and that are told to stop, over each pair of broker and result backend."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections import Counter
from contextlib import contextmanager

import pytest
from backbeat.canvas import chord
from backbeat.canvas.worker.worker import SWEEP_SECONDS

from support.journal import read_events, read_lines
from support.processes import wait_until
from support.stacks import STACKS, open_stack, states
from support.thorough import in_turn

TASKS = "support.acceptance_tasks"
MEMBERS = 20
LEASE = 10.0


@pytest.fixture(params=in_turn(STACKS, always=["redis"]))
def stack(request, tmp_path):
    with open_stack(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture
def start_worker(programs, stack):
    def start(concurrency, **environ):
        worker = programs.start(*stack.options, "worker", "-c", concurrency, environ=environ)
        worker.wait_for("ready$")
        return worker

    return start


@pytest.mark.timeout(300)
def test_a_worker_killed_while_header_members_run(stack, start_worker, log, gate, figure):
    task = stack.app.signature
    victim, other = start_worker(2), start_worker(2)
    header = [
        task(f"{TASKS}.member", kwargs={"index": i, "log": str(log), "gate": str(gate)})
        for i in range(MEMBERS)
    ]

    handle = chord(header)(task(f"{TASKS}.body", kwargs={"log": str(log)}))
    wait_until(lambda: len(read_events(log, "started")) == 4 + 4, what=lambda: f"{victim.text}\n{other.text}")
    running = [line for line in read_events(log, "started") if line["index"] >= 4]
    struck = [line for line in running if line["pid"] in victim.processes]
    killed_at = time.monotonic()
    os.kill(victim.pid, signal.SIGKILL)
    wait_until(lambda: not victim.processes)
    gate.touch()
    value = handle.get(timeout=120)

    seconds = time.monotonic() - killed_at
    ids = [member.id for member in handle.parent.results]
    assert value == sum(range(MEMBERS))
    assert len(struck) == 2
    assert states(stack.app, ids) == ["SUCCESS"] * MEMBERS
    assert [member.get(timeout=0) for member in handle.parent.results] == list(range(MEMBERS))
    starts = Counter((line["index"], line["id"]) for line in read_events(log, "started"))
    assert starts.keys() == set(enumerate(ids))
    twice = {index for (index, _), count in starts.items() if count > 1}
    assert twice == {line["index"] for line in struck}
    assert [line["id"] for line in read_events(log, "body")] == [handle.id]
    # the other worker is on the same machine, and need not wait for the lease; nor for a sweep where RabbitMQ delivers again
    assert seconds < (SWEEP_SECONDS if stack.name.startswith("rabbitmq") else LEASE / 2)
    other.send(signal.SIGTERM)
    assert other.wait() == 0, other.text
    assert "Traceback" not in other.text
    figure(
        f"{stack.name}: settled {seconds:.2f} s after the kill (a lease is {LEASE:g} s), {len(twice)} members ran twice, the body once"
    )


@pytest.mark.timeout(300)
def test_a_killed_child_costs_only_its_own_task(stack, start_worker, log, figure):
    worker = start_worker(2)
    send, begun = stack.app.send_task, time.monotonic()

    once = send(f"{TASKS}.die_once", [str(log)])
    always = send(f"{TASKS}.die_always", [str(log)])
    others = [send(f"{TASKS}.add", [number, 1]) for number in range(20)]

    assert [other.get(timeout=60) for other in others] == list(range(1, 21))
    assert once.get(timeout=60) == "survived"
    error = always.get(timeout=60, propagate=False)
    seconds = time.monotonic() - begun
    assert always.state == "FAILURE"
    assert type(error).__name__ == "WorkerLostError"
    assert "3 workers were lost" in str(error)
    runs = Counter(line["id"] for line in read_lines(log))
    assert runs == {once.id: 2, always.id: 3}
    assert [(dead["task_id"], dead["reason"]) for dead in stack.dead_letters()] == [(always.id, str(error))]
    assert len(worker.matches(r"the process that ran task \S+ died")) == 1 + 3
    assert send(f"{TASKS}.add", [1, 1]).get(timeout=60) == 2
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0, worker.text
    figure(f"{stack.name}: all settled after {seconds:.2f} s, 2 runs and 3 runs")


@contextmanager
def service_manager(path):
    """The socket of a systemd: returns what wait_for_note needs."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notes:
        notes.bind(str(path))
        notes.settimeout(60)
        yield notes


def wait_for_note(notes, start):
    while not (note := notes.recv(4096).decode()).startswith(start):
        pass
    return note


@pytest.mark.timeout(300)
def test_sigterm_finishes_what_runs(stack, start_worker, log, gate, figure):
    worker = start_worker(1)
    running = stack.app.send_task(f"{TASKS}.wait_at_gate", [str(log), str(gate)])
    wait_until(lambda: read_events(log, "started"), what=lambda: worker.text)
    waiting = stack.app.send_task(f"{TASKS}.add", [1, 2])
    since = running.date_started

    worker.send_to_group(signal.SIGTERM)
    gate.touch()
    opened_at = time.monotonic()
    code = worker.wait()

    seconds = time.monotonic() - opened_at
    assert code == 0, worker.text
    assert running.get(timeout=0) == "done"
    assert running.date_started == since < running.date_done
    assert waiting.state == "PENDING"
    assert worker.processes == []
    assert "Traceback" not in worker.text
    next_at = time.monotonic()
    start_worker(1)
    assert waiting.get(timeout=60) == 3
    assert len(read_events(log, "started")) == 1
    figure(
        f"{stack.name}: exit {seconds:.2f} s after its task could end; the waiting task was done "
        f"{time.monotonic() - next_at:.2f} s after the start of the next worker"
    )


@pytest.mark.timeout(300)
def test_a_second_sigterm_hands_back_what_runs(stack, start_worker, log, gate, tmp_path, figure):
    with service_manager(tmp_path / "notify") as notes:
        worker = start_worker(1, NOTIFY_SOCKET=tmp_path / "notify")
        handle = stack.app.send_task(f"{TASKS}.wait_at_gate", [str(log), str(gate)])
        wait_until(lambda: read_events(log, "started"), what=lambda: worker.text)

        worker.send(signal.SIGTERM)
        wait_for_note(notes, "STOPPING=1")
        asked_at = time.monotonic()
        worker.send(signal.SIGTERM)
        code = worker.wait(30)
        ended = time.monotonic() - asked_at
    left = worker.processes
    started_at = time.monotonic()
    other = start_worker(1)
    wait_until(lambda: len(read_events(log, "started")) == 2, what=lambda: other.text)
    again = time.monotonic() - started_at
    gate.touch()

    assert code == 0, worker.text
    assert left == []
    assert handle.get(timeout=60) == "done"
    assert len(read_events(log, "started")) == 2
    assert len(read_events(log, "ended")) == 1
    assert again < 8  # a lease is 10 s
    figure(
        f"{stack.name}: exit {ended:.2f} s after the second SIGTERM, run again {again:.2f} s after another worker was started"
    )


@pytest.mark.timeout(300)
def test_signals_that_come_while_a_worker_takes_itself_apart_do_not_change_its_exit_code(programs, tmp_path):
    with open_stack("sqlite", tmp_path) as stack:
        worker = programs.start(*stack.options, "worker", "-P", "solo")
        worker.wait_for("ready$")

        def ends():
            worker.send(signal.SIGTERM)
            return not worker.runs

        wait_until(ends)
        assert worker.wait() == 0, worker.text
