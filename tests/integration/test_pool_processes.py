"""ProcessPool with real processes and signals: deaths, kills, stops, and what it leaves behind."""

from __future__ import annotations

import gc
import json
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from backbeat.canvas.envelope import pack
from backbeat.canvas.message import Message
from backbeat.canvas.outcome import Failure
from backbeat.canvas.pools.base import Ended, Job, Lost
from backbeat.canvas.pools.nursery import StartMethod
from backbeat.canvas.pools.processes import ChildrenCannotStart, ProcessPool
from backbeat.canvas.pools.runner import RunnerSpec
from backbeat.canvas.wire import to_wire

from support.pool_jobs import SECONDS, alive, job, run_all, value_of, wait_dead, wait_free, wait_until
from support.thorough import in_turn

METHODS = list(StartMethod)
METHODS_IN_TURN = in_turn(METHODS, always=[METHODS[0]])
TESTS = Path(__file__).parent.parent


@pytest.fixture
def new_pool(job_gate):
    opened = []

    def new(size=2, factory="make", args=None, method=StartMethod.FORKSERVER, ready=True, **options):
        spec = RunnerSpec(f"support.pool_jobs:{factory}", (job_gate.path,) if args is None else args)
        pool = ProcessPool(size, spec, method, **options)
        opened.append(pool)
        if ready:
            wait_free(pool, size)
        return pool

    yield new
    for pool in opened:
        pool.stop(0)


def descriptors():
    gc.collect()
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def processes():
    """The pids of our children, zombies included."""
    pids = []
    for task in Path("/proc/self/task").iterdir():
        pids += (task / "children").read_text().split()
    return sorted(map(int, pids))


# --- a child dies --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS_IN_TURN)
@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["kill"], "signal 9 (SIGKILL)"),
        (["exit", 3], "exit code 3"),
        (["sys_exit", 4], "exit code 4"),
        (["exit", 0], "exit code 0"),
    ],
)
def test_k24_a_child_that_dies_costs_its_own_job_only_and_is_replaced(
    new_pool, job_gate, method, command, reason
):
    pool = new_pool(method=method)
    pool.submit([job("held", "wait")])
    held = job_gate.arrival()

    pool.submit([job("fatal", *command)])
    reports = wait_free(pool, 1)
    assert reports == [Lost("fatal", reason)]

    held.let_go()
    reports = wait_free(pool, 2)
    assert [value_of(report) for report in reports] == ["held"]
    assert len(pool.pids) == 2
    assert value_of(run_all(pool, [job("pid", "pid")])[0]) in pool.pids


def test_an_idle_child_that_is_killed_is_replaced(new_pool):
    pool = new_pool()
    victim, other = pool.pids

    os.kill(victim, signal.SIGKILL)
    wait_until(pool, lambda: len(pool.pids) == 2 and victim not in pool.pids, [])

    assert other in pool.pids
    assert len(run_all(pool, [job(n, "echo", n) for n in range(20)])) == 20


def test_the_job_of_a_killed_key_is_lost_and_no_other(new_pool, job_gate):
    pool = new_pool()
    pool.submit([job("a", "wait"), job("b", "wait")])
    arrivals = {arrival.key: arrival for arrival in (job_gate.arrival(), job_gate.arrival())}

    pool.kill("a")
    pool.kill("unknown")
    assert wait_free(pool, 1) == [Lost("a", "signal 9 (SIGKILL)")]

    arrivals["b"].let_go()
    assert [value_of(report) for report in wait_free(pool, 2)] == ["b"]


def test_a_kill_that_comes_too_late_hits_no_later_job(new_pool, job_gate):
    pool = new_pool(size=1)
    for n in range(20):
        pool.submit([job(n, "wait")])
        job_gate.arrival().let_go()
        pool.kill(str(n))
        reports = wait_free(pool, 1)
        assert [report.key for report in reports] == [str(n)]

        assert value_of(run_all(pool, [job("next", "echo", n)])[0]) == n


def test_a_report_that_was_written_before_the_death_counts(new_pool):
    pool = new_pool(size=1)
    (pid,) = pool.pids

    pool.submit([job("a", "answer_and_die", 50_000)])
    wait_dead(pid)
    (report,) = wait_free(pool, 1)

    assert len(value_of(report)) == 50_000


