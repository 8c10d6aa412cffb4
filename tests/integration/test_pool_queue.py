"""Jobs that wait in a pool, each behind one that runs: they start without the worker, in their order, and can be taken back until then."""

from __future__ import annotations

import math
import os
import random
import select
import signal
import time
from collections import Counter
from contextlib import suppress

import pytest
from backbeat.canvas.pools.base import LONG_SECONDS, Ended, Lost, Requeue, Unstarted
from backbeat.canvas.pools.openings import QUEUE_LIMIT
from backbeat.canvas.pools.processes import ProcessPool
from backbeat.canvas.pools.runner import RunnerSpec

from support.pool_jobs import alive, job, run_all, value_of, wait_dead, wait_free, wait_until


@pytest.fixture
def new_pool(job_gate):
    opened = []

    def new(size=1, **options):
        pool = ProcessPool(size, RunnerSpec("support.pool_jobs:make", (job_gate.path,)), **options)
        opened.append(pool)
        wait_free(pool, size)
        return pool

    yield new
    for pool in opened:
        pool.stop(0)


def echoes(*keys):
    return [job(key, "echo", key) for key in keys]


def collected(pool, count):
    reports = []
    wait_until(pool, lambda: len(reports) >= count, reports)
    return reports


def test_what_waits_starts_in_its_order_when_what_runs_has_ended(new_pool, job_gate):
    pool = new_pool()
    pool.submit([job("held", "wait"), *echoes(*range(20))])
    held = job_gate.arrival()
    assert (pool.collect(), pool.free) == ([], 0)

    held.let_go()

    assert [value_of(report) for report in collected(pool, 21)] == ["held", *range(20)]


def test_a_job_waits_where_fewest_do_and_only_if_no_child_is_free(new_pool, job_gate):
    pool = new_pool(size=2)
    pool.submit([job("a", "wait"), job("b", "wait"), *echoes(1, 2, 3, 4)])
    held = {arrival.key: arrival for arrival in (job_gate.arrival(), job_gate.arrival())}

    held["b"].let_go()

    assert [report.key for report in collected(pool, 3)] in (["b", "1", "3"], ["b", "2", "4"])


def test_there_is_room_for_as_many_as_are_wanted_and_no_more_than_may_wait(new_pool, job_gate):
    pool = new_pool(size=2)
    assert [pool.room(depth) for depth in (0, 1, 5, QUEUE_LIMIT, 10**9)] == [
        2,
        4,
        12,
        2 + 2 * QUEUE_LIMIT,
        2 + 2 * QUEUE_LIMIT,
    ]

    pool.submit([job("held", "wait"), *echoes(1)])
    job_gate.arrival()
    collected(pool, 1)
    assert pool.room(0) == 1

    deadline = time.monotonic() + 20
    while pool.room(5) > 6:  # once it has run for long
        assert time.monotonic() < deadline
    assert pool.room(5) == 6


def test_jobs_that_have_not_started_are_taken_back_and_never_run(new_pool, job_gate):
    pool = new_pool()
    pool.submit([job("held", "wait"), *echoes("a", "b")])
    held = job_gate.arrival()

    pool.take_back(math.inf)
    assert pool.collect() == [Unstarted("b"), Unstarted("a")]
    pool.submit(echoes("c"))
    held.let_go()

    assert [report.key for report in collected(pool, 2)] == ["held", "c"]
    assert [report.key for report in run_all(pool, echoes("a", "b", "d"))] == ["a", "b", "d"]


def test_only_those_behind_a_job_that_runs_for_long_are_taken_back(new_pool, job_gate):
    pool = new_pool()
    begun = time.monotonic()
    pool.submit([job("held", "wait"), *echoes("a")])
    job_gate.arrival()
    assert begun <= pool.since("held") == pool.oldest_before_others
    assert pool.since("a") is None

    pool.take_back(begun)
    assert pool.collect() == []

    wait_until(pool, lambda: time.monotonic() > pool.since("held") + LONG_SECONDS, [])
    pool.take_back(time.monotonic() - LONG_SECONDS)
    assert pool.collect() == [Unstarted("a")]
    assert pool.oldest_before_others is None


def test_the_time_of_a_job_that_waited_begins_when_the_one_before_it_has_ended(new_pool, job_gate):
    pool = new_pool()
    pool.submit([job("a", "wait"), job("b", "wait")])
    first = job_gate.arrival()
    before = pool.since("a")
    assert pool.since("b") is None

    first.let_go()
    collected(pool, 1)

    assert before < pool.since("b") <= time.monotonic()
    assert pool.since("a") is None


