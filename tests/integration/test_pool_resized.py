"""Pools that grow, shrink and are restarted while jobs run: more of them, fewer of them, and the app imported anew; no job is lost."""

from __future__ import annotations

import os
import select

import pytest
from backbeat.canvas.errors import ImproperlyConfigured
from backbeat.canvas.pools.base import Ended, Unstarted
from backbeat.canvas.pools.runner import RunnerSpec
from backbeat.canvas.pools.solo import SoloPool
from backbeat.canvas.pools.wiring import open_pool

from support.pool_jobs import SECONDS, job, make_spec, run_all, value_of, wait_dead, wait_free, wait_until
from support.stacks import GREEN_POOLS, IS_WHOLE
from support.thorough import in_turn

POOLS = {
    "processes": ("processes", "forkserver"),
    "spawn": ("processes", "spawn"),
    "threads": ("threads", "forkserver"),
    "asyncio": ("asyncio", "forkserver"),
    "gevent": ("gevent", "spawn"),
    **({"eventlet": ("eventlet", "spawn")} if IS_WHOLE else {}),
}


@pytest.fixture
def open_one():
    opened = []

    def new(name="processes", method="forkserver", size=2, runner=None, **options):
        pool = open_pool(name, size=size, runner=runner or make_spec(), start_method=method, **options)
        opened.append(pool)
        wait_free(pool, size)
        children = size if name == "processes" else 1
        # also the spare one: what is imported later would be a later version. An app that is not safe to fork has one, too
        wait_until(pool, lambda: len(pool.pids) >= children + (method == "spawn"), [])
        return pool

    yield new
    for pool in opened:
        pool.stop(0)


@pytest.fixture(params=in_turn(POOLS, always=["threads", "processes"]))
def pool(request, open_one, job_gate):
    return open_one(*POOLS[request.param], runner=make_spec(job_gate.path))


def hold(pool, job_gate, *keys):
    pool.submit([job(key, "wait") for key in keys])
    return {arrival.key: arrival for arrival in (arrived(pool, job_gate) for _ in keys)}


def arrived(pool, job_gate):
    """The next job at the gate; the pool is turned meanwhile."""
    while not select.select([job_gate.fileno()], [], [], 0)[0]:
        assert pool.collect() == []
        assert select.select([*pool.wakers(), job_gate.fileno()], [], [], SECONDS)[0]
    return job_gate.arrival()


def test_a_pool_that_grows_runs_more_at_once_while_others_run(pool, job_gate):
    held = hold(pool, job_gate, "a", "b")
    assert (pool.size, pool.free) == (2, 0)

    pool.resize(5)
    wait_free(pool, 3)
    held |= hold(pool, job_gate, "c", "d", "e")

    assert (pool.size, pool.free) == (5, 0)
    for arrival in held.values():
        arrival.let_go()
    assert sorted(value_of(report) for report in wait_free(pool, 5)) == list("abcde")


def test_a_pool_that_shrinks_lets_what_runs_end_and_then_runs_fewer(pool, job_gate):
    pool.resize(4)
    wait_free(pool, 4)
    held = hold(pool, job_gate, *"abcd")

    pool.resize(1)
    assert (pool.size, pool.free, pool.room(0)) == (1, 0, 0)
    for key in "abc":
        held[key].let_go()
    reports = []
    wait_until(pool, lambda: len(reports) == 3, reports)
    assert sorted(value_of(report) for report in reports) == list("abc")
    assert pool.free == 0  # d is the one that may run

    held["d"].let_go()
    assert [value_of(report) for report in wait_free(pool, 1)] == ["d"]
    assert pool.free == 1
    assert sorted(
        value_of(report) for report in run_all(pool, [job(n, "echo", n) for n in range(20)])
    ) == list(range(20))


def test_processes_that_are_too_many_end(open_one):
    pool = open_one(size=4)
    before = set(pool.pids)

    pool.resize(1)
    wait_until(pool, lambda: len(pool._brood.lines) == 1, [])

    wait_dead(*(before - set(pool.pids)))
    assert len(set(pool.pids) & before) == 1


def test_what_waits_behind_a_job_whose_process_is_too_much_comes_back(open_one, job_gate):
    pool = open_one(size=2, runner=make_spec(job_gate.path))
    held = hold(pool, job_gate, "a", "b")
    pool.submit([job(key, "echo", key) for key in "cdef"])

    pool.resize(1)
    back = [report.key for report in pool.collect() if isinstance(report, Unstarted)]
    for arrival in held.values():
        arrival.let_go()
    reports = wait_free(pool, 1)
    wait_until(pool, lambda: len(reports) + len(back) == 6, reports)

    assert len(back) == 2
    assert sorted([*back, *(value_of(report) for report in reports)]) == list("abcdef")