def test_a_death_is_noticed_though_a_grandchild_keeps_the_pipe_open(new_pool, job_gate):
    pool = new_pool()
    pool.submit([job("heir", "heir")])
    heir = job_gate.arrival()

    assert wait_free(pool, 2) == [Lost("heir", "exit code 7")]
    assert alive(heir.pid)


def test_two_hundred_random_kills_lose_and_repeat_nothing(new_pool):
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    rng = random.Random(seed)
    pool = new_pool(size=4)
    sent, kills, reports = 0, 0, []
    deadline = time.monotonic() + 90
    while kills < 200 or len(reports) < sent:
        assert time.monotonic() < deadline
        if kills < 200 and pool.free:
            batch = [job(sent + n, "echo", sent + n) for n in range(pool.free)]
            pool.submit(batch)
            sent += len(batch)
            if rng.random() < 0.3 and (victim := rng.choice(pool.pids)):
                kills += 1
                if rng.random() < 0.5:
                    with suppress(ProcessLookupError):  # it died a moment ago, and the pool has not been told
                        os.kill(victim, signal.SIGKILL)
                else:
                    pool.kill(rng.choice(batch).key)
        reports += pool.collect()
        if len(reports) < sent or not pool.free:
            select.select(pool.wakers(), [], [], 1)

    assert sorted(int(report.key) for report in reports) == list(range(sent))
    ended = [report for report in reports if isinstance(report, Ended)]
    assert all(value_of(report) == int(report.key) for report in ended)
    assert sent > len(ended) >= sent - 200
    reports = wait_free(pool, 4)
    assert reports == []
    assert len(pool.pids) == 4


def test_a_nursery_that_is_killed_costs_no_job(new_pool, job_gate):
    pool = new_pool()
    pool.submit([job("held", "wait")])
    held = job_gate.arrival()
    (idle,) = set(pool.pids) - {held.pid}

    os.kill(pool._brood._nurseries.current.pid, signal.SIGKILL)
    wait_until(pool, lambda: pool.free and idle not in pool.pids, [])
    wait_dead(idle)
    assert alive(held.pid)

    held.let_go()
    reports = wait_free(pool, 2)
    assert [value_of(report) for report in reports] == ["held"]
    wait_dead(held.pid)


def test_an_orphan_can_be_killed_and_can_die(new_pool, job_gate):
    for end in (lambda pool, held: pool.kill("held"), lambda pool, held: os.kill(held.pid, signal.SIGKILL)):
        pool = new_pool(size=1)
        pool.submit([job("held", "wait")])
        held = job_gate.arrival()
        nursery = pool._brood._nurseries.current.pid
        os.kill(nursery, signal.SIGKILL)
        wait_until(pool, lambda pool=pool, nursery=nursery: pool._brood._nurseries.current.pid != nursery, [])

        end(pool, held)
        (report,) = wait_free(pool, 1)

        assert isinstance(report, Lost)


# --- children that cannot start ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS_IN_TURN)
def test_an_app_that_cannot_be_imported_is_an_error_with_its_traceback(new_pool, method):
    pool = new_pool(factory="make_broken", args=(), method=method, ready=False)

    with pytest.raises(ChildrenCannotStart, match=r"(?s)Traceback.*make_broken.*nonsense_for_the_test"):
        wait_free(pool, 1)
    with pytest.raises(ChildrenCannotStart):
        pool.collect()
    assert pool.stop(1) == []


@pytest.mark.parametrize("method", METHODS_IN_TURN)
def test_an_app_that_kills_each_process_that_imports_it_is_an_error_too(new_pool, method):
    pool = new_pool(factory="make_fatal", args=(5,), method=method, ready=False)

    with pytest.raises(ChildrenCannotStart, match="exit code 5"):
        wait_free(pool, 1)


def test_children_that_die_on_start_are_not_replaced_for_ever(new_pool, tmp_path):
    pool = new_pool(factory="make_fatal_in_children", args=(6, str(tmp_path / "first")), ready=False)

    with pytest.raises(ChildrenCannotStart, match="children die as soon as they start: exit code 6"):
        wait_free(pool, 1)


