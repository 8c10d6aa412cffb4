"""The pools gevent and eventlet: greenlets side by side in one patched process, ended one by one; and the process replaced where one resists."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time

import pytest
from backbeat.canvas.envelope import pack
from backbeat.canvas.errors import ImproperlyConfigured
from backbeat.canvas.message import Message
from backbeat.canvas.pools import assignments
from backbeat.canvas.pools.base import Ended, Job, Lost, Told
from backbeat.canvas.pools.processes import ProcessPool
from backbeat.canvas.pools.runner import Kind, RunnerSpec
from backbeat.canvas.pools.wiring import check_library, open_pool
from backbeat.canvas.wire import to_wire

from support import processes
from support.pool_jobs import run_all, value_of, wait_dead, wait_free, wait_until
from support.stacks import GREEN_POOLS

SLOTS = 4
RUNNER = RunnerSpec("backbeat.canvas.pools.child:make_runner", ("support.green_app:app", "me@here"))
KINDS = GREEN_POOLS


def call(key, task, *args, **options):
    message = Message(id=f"id of {key}", task=task, args=json.dumps(args), **options)
    return Job(key, pack(to_wire(message), "celery"), "celery")


@pytest.fixture(params=KINDS)
def kind(request):
    return Kind(request.param)


@pytest.fixture
def pool(kind, monkeypatch):
    """Its patience is that of a test: on a busy machine a process that is well may answer late, and be replaced for it."""
    monkeypatch.setattr(assignments, "ANSWER_SECONDS", 10.0)
    opened = open_pool(kind, size=SLOTS, runner=RUNNER)
    wait_free(opened, SLOTS)
    yield opened
    opened.stop(0)


@pytest.fixture
def hasty(kind):
    """A pool that is soon out of patience."""
    opened = ProcessPool(1, RUNNER, kind=kind, slots=SLOTS, terminate_seconds=0.5, spare=True)
    wait_free(opened, SLOTS)
    yield opened
    opened.stop(0)


@pytest.fixture
def held_at(job_gate):
    """Have tasks run that wait at the gate: what has arrived there, by key."""

    def held(pool, *jobs):
        pool.submit([call(key, task, job_gate.path, key, *rest) for key, task, *rest in jobs])
        return {arrival.key: arrival for arrival in (job_gate.arrival() for _ in jobs)}

    return held


def test_jobs_share_a_process_that_is_patched_and_the_worker_s_is_not(pool, kind, held_at):
    held = held_at(pool, *((key, "wait") for key in "abcd"))
    for arrival in held.values():
        arrival.let_go()
    (pid,) = {value_of(report) for report in wait_free(pool, SLOTS)}

    assert pid != os.getpid()
    assert "green" not in f"{socket.socket.__module__} {threading.Lock} {time.sleep}"
    assert "gevent" not in f"{socket.socket.__module__} {threading.Lock} {time.sleep}"


def test_each_knows_itself_whatever_runs_beside_it(pool, held_at):
    reports, keys = [], ["a", "b", "c"]
    held = held_at(pool, *((key, "known") for key in keys))
    wait_until(pool, lambda: len({report.key for report in reports}) == 3, reports)
    assert {(type(report), report.key, report.value) for report in reports} == {
        (Told, key, f'"{key}"') for key in keys
    }
    for key in reversed(keys):
        held[key].let_go()

    for report in wait_free(pool, SLOTS):
        before, after = value_of(report)
        assert before == after
        assert (before[0], before[1], before[2][1]) == (f"id of {report.key}", "known", report.key)


def test_a_job_that_is_killed_ends_where_it_waits_and_its_process_goes_on(pool, held_at, tmp_path):
    note = tmp_path / "note"
    held = held_at(pool, ("a", "tidy", str(note)), ("b", "wait"))

    pool.kill("a")
    assert [(type(report), report.key, report.shared) for report in pool.collect()] == [(Lost, "a", False)]
    processes.wait_until(lambda: note.exists() and note.read_text())
    wait_free(pool, SLOTS - 1)

    assert note.read_text() == f"{held['b'].pid} SystemExit"
    assert value_of(run_all(pool, [call("p", "pid")])[0]) == held["b"].pid
    held["b"].let_go()
    assert [report.key for report in wait_free(pool, SLOTS)] == ["b"]
    assert not any(line.haunted or line.leaving for line in pool._brood.lines.values())


def test_a_kill_that_comes_before_the_job_s_beginning_or_with_its_end_costs_no_process(pool):
    wait_until(pool, lambda: len(pool.pids) == 2, [])  # one is spare, for while the other has not answered
    before, killed = set(pool.pids), 0
    for n in range(100):
        pool.submit([call(f"k{n}", "pid")])
        if n % 2:
            pool.kill(f"k{n}")
        reports = wait_free(pool, SLOTS)
        killed += any(isinstance(report, Lost) for report in reports)
        assert before >= {value_of(report) for report in reports if isinstance(report, Ended)}

    assert killed == 50
    assert set(pool.pids) == before


def test_where_a_job_goes_on_the_process_is_replaced_and_the_others_end_first(hasty, held_at):
    held = held_at(hasty, ("a", "deaf"), ("b", "wait"))

    hasty.kill("a")
    reports = []
    wait_until(hasty, lambda: hasty.pids and held["a"].pid not in hasty.pids, reports)
    reports += wait_free(hasty, SLOTS - 1)
    assert [(type(report), report.key) for report in reports] == [(Lost, "a")]
    assert value_of(run_all(hasty, [call("p", "pid")])[0]) != held["a"].pid

    held["b"].let_go()
    assert [(type(report), report.key) for report in wait_free(hasty, SLOTS)] == [(Ended, "b")]
    wait_dead(held["a"].pid)


def test_where_a_job_computes_the_process_is_replaced_soon_and_the_others_run_elsewhere(hasty, held_at):
    held = held_at(hasty, ("b", "wait"))
    held |= held_at(hasty, ("a", "block"))

    hasty.kill("a")
    reports = []
    wait_until(hasty, lambda: hasty.free >= SLOTS - 1, reports)
    hasty.submit([call("p", "pid")])
    wait_until(hasty, lambda: len(reports) == 3, reports)

    found = {report.key: report for report in reports}
    assert value_of(found["p"]) != held["a"].pid
    assert (found["a"].shared, found["b"].shared) == (False, True)
    assert found["b"].reason.endswith("a job of the same process was ended, and the process did not answer")


def test_a_task_may_start_programs_after_it_has_said_something_of_itself(pool):
    *_, report = [each for each in run_all(pool, [call("a", "program"), call("b", "pid")]) if each.key == "a"]
    if isinstance(report, Told):
        (report,) = [each for each in wait_free(pool, SLOTS) if isinstance(each, Ended)]

    assert value_of(report) == 3


def test_stop_waits_for_what_runs_and_ends_what_does_not_end(pool, held_at):
    held = held_at(pool, ("slow", "wait"), ("hung", "deaf"))
    held["slow"].let_go()

    reports = pool.stop(2.0)

    assert {report.key: type(report) for report in reports} == {"slow": Ended, "hung": Lost}
    wait_dead(held["hung"].pid)


def test_a_process_is_replaced_after_so_many_jobs_and_none_is_lost(kind):
    pool = open_pool(kind, size=SLOTS, runner=RUNNER, max_tasks=5)
    wait_free(pool, SLOTS)

    reports = run_all(pool, [call(str(n), "pid") for n in range(20)])
    pool.stop(0)

    assert sorted(int(report.key) for report in reports) == list(range(20))
    assert len({value_of(report) for report in reports}) == 4


def test_a_library_that_is_not_installed_is_an_error_that_says_what_to_install():
    with pytest.raises(ImproperlyConfigured, match=r"pip install 'backbeat\[nogreen\]'"):
        check_library("nogreen")


def test_eventlet_says_once_that_it_is_being_retired_and_what_to_take(caplog):
    with caplog.at_level(logging.WARNING):
        check_library("eventlet")
        check_library("gevent")

    (record,) = caplog.records
    assert "is being retired" in record.getMessage()
    assert "-P asyncio, threads or gevent" in record.getMessage()
