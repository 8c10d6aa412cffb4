"""The threads pool: jobs side by side in one process, one of them ended, that process killed, and strikes that hit their block only."""

from __future__ import annotations

import os
import queue
import random
import select
import signal
import sys
import threading
import time

import pytest
from backbeat.canvas.errors import SoftTimeLimitExceeded
from backbeat.canvas.outcome import Failure
from backbeat.canvas.pools.base import Ended, Lost
from backbeat.canvas.pools.processes import ProcessPool
from backbeat.canvas.pools.strike import Strike, StrikeLimit, _set_exception
from backbeat.canvas.pools.wiring import open_pool
from msgspec.structs import replace

from support import processes
from support.pool_jobs import (
    SECONDS,
    alive,
    job,
    make_spec,
    run_all,
    value_of,
    wait_dead,
    wait_free,
    wait_until,
    wait_until_busy,
)

SLOTS = 3


@pytest.fixture
def pool(job_gate):
    opened = open_pool("threads", size=SLOTS, runner=make_spec(job_gate.path))
    wait_free(opened, SLOTS)
    yield opened
    opened.stop(0)


def held_at(job_gate, pool, *keys):
    pool.submit([job(key, "wait") for key in keys])
    return {arrival.key: arrival for arrival in (job_gate.arrival() for _ in keys)}


def test_jobs_run_side_by_side_in_one_process_that_is_not_ours(pool, job_gate):
    held = held_at(job_gate, pool, "a", "b", "c")

    assert {arrival.pid for arrival in held.values()} == set(pool.pids) != {os.getpid()}
    for arrival in held.values():
        arrival.let_go()
    assert sorted(value_of(report) for report in wait_free(pool, SLOTS)) == ["a", "b", "c"]


def test_the_job_of_a_killed_key_is_lost_at_once_and_the_others_end_well(pool, job_gate):
    held = held_at(job_gate, pool, "a", "b")
    old = held["a"].pid

    pool.kill("a")
    assert select.select(pool.wakers(), [], [], 0)[0]
    assert [(type(report), report.key, report.shared) for report in pool.collect()] == [(Lost, "a", False)]
    reports = wait_free(pool, SLOTS - 1)  # all slots but that of b, in a fresh process
    assert reports == []
    assert alive(old)
    assert old not in {value_of(report) for report in run_all(pool, [job(n, "pid") for n in range(9)])}

    held["a"].let_go()  # it ends after all, which nobody is told
    held["b"].let_go()
    assert [value_of(report) for report in wait_free(pool, SLOTS)] == ["b"]
    wait_dead(old)


def test_a_job_that_was_ended_does_not_go_on_if_it_can_be_told(pool, job_gate, tmp_path):
    held = held_at(job_gate, pool, "held")
    note = tmp_path / "note"
    pool.submit([job("a", "spin_tidily", str(note))])
    job_gate.arrival()

    pool.kill("a")
    processes.wait_until(lambda: note.exists() and note.read_text())

    assert note.read_text() == "SystemExit"
    held["held"].let_go()
    assert [(type(report), report.key) for report in wait_free(pool, SLOTS)] == [(Lost, "a"), (Ended, "held")]


def test_where_the_ended_job_holds_the_interpreter_the_process_is_killed_and_the_others_are_run_elsewhere(
    job_gate,
):
    pool = ProcessPool(1, make_spec(job_gate.path), slots=SLOTS, terminate_seconds=0.2)
    wait_free(pool, SLOTS)
    pool.submit([job("held", "wait")])
    job_gate.arrival()
    pool.submit([job("a", "hang", "hold")])
    wait_until_busy(job_gate.arrival().pid)

    pool.kill("a")
    reports = wait_free(pool, SLOTS)
    pool.stop(0)

    assert [(report.key, report.shared) for report in reports] == [("a", False), ("held", True)]
    assert reports[1].reason.endswith("a job of the same process was ended, and the process did not answer")


def test_a_process_that_answers_is_not_killed(job_gate):
    pool = ProcessPool(1, make_spec(job_gate.path), slots=SLOTS, terminate_seconds=0.2)
    wait_free(pool, SLOTS)
    held = held_at(job_gate, pool, "a", "b", "c")
    reports = []

    pool.kill("a")
    pool.kill("b")
    wait_until(pool, lambda: not any(line.unanswered for line in pool._brood.lines.values()), reports)
    assert not select.select([held["c"].knock], [], [], 0.4)[0]  # it still waits at the gate
    held["c"].let_go()
    reports += wait_free(pool, SLOTS)
    pool.stop(0)

    assert [type(report) for report in reports] == [Lost, Lost, Ended]


