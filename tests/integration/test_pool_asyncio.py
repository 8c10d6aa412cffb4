"""The asyncio pool: coroutines side by side in one event loop, ended one by one; and the process replaced where one resists."""

from __future__ import annotations

import json
import os
import time

import pytest
from backbeat.canvas.envelope import pack
from backbeat.canvas.message import Message
from backbeat.canvas.outcome import Failure
from backbeat.canvas.pools import assignments
from backbeat.canvas.pools.base import Ended, Job, Lost, Told
from backbeat.canvas.pools.processes import ProcessPool
from backbeat.canvas.pools.runner import Kind, RunnerSpec
from backbeat.canvas.pools.wiring import open_pool
from backbeat.canvas.wire import to_wire

from support import processes
from support.pool_jobs import run_all, value_of, wait_dead, wait_free, wait_until

SLOTS = 4
RUNNER = RunnerSpec("backbeat.canvas.pools.child:make_runner", ("support.loop_app:app", "me@here"))


def call(key, task, *args, **options):
    message = Message(id=f"id of {key}", task=task, args=json.dumps(args), **options)
    return Job(key, pack(to_wire(message), "celery"), "celery")


@pytest.fixture
def pool(monkeypatch):
    """Its patience is that of a test: on a busy machine a process that is well may answer late, and be replaced for it."""
    monkeypatch.setattr(assignments, "ANSWER_SECONDS", 10.0)
    opened = open_pool("asyncio", size=SLOTS, runner=RUNNER)
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


def test_coroutines_share_a_thread_and_functions_have_each_their_own(pool, held_at):
    held = held_at(pool, ("a", "wait"), ("b", "wait"), ("c", "wait_in_thread"), ("d", "wait_in_thread"))
    for arrival in held.values():
        arrival.let_go()
    values = {report.key: value_of(report) for report in wait_free(pool, SLOTS)}

    assert {pid for pid, _ in values.values()} == set(pool.pids) != {os.getpid()}
    assert values["a"] == values["b"]
    assert len({thread for _, thread in values.values()}) == 3


def test_each_knows_itself_whatever_runs_beside_it(pool, held_at):
    reports = []
    keys = ["a", "b", "c"]
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


def test_a_job_that_is_killed_is_cancelled_and_its_process_goes_on(pool, held_at, tmp_path):
    note = tmp_path / "note"
    held = held_at(pool, ("a", "tidy", str(note)), ("b", "wait"))

    pool.kill("a")
    assert [(type(report), report.key, report.shared) for report in pool.collect()] == [(Lost, "a", False)]
    processes.wait_until(lambda: note.exists() and note.read_text())
    wait_free(pool, SLOTS - 1)

    assert note.read_text() == f"{held['b'].pid} cleaned up"
    assert value_of(run_all(pool, [call("p", "pid")])[0]) == held["b"].pid
    held["b"].let_go()
    assert [report.key for report in wait_free(pool, SLOTS)] == ["b"]
    assert not any(line.haunted or line.leaving for line in pool._brood.lines.values())


def test_many_that_are_killed_at_once_cost_no_process(pool, held_at):
    held = held_at(pool, *((str(n), "wait") for n in range(SLOTS)))
    (pid,) = {arrival.pid for arrival in held.values()}

    for key in held:
        pool.kill(key)
    reports = wait_free(pool, SLOTS)

    assert sorted(report.key for report in reports) == sorted(held)
    assert value_of(run_all(pool, [call("p", "pid")])[0]) == pid


def test_where_a_job_swallows_its_cancellation_the_process_is_replaced_and_the_others_end_first(held_at):
    pool = ProcessPool(1, RUNNER, kind=Kind.ASYNCIO, slots=SLOTS, terminate_seconds=0.2)
    wait_free(pool, SLOTS)
    held = held_at(pool, ("a", "deaf"), ("b", "wait"))

    pool.kill("a")
    reports = []
    wait_until(pool, lambda: pool.pids and held["a"].pid not in pool.pids, reports)
    reports += wait_free(pool, SLOTS - 1)
    assert [(type(report), report.key) for report in reports] == [(Lost, "a")]
    assert value_of(run_all(pool, [call("p", "pid")])[0]) != held["a"].pid

    held["b"].let_go()
    assert [(type(report), report.key) for report in wait_free(pool, SLOTS)] == [(Ended, "b")]
    wait_dead(held["a"].pid)
    pool.stop(0)