@pytest.mark.parametrize("factory", ["make_with_thread", "make_with_socket"])
def test_an_app_that_is_not_safe_to_fork_is_imported_by_each_child(new_pool, factory):
    pool = new_pool(factory=factory)

    assert [value_of(report) for report in run_all(pool, [job("a", "echo", 1)])] == [1]
    os.kill(pool.pids[0], signal.SIGKILL)
    assert len(run_all(pool, [job(n, "echo", n) for n in range(20)])) == 20


# --- stop ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS_IN_TURN)
def test_stop_ends_idle_children_at_once_and_waits_for_busy_ones(new_pool, job_gate, method):
    pool = new_pool(method=method)
    pool.submit([job("held", "wait")])
    held = job_gate.arrival()
    (idle,) = set(pool.pids) - {held.pid}

    def let_go_when_the_idle_one_is_gone():
        wait_dead(idle)
        held.let_go()

    thread = threading.Thread(target=let_go_when_the_idle_one_is_gone)
    thread.start()
    reports = pool.stop(SECONDS)
    thread.join()

    assert [value_of(report) for report in reports] == ["held"]
    assert not alive(held.pid)


def test_stop_kills_what_runs_after_the_grace_and_reports_it_lost(new_pool, job_gate):
    pool = new_pool()
    pool.submit([job("held", "wait"), job("quick", "echo", 1)])
    held = job_gate.arrival()

    reports = pool.stop(0.2)

    assert {report.key: type(report) for report in reports} == {"held": Lost, "quick": Ended}
    assert [r.reason for r in reports if isinstance(r, Lost)] == [
        "signal 9 (SIGKILL): killed, as the worker stops"
    ]
    assert not alive(held.pid)


@pytest.mark.parametrize("method", METHODS_IN_TURN)
def test_stop_does_not_wait_for_an_import(new_pool, job_gate, method):
    pool = new_pool(factory="make_endless", method=method, ready=False)
    if method is StartMethod.SPAWN:
        thread = threading.Thread(target=job_gate.arrival)  # an import has begun in a child
        thread.start()
        while thread.is_alive():
            pool.collect()
            thread.join(0.01)
    else:
        job_gate.arrival()
    before = time.monotonic()

    assert pool.stop(1_000) == []

    assert time.monotonic() - before < 10


@pytest.mark.parametrize("method", METHODS_IN_TURN)
def test_nothing_is_left_behind(new_pool, job_gate, method):
    before = descriptors(), processes()

    pool = new_pool(size=3, method=method)
    nursery = pool._brood._nurseries.current.pid
    run_all(pool, [job(n, *(["echo", n] if n % 5 else ["kill"])) for n in range(20)])
    pool.submit([job("held", "wait")])
    held = job_gate.arrival()
    pids = pool.pids
    pool.stop(0)
    held.knock.close()

    assert (descriptors(), processes()) == before
    assert not [pid for pid in (nursery, *pids) if alive(pid)]


# --- what a task may do --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS_IN_TURN)
def test_a_child_has_its_standard_streams_its_pipe_its_turnstile_and_nothing_else(new_pool, method):
    (report,) = run_all(new_pool(size=1, method=method), [job("a", "fds")])

    assert len(value_of(report)) == 3 + 2 + 1  # the last is that of the listing itself


def test_what_a_task_prints_is_not_taken_for_a_report(new_pool, capfd):
    pool = new_pool(size=1)

    reports = run_all(pool, [job("a", "noise"), job("b", "echo", 2)])

    assert [value_of(report) for report in reports] == ["fine", 2]


def test_an_outcome_that_cannot_be_sent_is_a_failure(new_pool):
    reports = run_all(new_pool(size=1), [job("a", "unmarshallable"), job("b", "echo", 2)])

    assert isinstance(reports[0].outcome, Failure)
    assert "cannot be sent" in reports[0].outcome.error.text
    assert value_of(reports[1]) == 2


def test_a_task_may_terminate_what_it_started(new_pool):
    reports = run_all(new_pool(size=1), [job("a", "terminate", "program"), job("b", "terminate", "fork")])

    assert [value_of(report) for report in reports] == [-signal.SIGTERM, -signal.SIGTERM]


def test_a_task_may_use_multiprocessing(new_pool):
    (report,) = run_all(new_pool(size=1), [job("a", "multiprocessing")])

    assert value_of(report) == 0