def test_threads_of_a_program_of_its_own(job_gate):
    pool = open_pool("threads", size=SLOTS, runner=make_spec(job_gate.path), start_method="spawn")
    wait_free(pool, SLOTS)

    held = held_at(job_gate, pool, "a", "b")
    for arrival in held.values():
        arrival.let_go()

    assert sorted(value_of(report) for report in wait_free(pool, SLOTS)) == ["a", "b"]
    pool.stop(0)


def test_a_process_whose_only_job_is_killed_is_killed(pool, job_gate):
    held = held_at(job_gate, pool, "a")

    pool.kill("a", signal.SIGTERM)

    assert [report.key for report in wait_free(pool, SLOTS)] == ["a"]
    wait_dead(held["a"].pid)


def test_a_process_of_many_jobs_that_dies_loses_all_and_says_that_it_was_shared(pool, job_gate):
    held = held_at(job_gate, pool, "a", "b")

    os.kill(held["a"].pid, signal.SIGKILL)
    reports = wait_free(pool, SLOTS)

    reason = "signal 9 (SIGKILL); the process ran 2 jobs, and which of them ended it is not known"
    assert sorted(reports, key=lambda report: report.key) == [
        Lost("a", reason, shared=True),
        Lost("b", reason, shared=True),
    ]


def test_a_process_of_one_job_that_dies_was_ended_by_that_job(pool):
    assert run_all(pool, [job("a", "exit", 3)]) == [Lost("a", "exit code 3")]


def test_what_ends_a_process_elsewhere_ends_its_own_job_only(pool, job_gate):
    held = held_at(job_gate, pool, "held")

    (report,) = run_all(pool, [job("a", "sys_exit", 4)])

    assert isinstance(report.outcome, Failure)
    assert report.outcome.error.type == "SystemExit"
    held["held"].let_go()
    assert [value_of(report) for report in wait_free(pool, SLOTS)] == ["held"]


def test_a_nursery_that_is_killed_costs_no_job(pool, job_gate):
    held = held_at(job_gate, pool, "a", "b")

    os.kill(pool._brood._nurseries.current.pid, signal.SIGKILL)
    assert wait_free(pool, 1) == []
    pool.kill("a")
    held["b"].let_go()
    reports = wait_free(pool, SLOTS)

    assert [(type(report), report.key) for report in reports] == [(Lost, "a"), (Ended, "b")]
    wait_dead(held["b"].pid)


def test_stop_waits_for_what_runs_and_kills_what_does_not_end(pool, job_gate):
    held = held_at(job_gate, pool, "slow", "ended", "hung")
    pool.kill("ended")
    held["slow"].let_go()

    reports = pool.stop(2.0)

    assert {report.key: type(report) for report in reports} == {"slow": Ended, "ended": Lost, "hung": Lost}
    assert not alive(held["slow"].pid)


def test_random_kills_of_keys_lose_only_these(pool):
    rng = random.Random(7)
    sent, killed, reports = 0, set(), []
    while len(reports) < 150:
        batch = [job(sent + n, "echo", sent + n) for n in range(pool.free)]
        sent += len(batch)
        pool.submit(batch)
        if batch and rng.random() < 0.1:
            killed.add(batch[0].key)
            pool.kill(batch[0].key)
        reports += pool.collect()
        if not pool.free:
            select.select(pool.wakers(), [], [], SECONDS)
    wait_until(pool, lambda: len(reports) == sent, reports)

    assert sorted(int(report.key) for report in reports) == list(range(sent))
    assert {report.key for report in reports if isinstance(report, Lost)} == killed


# --- strikes -------------------------------------------------------------------------------------------------------------------


def in_thread(function):
    """Run it in a thread, as strikes do not come to the main one; what it returned or raised."""
    results = []

    def run():
        try:
            results.append(function())
        except BaseException as exc:
            results.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(SECONDS)
    assert results
    return results[0]


