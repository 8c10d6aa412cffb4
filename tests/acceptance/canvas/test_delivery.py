"""What is accepted is ended, whatever dies: early acks, the grace of a stop, termination, revokes and timers, with real workers."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from backbeat.canvas.errors import TaskRevokedError, WorkerLostError

from support.journal import read_events
from support.processes import wait_until
from support.proxy import Proxy
from support.stacks import GREEN_POOLS, IS_WHOLE, SHORT_LEASE, open_stack

TASKS = "support.acceptance_tasks"


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("stack", "pool", "lease"),
    [
        ("sqlite", "processes", 0.5),
        ("sqlite", "threads", SHORT_LEASE),
        # the worker renews, whatever runs in its children
        *(("sqlite", pool, SHORT_LEASE) for pool in ("asyncio", *GREEN_POOLS) if IS_WHOLE),
        ("sqlite", "solo", 0.5),
        ("redis", "solo", SHORT_LEASE),
        ("rabbitmq+postgres", "processes", SHORT_LEASE),
    ],
    indirect=["stack"],
)
def test_k7_a_task_that_runs_for_five_leases_runs_once(stack, start_worker, log, gate, pool, lease):
    workers = [start_worker("-P", pool, lease=lease) for _ in range(2)]
    handle = stack.app.send_task(f"{TASKS}.wait_at_gate", [str(log), str(gate)])
    wait_until(lambda: read_events(log, "started"), what=lambda: workers[0].text)
    over_at = time.monotonic() + 5 * lease

    wait_until(lambda: time.monotonic() > over_at or len(read_events(log, "started")) > 1)
    gate.touch()

    assert handle.get(timeout=60) == "done"
    assert len(read_events(log, "started")) == 1
    assert not any("lost" in worker.text for worker in workers)


@pytest.mark.timeout(300)
def test_k9_what_was_acknowledged_early_does_not_run_again_when_its_worker_is_killed(
    stack, start_worker, log, gate, figure
):
    victim = start_worker()
    handle = stack.app.send_task(f"{TASKS}.wait_early", [str(log), str(gate)])
    wait_until(lambda: read_events(log, "started"), what=lambda: victim.text)
    os.kill(victim.pid, signal.SIGKILL)
    wait_until(lambda: not victim.processes)
    killed_at = time.monotonic()
    other = start_worker()

    with pytest.raises(WorkerLostError, match="acknowledged before it ran"):
        handle.get(timeout=60)
    seconds = time.monotonic() - killed_at
    gate.touch()
    assert stack.app.send_task(f"{TASKS}.add", [1, 2]).get(timeout=60) == 3
    assert len(read_events(log, "started")) == 1, other.text
    assert [dead["task_id"] for dead in stack.dead_letters()] == [handle.id]
    assert seconds < 2 * SHORT_LEASE + 2
    figure(f"{stack.name}: failed {seconds:.2f} s after the kill (a lease is {SHORT_LEASE:g} s), one run")


@pytest.mark.timeout(300)
def test_what_outlives_the_grace_is_started_by_another_worker_soon_after(
    stack, start_worker, log, gate, figure
):
    worker = start_worker("--grace", "0.5")
    handle = stack.app.send_task(f"{TASKS}.wait_at_gate", [str(log), str(gate)])
    wait_until(lambda: read_events(log, "started"), what=lambda: worker.text)
    other = start_worker()

    stopped_at = time.time()
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0, worker.text
    wait_until(lambda: len(read_events(log, "started")) == 2, what=lambda: other.text)
    again = read_events(log, "started")[1]["at"] - stopped_at
    gate.touch()

    assert handle.get(timeout=60) == "done"
    assert len(read_events(log, "started")) == 2
    assert 0.5 <= again < 0.5 + 1.0
    figure(f"{stack.name}: started elsewhere {again - 0.5:.2f} s after the grace")


@pytest.mark.timeout(300)
def test_k20_a_task_that_runs_is_terminated_and_one_that_waits_is_revoked_also_after_a_restart(
    stack, start_worker, log, gate, figure
):
    worker = start_worker()
    running = stack.app.send_task(f"{TASKS}.wait_at_gate", [str(log), str(gate)])
    waiting = stack.app.send_task(f"{TASKS}.note_time", [str(log)])
    later = stack.app.send_task(f"{TASKS}.note_time", [str(log)], countdown=1.0)
    wait_until(lambda: read_events(log, "started"), what=lambda: worker.text)
    waiting.revoke()
    later.revoke()
    asked_at = time.monotonic()
    running.revoke(terminate=True)

    with pytest.raises(TaskRevokedError, match="terminated"):
        running.get(timeout=60)
    seconds = time.monotonic() - asked_at
    worker.send(signal.SIGKILL)
    wait_until(lambda: not worker.processes)
    start_worker()
    unsent = stack.app.signature(f"{TASKS}.note_time", [str(log)]).set(task_id="sent-after-its-revoke")
    stack.app.revoke("sent-after-its-revoke")
    unsent.delay()
    assert stack.app.send_task(f"{TASKS}.add", [1, 2], countdown=1.2).get(timeout=60) == 3

    assert [handle.state for handle in (running, waiting, later)] == ["REVOKED"] * 3
    assert stack.app.AsyncResult("sent-after-its-revoke").state == "REVOKED"
    assert len(read_events(log, "started")) == 1
    assert read_events(log, "ran") == []
    assert seconds < 5
    figure(f"{stack.name}: terminated after {seconds:.2f} s")


@pytest.mark.timeout(300)
def test_k16_timers_survive_the_death_of_all_workers_and_are_never_early(stack, start_worker, log, figure):
    worker = start_worker()
    sent_at = time.time()
    handles = [
        stack.app.send_task(f"{TASKS}.note_time", [str(log)], countdown=1.5 + number / 20)
        for number in range(20)
    ]
    worker.send(signal.SIGKILL)
    wait_until(lambda: not worker.processes)
    other = start_worker()

    ran_at = [handle.get(timeout=60) for handle in handles]
    late = sorted(at - sent_at - 1.5 - number / 20 for number, at in enumerate(ran_at))
    assert len(read_events(log, "ran")) == len(handles), other.text
    assert late[0] >= 0
    figure(f"{stack.name}: late by {late[10] * 1000:.0f} ms (median), {late[-1] * 1000:.0f} ms at most")


@pytest.mark.timeout(300)
def test_a_worker_that_cannot_consume_says_so_and_works_again_when_it_can(programs, tmp_path, figure):
    with open_stack("redis", tmp_path) as stack, closing(Proxy(port := urlsplit(stack.broker).port)) as proxy:
        broker = stack.broker.replace(f":{port}", f":{proxy.port}")
        options = ["-A", TASKS, "-b", broker, "worker", "-P", "solo", "--web", "127.0.0.1:0"]
        worker = programs.start(*options)
        url = worker.wait_for(r"probes +(http://[^/]+)/healthz").group(1)

        def health(page):
            program = programs.start("health", "--url", f"{url}/{page}")
            return program.wait(), program.text

        wait_until(lambda: health("readyz") == (0, "ready: consuming"), what=lambda: worker.text)
        proxy.close_door()
        wait_until(lambda: health("readyz")[0] == 1, what=lambda: worker.text)
        assert "cannot be reached" in health("readyz")[1]
        assert health("healthz")[0] == 0
        proxy.open_door()
        opened_at = time.monotonic()
        wait_until(lambda: health("readyz")[0] == 0, what=lambda: worker.text)
        seconds = time.monotonic() - opened_at

        assert stack.app.send_task(f"{TASKS}.add", [1, 2]).get(timeout=60) == 3
        figure(f"ready again {seconds:.2f} s after Redis could be reached again")