def test_of_the_jobs_of_a_child_that_dies_only_the_one_that_ran_is_lost(new_pool):
    pool = new_pool()
    pool.submit([*echoes("a"), job("fatal", "exit", 7), *echoes("b", "c")])

    reports = collected(pool, 4)

    assert reports[0].key == "a"
    assert set(reports[1:]) == {Lost("fatal", "exit code 7"), Unstarted("b"), Unstarted("c")}
    assert value_of(run_all(pool, echoes("b"))[0]) == "b"


@pytest.fixture
def hung(new_pool):
    """A pool with one child, which is stopped, and has a job that it cannot begin, and one behind it."""
    pool = new_pool(terminate_seconds=60)
    (pid,) = pool.pids
    os.kill(pid, signal.SIGSTOP)
    pool.submit(echoes("a", "b"))
    yield pool, pid
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def test_the_first_job_is_left_to_a_child_that_has_not_come_round_to_it(hung):
    """It would be given the same again, and again."""
    pool, pid = hung

    pool.take_back(math.inf)

    assert pool.collect() == [Unstarted("b")]
    assert pool.free == 0
    os.kill(pid, signal.SIGCONT)
    assert value_of(collected(pool, 1)[0]) == "a"


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_that_does_not_even_begin_its_job_is_ended_with_it(hung, signum):
    pool, pid = hung

    pool.kill("a", signum)

    assert set(collected(pool, 2)) == {Unstarted("a"), Unstarted("b")}
    wait_dead(pid)
    assert value_of(run_all(pool, echoes("b"))[0]) == "b"


def test_a_child_that_dies_before_it_begins_costs_its_first_job_as_reading_that_may_have_ended_it(hung):
    pool, pid = hung

    os.kill(pid, signal.SIGKILL)

    assert set(collected(pool, 2)) == {Lost("a", "signal 9 (SIGKILL)"), Unstarted("b")}


def test_a_child_that_is_too_large_obeys_when_it_is_told_to_end(new_pool):
    pool = new_pool(max_memory_kib=120_000, terminate_seconds=60)
    (pid,) = pool.pids
    pool.submit([job("a", "grow", 200_000_000)])
    assert select.select(pool.wakers(), [], [], 20)[0]

    pool.kill("a", signal.SIGTERM)

    assert value_of(collected(pool, 1)[0]) == pid
    wait_until(pool, lambda: pool.free and pid not in pool.pids, [])
    wait_dead(pid)


def test_a_job_that_waits_is_ended_without_a_process(new_pool, job_gate):
    pool = new_pool()
    pool.submit([job("held", "wait"), *echoes("a", "b")])
    held = job_gate.arrival()

    pool.kill("a")

    assert set(collected(pool, 2)) == {Unstarted("a"), Unstarted("b")}
    assert alive(held.pid)
    held.let_go()
    assert value_of(collected(pool, 1)[0]) == "held"


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1])
def test_when_a_job_is_ended_those_behind_it_are_not(new_pool, job_gate, signum):
    pool = new_pool()
    pool.submit([job("held", "wait"), *echoes("a", "b")])
    held = job_gate.arrival()

    pool.kill("held", signum)

    reports = collected(pool, 3)
    assert {type(report) for report in reports if report.key == "held"} == {Lost}
    assert [report for report in reports if report.key != "held"] == [Unstarted("b"), Unstarted("a")]
    wait_dead(held.pid)
    assert value_of(run_all(pool, echoes("a"))[0]) == "a"


def test_a_child_gets_no_more_jobs_in_its_life_than_it_may_also_if_some_wait(new_pool):
    pool = new_pool(max_tasks=3)
    assert pool.room(10) == 3

    pids = Counter(value_of(report) for report in run_queued(pool, [job(n, "pid") for n in range(12)]))

    assert len(pids) >= 4
    assert max(pids.values()) <= 3


def test_a_child_that_has_grown_too_large_gives_back_what_waits(new_pool):
    pool = new_pool(max_memory_kib=120_000)
    pool.submit([job("a", "grow", 200_000_000), *echoes("b", "c")])

    reports = collected(pool, 3)

    assert {report.key: type(report) for report in reports} == {"a": Ended, "b": Unstarted, "c": Unstarted}
    (pid,) = (value_of(report) for report in reports if report.key == "a")
    assert value_of(run_all(pool, [job("d", "pid")])[0]) != pid