def compute(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def test_a_strike_comes_once_inside_its_block_and_never_after_it():
    limit, rng = StrikeLimit(), random.Random(11)

    def rounds():
        struck = spared = 0
        end = time.monotonic() + 0.4
        while time.monotonic() < end:
            try:
                with limit.over(rng.uniform(0.0001, 0.0004)):
                    compute(0.00025)
                spared += 1
            except SoftTimeLimitExceeded:
                struck += 1
            compute(0.0003)  # what comes late comes here, and ends the thread
        return struck, spared

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # so that strikes come everywhere
    try:
        struck, spared = in_thread(rounds)
    finally:
        sys.setswitchinterval(interval)

    assert struck > 10
    assert spared > 10


def test_a_strike_that_is_claimed_but_not_set_when_the_block_ends_is_waited_for_and_taken_back():
    claimed, leaving, strikes = threading.Event(), threading.Event(), queue.SimpleQueue()

    def block():
        strike = Strike(SoftTimeLimitExceeded)
        strikes.put(strike)
        with strike:
            claimed.wait(SECONDS)
            leaving.set()
        compute(0.01)
        return "ended in time"

    def land_slowly():
        strike = strikes.get(timeout=SECONDS)
        assert strike._claim.acquire(blocking=False)
        claimed.set()
        leaving.wait(SECONDS)
        compute(0.02)  # the block ends meanwhile, and waits
        _set_exception(strike._thread, strike._error)
        strike._landed.release()

    lander = threading.Thread(target=land_slowly)
    lander.start()

    assert in_thread(block) == "ended in time"
    lander.join()


def test_the_task_s_own_exception_is_not_hidden_by_a_strike_at_its_end():
    def block():
        strike = Strike(SoftTimeLimitExceeded)
        with strike:
            raise LookupError("mine")

    assert repr(in_thread(block)) == "LookupError('mine')"


def test_the_clock_wakes_for_a_strike_that_is_due_sooner_than_all_others():
    limit = StrikeLimit()
    released = threading.Event()

    def long():
        with limit.over(1_000):
            return released.wait(SECONDS)

    def short():
        with limit.over(0.05):
            compute(SECONDS)

    waiting = threading.Thread(target=long)
    waiting.start()
    before = time.monotonic()
    assert isinstance(in_thread(short), SoftTimeLimitExceeded)
    assert time.monotonic() - before < SECONDS / 2
    released.set()
    waiting.join()


def arrived(job_gate, pool):
    """The next job that has reached the gate; the pool is turned meanwhile, as it has children to start."""
    deadline = time.monotonic() + SECONDS
    while not select.select([job_gate.fileno()], [], [], 0)[0]:
        pool.collect()
        assert time.monotonic() < deadline
        select.select([*pool.wakers(), job_gate.fileno()], [], [], 0.1)
    return job_gate.arrival()


def test_a_job_whose_process_died_before_runs_in_one_of_its_own(pool, job_gate):
    (beside,) = held_at(job_gate, pool, "a").values()
    pool.submit([replace(job("b", "wait"), alone=True)])
    suspect = arrived(job_gate, pool)
    wait_free(pool, SLOTS - 2)
    (later,) = held_at(job_gate, pool, "c").values()
    assert len({beside.pid, suspect.pid, later.pid}) == 3

    os.kill(suspect.pid, signal.SIGKILL)
    reports = []
    wait_until(pool, lambda: reports, reports)
    assert [(type(report), report.key, report.shared) for report in reports] == [(Lost, "b", False)]
    beside.let_go()
    later.let_go()
    assert sorted(value_of(report) for report in wait_free(pool, SLOTS)) == ["a", "c"]


def test_a_suspect_that_still_waits_for_its_process_can_be_ended(pool, job_gate):
    (beside,) = held_at(job_gate, pool, "a").values()
    pool.submit([replace(job("b", "wait"), alone=True)])
    pool.kill("b")

    assert [(type(report), report.key) for report in pool.collect()] == [(Lost, "b")]
    beside.let_go()
    wait_free(pool, SLOTS)


def test_a_job_is_reported_whatever_its_exception_does_to_who_reads_it(pool):
    reports = run_all(pool, [job(n, "leave") for n in range(SLOTS)])

    assert sorted(report.key for report in reports) == [str(n) for n in range(SLOTS)]
    assert {report.outcome.error.type for report in reports} == {"_Leaving"}
    assert value_of(run_all(pool, [job("next", "echo", 1)])[0]) == 1
