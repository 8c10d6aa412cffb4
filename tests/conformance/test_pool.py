"""The contract of canvas.pools.base.Pool, over every implementation: solo, threads, asyncio, gevent, eventlet, processes (fork server), processes (spawn)."""

from __future__ import annotations

import select
import time

import pytest
from backbeat.canvas.errors import ImproperlyConfigured
from backbeat.canvas.json_text import Json
from backbeat.canvas.outcome import Failure
from backbeat.canvas.pools.base import Ended, Requeue, Told
from backbeat.canvas.pools.processes import ProcessPool
from backbeat.canvas.pools.solo import SoloPool
from backbeat.canvas.pools.wiring import open_pool
from msgspec.structs import replace

from support.pool_jobs import SECONDS, job, make_spec, run_all, value_of, wait_free, wait_until
from support.stacks import IS_WHOLE
from support.thorough import in_turn

POOLS = {
    "solo": ("solo", "forkserver"),
    "threads": ("threads", "forkserver"),
    "asyncio": ("asyncio", "forkserver"),
    "gevent": ("gevent", "forkserver"),
    **({"eventlet": ("eventlet", "forkserver")} if IS_WHOLE else {}),
    "processes": ("processes", "forkserver"),
    "spawn": ("processes", "spawn"),
}


@pytest.fixture(params=in_turn(POOLS, always=["solo", "threads", "processes"]))
def new_pool(request):
    name, method = POOLS[request.param]
    opened = []

    def new(size=2):
        pool = open_pool(name, size=size, runner=make_spec(), start_method=method)
        opened.append(pool)
        wait_free(pool, 1 if name == "solo" else size)
        return pool

    yield new
    for pool in opened:
        pool.stop(0)


def test_each_job_is_reported_once(new_pool):
    pool = new_pool()

    reports = run_all(pool, [job(n, "echo", n) for n in range(100)])

    assert sorted(value_of(report) for report in reports) == list(range(100))
    assert sorted(int(report.key) for report in reports) == list(range(100))
    assert pool.collect() == []
    assert pool.stop(1) == []


def test_one_slot_reports_in_the_order_of_submission(new_pool):
    reports = run_all(new_pool(size=1), [job(n, "echo", n) for n in range(50)])

    assert [value_of(report) for report in reports] == list(range(50))


def test_a_job_that_runs_alone_comes_together_with_others_in_any_order(new_pool):
    jobs = [replace(job(0, "echo", 0), alone=True), job(1, "echo", 1)]

    reports = run_all(new_pool(), [*jobs, job(2, "echo", 2), replace(job(3, "echo", 3), alone=True)])

    assert sorted(value_of(report) for report in reports) == list(range(4))


def test_failures_and_requeues_are_reported_as_such(new_pool):
    reports = run_all(new_pool(), [job("a", "fail", "broke"), job("b", "requeue"), job("c", "echo", None)])

    by_key = {report.key: report for report in reports}
    assert isinstance(by_key["a"].outcome, Failure)
    assert by_key["a"].outcome.error.text == "broke"
    assert by_key["b"] == Requeue("b")
    assert value_of(by_key["c"]) is None


def test_an_outcome_of_five_megabytes_passes(new_pool):
    (report,) = run_all(new_pool(size=1), [job("big", "large", 5_000_000)])

    assert len(value_of(report)) == 5_000_000


def test_a_message_of_ten_megabytes_passes(new_pool):
    (report,) = run_all(new_pool(size=1), [job("big", "size", "x" * 10_000_000)])

    assert value_of(report) == 10_000_000


def test_k24_free_falls_with_what_is_submitted_and_more_is_refused(new_pool):
    pool = new_pool()
    room = pool.free

    pool.submit([job(n, "echo", n) for n in range(room)])

    assert pool.free == pool.room(0) == 0
    more = pool.room(pool.queue_limit) + 1
    with pytest.raises(ValueError, match=f"{more} jobs for {more - 1} places"):
        pool.submit([job(f"more {n}", "echo", n) for n in range(more)])


def test_a_waker_can_be_read_when_there_is_something_to_collect_and_only_then(new_pool):
    pool = new_pool()
    assert select.select(pool.wakers(), [], [], 0)[0] == []

    pool.submit([job("a", "echo", 1)])
    assert select.select(pool.wakers(), [], [], SECONDS)[0]

    reports = []
    wait_until(pool, lambda: reports, reports)
    assert [value_of(report) for report in reports] == [1]
    assert select.select(pool.wakers(), [], [], 0)[0] == []


def test_stop_returns_what_ended_and_was_not_collected(new_pool):
    pool = new_pool()
    pool.submit([job("last", "echo", "x")])

    reports = pool.stop(20)

    assert [value_of(report) for report in reports] == ["x"]
    assert pool.stop(20) == []
    assert pool.free == 0
    assert list(pool.wakers()) == []


def test_an_idle_pool_stops_at_once_whatever_the_grace(new_pool):
    pool = new_pool()
    before = time.monotonic()

    assert pool.stop(1_000) == []

    assert time.monotonic() - before < 10


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("solo", SoloPool),
        ("threads", ProcessPool),
        ("asyncio", ProcessPool),
        ("gevent", ProcessPool),
        ("eventlet", ProcessPool),
        ("processes", ProcessPool),
        ("prefork", ProcessPool),
    ],
)
def test_pools_are_opened_by_name(name, kind):
    pool = open_pool(name, size=1, runner=make_spec())

    assert isinstance(pool, kind)
    pool.stop(0)


def test_what_is_not_offered_is_refused_with_what_is():
    with pytest.raises(ImproperlyConfigured, match="no pool 'green'; choose one of processes, threads, solo"):
        open_pool("green", size=1, runner=make_spec())
    with pytest.raises(ImproperlyConfigured, match=r"'fork' is not offered .*forkserver, spawn"):
        open_pool("processes", size=1, runner=make_spec(), start_method="fork")
    with pytest.raises(
        ImproperlyConfigured, match=r"pool processes .* a whole number from 1 to 1,000, found 0"
    ):
        open_pool("processes", size=0, runner=make_spec())


# --- what a job says before it ends --------------------------------------------------------------------------------------------


def test_what_a_job_says_of_itself_is_told_while_it_runs_or_is_no_way_of_the_pool_s(new_pool, tmp_path):
    pool, reports, gate = new_pool(size=1), [], tmp_path / "gate"
    last = Told("a", "STEP", Json('{"of": 50, "by": "a"}'))

    pool.submit([job("a", "tell", 50, str(gate))])
    if not isinstance(pool, SoloPool):
        wait_until(pool, lambda: last in reports, reports)
    gate.touch()
    wait_until(pool, lambda: any(isinstance(report, Ended) for report in reports), reports)

    *told, ended = reports
    if isinstance(pool, SoloPool):
        assert (told, value_of(ended)) == ([], "nobody listens")
        return
    assert value_of(ended) == "told"
    assert told[-1] == last
    assert {type(report) for report in told} == {Told}
    assert all(report.key == "a" for report in told)