# --- the worker and its terminal -----------------------------------------------------------------------------------------------


@contextmanager
def program(job_gate, method, *, command=("-m", "support.pool_program")):
    """The program, in a process group of its own, with a job that waits at the job_gate."""
    argv = [sys.executable, *command, job_gate.path, method]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    started = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environ, process_group=0)
    with started:
        try:
            yield started
        finally:
            started.kill()


def line_of(started):
    readable, _, _ = select.select([started.stdout], [], [], SECONDS)
    assert readable, "the program says nothing"
    return started.stdout.readline().split(maxsplit=1)


@pytest.mark.parametrize("method", METHODS_IN_TURN)
def test_when_the_worker_is_killed_all_its_processes_go(job_gate, method):
    with program(job_gate, method) as started:
        assert line_of(started) == ["main", "__main__\n"]
        pids = json.loads(line_of(started)[1])
        assert job_gate.arrival().pid in pids
        assert all(map(alive, pids))
        assert len(pids) == 4

        started.kill()

        wait_dead(*pids)


@pytest.mark.parametrize("method", METHODS_IN_TURN)
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
def test_a_signal_to_the_whole_process_group_ends_no_job(job_gate, method, signum):
    with program(job_gate, method) as started:
        assert line_of(started)[0] == "main"
        pids = json.loads(line_of(started)[1])
        held = job_gate.arrival()

        os.killpg(started.pid, signum)
        os.killpg(started.pid, signum)
        held.let_go()

        word, how = line_of(started)
        assert (word, how.split()[0]) == ("report", "Ended")
        assert int(how.split()[1]) >= 1  # the worker itself was told
        assert started.wait(SECONDS) == 0
        wait_dead(*pids)


@pytest.mark.parametrize("method", METHODS_IN_TURN)
def test_the_program_that_opens_a_pool_is_not_imported_again_by_its_children(job_gate, method):
    script = TESTS / "support" / "pool_program.py"
    with program(job_gate, method, command=(str(script),)) as started:
        assert line_of(started) == ["main", "__main__\n"]
        assert line_of(started)[0] == "up"
        job_gate.arrival().let_go()
        assert line_of(started) == ["report", "Ended 0\n"]
        assert started.wait(SECONDS) == 0
        assert started.stdout.read() == ""


# --- an app --------------------------------------------------------------------------------------------------------------------

APP = """
from backbeat.canvas.app import App
from backbeat.canvas.errors import Reject

app = App("pooled", broker="memory://", set_as_current=False)

@app.task(name="add")
def add(x, y):
    return x + y

@app.task(name="refuse")
def refuse():
    raise Reject("later", requeue=True)

@app.task(name="divide")
def divide(x):
    return 1 / x
"""


@pytest.mark.parametrize("method", METHODS_IN_TURN)
def test_tasks_of_an_app_run_in_children(tmp_path, monkeypatch, method):
    (tmp_path / "pooled_app.py").write_text(APP)
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = RunnerSpec("backbeat.canvas.pools.child:make_runner", ("pooled_app:app", "me@here"))
    pool = ProcessPool(1, spec, method)

    def call(key, task, args):
        return Job(key, pack(to_wire(Message(id=key, task=task, args=args)), "celery"), "celery")

    try:
        wait_free(pool, 1)
        reports = run_all(
            pool,
            [
                call("sum", "add", "[1,2]"),
                call("no", "refuse", "[]"),
                call("zero", "divide", "[0]"),
                Job("bad", "{}", "celery"),
            ],
        )
    finally:
        pool.stop(5)

    sum_, no, zero, bad = reports
    assert value_of(sum_) == 3
    assert type(no).__name__ == "Requeue"
    assert zero.outcome.error.type == "ZeroDivisionError"
    assert "divide" in zero.outcome.traceback
    assert bad.outcome.error.type == "MessageError"
    assert bad.outcome.error.node == "bad"


def test_an_app_that_does_not_exist_is_an_error_with_its_name():
    spec = RunnerSpec("backbeat.canvas.pools.child:make_runner", ("no_such_app_anywhere:app", "me@here"))
    pool = ProcessPool(2, spec)
    try:
        with pytest.raises(ChildrenCannotStart, match="no_such_app_anywhere"):
            wait_free(pool, 1)
    finally:
        pool.stop(0)