def test_a_job_that_runs_alone_is_followed_by_none(new_pool, job_gate):
    from msgspec.structs import replace

    pool = new_pool(size=2)
    pool.submit([replace(job("alone", "wait"), alone=True)])
    job_gate.arrival()

    reports = run_queued(pool, echoes(*range(100)))

    assert sorted(value_of(report) for report in reports) == list(range(100))


def test_jobs_for_which_there_is_no_room_are_refused_whole(new_pool):
    from msgspec.structs import replace

    pool = new_pool()

    with pytest.raises(ValueError, match="2 jobs for 1 places"):
        pool.submit([replace(job("alone", "echo", 1), alone=True), *echoes("b")])

    assert pool.free == 1
    assert [value_of(report) for report in run_all(pool, echoes("alone", "b"))] == ["alone", "b"]


def test_what_is_larger_than_a_pipe_waits_too(new_pool, job_gate):
    pool = new_pool()
    pool.submit([job("held", "wait")])
    held = job_gate.arrival()
    pool.submit([job("big", "size", "x" * 10_000_000), *echoes("a")])

    pool.take_back(math.inf)
    assert pool.collect() == [Unstarted("a"), Unstarted("big")]
    pool.submit([job("big", "size", "x" * 10_000_000), *echoes("a")])
    held.let_go()

    assert [value_of(report) for report in collected(pool, 3)] == ["held", 10_000_000, "a"]


def test_a_nursery_that_is_killed_costs_no_job_that_waits(new_pool, job_gate):
    pool = new_pool()
    pool.submit([job("held", "wait"), *echoes("a")])
    held = job_gate.arrival()

    os.kill(pool._brood._nurseries.current.pid, signal.SIGKILL)
    held.let_go()

    assert [value_of(report) for report in collected(pool, 2)] == ["held", "a"]
    wait_until(pool, lambda: pool.free and held.pid not in pool.pids, [])
    wait_dead(held.pid)


def test_a_pool_that_stops_lets_none_start_that_waits(new_pool, job_gate):
    pool = new_pool()
    pool.submit([job("held", "wait"), *echoes("a", "b")])
    job_gate.arrival().let_go()

    reports = pool.stop(20)

    keys = {report.key: type(report) for report in reports}
    assert set(keys) == {"held", "a", "b"}
    assert keys["held"] is Ended
    assert keys["b"] is Unstarted or keys["a"] is Ended


def run_queued(pool, jobs):
    """As `run_all`, and as many wait as may."""
    todo, reports = list(jobs), []

    def feed():
        count = min(pool.room(QUEUE_LIMIT), len(todo))
        if count:
            pool.submit([todo.pop(0) for _ in range(count)])
        return len(reports) >= len(jobs)

    wait_until(pool, feed, reports)
    return reports


def test_whatever_is_killed_and_taken_back_each_job_is_reported_once_and_runs_at_most_once(
    new_pool, tmp_path
):
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    rng, journal = random.Random(seed), tmp_path / "journal"
    journal.touch()
    pool = new_pool(size=3)
    todo = [f"{n}" for n in range(6_000)]
    out, ended, lost, kills = set(), set(), set(), 0
    deadline = time.monotonic() + 90
    while todo or out:
        assert time.monotonic() < deadline
        count = min(pool.room(rng.randrange(QUEUE_LIMIT)), len(todo))
        if count:
            keys = [todo.pop() for _ in range(count)]
            out |= set(keys)
            pool.submit([job(key, "note", str(journal), key) for key in keys])
        if kills < 100 and rng.random() < 0.2 and pool.pids:
            kills += 1
            if rng.random() < 0.5:
                with suppress(ProcessLookupError):  # it died a moment ago, and the pool has not been told
                    os.kill(rng.choice(pool.pids), signal.SIGKILL)
            elif out:
                pool.kill(rng.choice(sorted(out)), rng.choice([signal.SIGKILL, signal.SIGTERM]))
        if rng.random() < 0.2:
            pool.take_back(math.inf)
        for report in pool.collect():
            out.remove(report.key)
            match report:
                case Unstarted(key):
                    todo.append(key)
                case Lost(key):
                    lost.add(key)
                case Ended(key):
                    ended.add(key)
                case Requeue():
                    raise AssertionError(report)
        if out and not pool.free:
            select.select(pool.wakers(), [], [], 1)

    runs = Counter(journal.read_text().split())
    assert ended | lost == {f"{n}" for n in range(6_000)}
    assert not ended & lost
    assert len(lost) <= kills
    assert max(runs.values()) == 1
    assert ended <= set(runs)