def test_sizes_that_cannot_be_are_refused_and_change_nothing(pool):
    for size in (0, -1, 100_000):
        with pytest.raises(
            ImproperlyConfigured, match=r"cannot be: it runs 1 to 10?,000 tasks side by side, now 2"
        ):
            pool.resize(size)
    assert pool.size == 2


def test_solo_cannot_be_resized_or_restarted():
    pool = SoloPool(make_spec().make())

    pool.resize(1)
    with pytest.raises(ImproperlyConfigured, match="pool solo runs one task at a time"):
        pool.resize(2)
    with pytest.raises(ImproperlyConfigured, match="restart the worker"):
        pool.restart()
    pool.stop(0)


# --- restart -------------------------------------------------------------------------------------------------------------------


def test_a_restart_replaces_every_process_and_what_runs_ends_first(pool, job_gate):
    before = set(pool.pids)
    held = hold(pool, job_gate, "a")

    pool.restart()
    reports = []
    wait_until(pool, lambda: pool.pids and not before & set(pool.pids) and pool.free >= 1, reports)
    assert reports == []  # a still runs where it began
    new = {value_of(report) for report in run_all(pool, [job(n, "pid") for n in range(6)])}
    assert not new & before

    held["a"].let_go()
    assert [value_of(report) for report in wait_free(pool, 2)] == ["a"]
    wait_until(pool, lambda: not pool._brood._nurseries.former, [])
    wait_dead(*before)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of the user's, that tells which of its versions was imported."""
    path = tmp_path / "users_module.py"
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    def write(version, first=""):
        path.write_text(
            f"{first}\nfrom backbeat.canvas.pools.base import Ended\nfrom backbeat.canvas.outcome import Success\n"
            f"def make():\n    return lambda job, limit: Ended(job.key, Success(value='{version}'))\n"
        )
        os.utime(path, (version, version))

    return write


RUNNER = RunnerSpec("users_module:make")


@pytest.mark.parametrize("name", POOLS)
def test_a_restart_imports_the_app_anew(open_one, module, name):
    module(1)
    pool = open_one(*POOLS[name], runner=RUNNER)
    assert value_of(run_all(pool, [job("a", "-")])[0]) == 1

    module(2)
    before = set(pool.pids)
    pool.restart()
    wait_until(pool, lambda: pool.free == 2 and not before & set(pool.pids), [])

    assert value_of(run_all(pool, [job("b", "-")])[0]) == 2


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize(
    "fault", ["raise ImportError('it is broken')", "import os; os._exit(3)"], ids=["broken", "fatal"]
)
def test_an_app_that_cannot_be_imported_anew_changes_nothing_but_the_log(
    open_one, module, caplog, name, fault
):
    module(1)
    pool = open_one(*POOLS[name], runner=RUNNER)
    before = set(pool.pids)

    module(2, fault)
    pool.restart()
    wait_until(pool, lambda: any("stay as they are" in text for text in caplog.messages), [])

    assert set(pool.pids) >= before
    assert {value_of(report) for report in run_all(pool, [job(n, "-") for n in range(10)])} == {1}
    module(3)
    pool.restart()
    wait_until(pool, lambda: pool.free == 2 and not before & set(pool.pids), [])
    assert value_of(run_all(pool, [job("c", "-")])[0]) == 3


def test_a_restart_of_an_app_that_is_not_safe_to_fork(open_one, module):
    module(1, "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()")
    pool = open_one(runner=RUNNER)
    before = set(pool.pids)

    pool.restart()
    wait_until(pool, lambda: pool.free == 2 and not before & set(pool.pids), [])

    assert value_of(run_all(pool, [job("a", "-")])[0]) == 1


def test_resizes_and_restarts_at_random_lose_no_job(open_one):
    pool = open_one(size=3)
    reports, sent, at = [], 0, 0
    sizes = [1, 4, 2, 3, 1, 2]
    while sent < 300:
        batch = [job(sent + n, "echo", sent + n) for n in range(pool.room(2))]
        sent += len(batch)
        if batch:
            pool.submit(batch)
        if sent // 25 > at:
            at = sent // 25
            pool.resize(sizes[at % len(sizes)])
            if at % 3 == 0:
                pool.restart()
        reports += pool.collect()
        if not pool.room(2):
            select.select(pool.wakers(), [], [], SECONDS)
    wait_until(pool, lambda: len(reports) == sent, reports)

    assert sorted(int(report.key) for report in reports) == list(range(sent))
    assert {type(report) for report in reports} <= {Ended, Unstarted}


@pytest.mark.parametrize("name", ["threads", "asyncio", *GREEN_POOLS])
def test_a_process_that_is_shared_is_replaced_when_it_is_too_large(open_one, name):
    pool = open_one(*POOLS[name], max_memory_kib=1)
    pids = []
    for n in range(3):
        (report,) = run_all(pool, [job(n, "pid")])
        pids.append(value_of(report))
        wait_free(pool, 2)

    assert len(set(pids)) == 3