def test_where_a_job_keeps_the_loop_from_turning_the_process_is_replaced_soon_and_the_others_run_elsewhere(
    held_at,
):
    pool = ProcessPool(1, RUNNER, kind=Kind.ASYNCIO, slots=SLOTS, terminate_seconds=0.5)
    wait_free(pool, SLOTS)
    held = held_at(pool, ("b", "wait"))
    held |= held_at(pool, ("a", "block"))

    before = time.monotonic()
    pool.kill("a")
    reports = []
    wait_until(pool, lambda: pool.free == SLOTS - 1, reports)
    assert value_of(run_all(pool, [call("p", "pid")])[0]) != held["a"].pid
    wait_until(pool, lambda: len(reports) == 2, reports)

    assert time.monotonic() - before < 10
    assert [(report.key, report.shared) for report in reports] == [("a", False), ("b", True)]
    assert reports[1].reason.endswith("a job of the same process was ended, and the process did not answer")
    pool.stop(0)


def test_a_function_in_its_thread_that_ends_when_it_is_told_costs_no_process(pool, held_at):
    held = held_at(pool, ("a", "wait_in_thread"), ("b", "wait"))

    pool.kill("a")
    assert [report.key for report in wait_free(pool, SLOTS - 1)] == ["a"]
    held["a"].let_go()  # SystemExit comes when it is back in Python code
    wait_until(pool, lambda: not any(line.haunted for line in pool._brood.lines.values()), [])

    assert value_of(run_all(pool, [call("p", "pid")])[0]) == held["b"].pid


def test_what_cancels_itself_or_exits_has_failed_and_the_others_go_on(pool, held_at):
    held = held_at(pool, ("held", "wait"))

    reports = run_all(pool, [call("a", "cancel_itself"), call("b", "exit"), call("c", "no_such_task")])

    assert all(isinstance(report.outcome, Failure) for report in reports)
    assert {report.key: report.outcome.error.type for report in reports} == {
        "a": "CancelledError",
        "b": "SystemExit",
        "c": "NotRegistered",
    }
    held["held"].let_go()
    assert [value_of(report)[0] for report in wait_free(pool, SLOTS)] == [held["held"].pid]


def test_a_kill_that_comes_with_the_job_s_end_costs_no_process(pool):
    killed = 0
    pids = set()
    for n in range(200):
        pool.submit([call(f"k{n}", "pid")])
        if n % 2:
            pool.kill(f"k{n}")
        reports = wait_free(pool, SLOTS)
        killed += any(isinstance(report, Lost) for report in reports)
        pids |= {value_of(report) for report in reports if isinstance(report, Ended)}

    assert killed == 100
    assert len(pids) == 1


def test_stop_waits_for_what_runs_and_ends_what_does_not_end(pool, held_at):
    held = held_at(pool, ("slow", "wait"), ("hung", "deaf"))
    held["slow"].let_go()

    reports = pool.stop(2.0)

    assert {report.key: type(report) for report in reports} == {"slow": Ended, "hung": Lost}
    wait_dead(held["hung"].pid)


def test_a_process_is_replaced_after_so_many_jobs_and_none_is_lost():
    pool = open_pool("asyncio", size=SLOTS, runner=RUNNER, max_tasks=5)
    wait_free(pool, SLOTS)

    reports = run_all(pool, [call(str(n), "pid") for n in range(20)])
    pool.stop(0)

    assert sorted(int(report.key) for report in reports) == list(range(20))
    assert len({value_of(report) for report in reports}) == 4
