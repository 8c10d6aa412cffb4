"""What a worker with a pool tells while tasks run: their states, in the store; hooks and signals, in the process where it happens."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager

import pytest
from backbeat.canvas.worker.listener import LogListener
from backbeat.canvas.worker.wiring import WorkerOptions, open_worker

from support.journal import read_lines
from support.processes import wait_until
from support.stacks import GREEN_POOLS
from support.telling_app import NAME, PATH, app, step
from support.thorough import in_turn

SECONDS = 30.0
POOLS = ["solo", "threads", "processes", "asyncio", *GREEN_POOLS]


@contextmanager
def working(broker, backend=None, pool="processes", **options):
    """A worker of telling_app in a thread of this process."""
    app.close()
    app.conf.update({"broker_url": broker, "result_backend": backend, **options})
    worker = open_worker(
        app, f"{NAME}:app", WorkerOptions(pool=pool, concurrency=1, name="tells@here"), LogListener()
    )
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        worker.stop()
        thread.join(SECONDS)
        app.close()
        for name in options:
            del app.conf[name]
    assert not thread.is_alive()


@pytest.fixture
def gate(tmp_path):
    return tmp_path / "gate"


@pytest.fixture(
    params=in_turn(
        ["memory", "sqlite", "postgres", "mariadb", "redis", "rpc", "rabbitmq+redis"],
        always=["memory", "sqlite", "redis", "rpc"],
    )
)
def place(request, tmp_path):
    """Broker, backend and settings."""
    match request.param:
        case "memory":
            return f"memory://{tmp_path.name}", None, {}
        case "sqlite":
            return f"sqlite:///{tmp_path}/tells.db", None, {}
        case "redis":
            url, prefix = request.getfixturevalue("redis_prefixed")
            return url.partition("?")[0], None, {"broker_transport_options": {"global_keyprefix": prefix}}
        case "rpc":
            return request.getfixturevalue("amqp_url"), "rpc://", {}
        case "rabbitmq+redis":
            url, prefix = request.getfixturevalue("redis_prefixed")
            options = {"result_backend_transport_options": {"global_keyprefix": prefix}}
            return request.getfixturevalue("amqp_url"), url.partition("?")[0], options
    return request.getfixturevalue(f"{request.param}_url"), None, {}


def sees_steps(gate):
    handle = step.delay(str(gate))
    wait_until(
        lambda: handle.state == "STEP" and handle.info == {"done": 199},
        SECONDS,
        what=lambda: f"{handle.state} {handle.info}",
    )
    assert not handle.ready()
    gate.touch()
    assert handle.get(timeout=SECONDS) == "ended"
    assert handle.state == "SUCCESS"
    skipped = app.send_task("skip")
    wait_until(skipped.ready, SECONDS)
    assert (skipped.state, skipped.info) == ("SKIPPED", {"why": "nothing to do"})


def test_a_state_is_seen_while_its_task_runs_on_every_backend(place, gate):
    broker, backend, options = place
    with working(broker, backend, **options):
        sees_steps(gate)


@pytest.mark.parametrize("pool", in_turn(POOLS, always=["solo", "processes"]))
def test_a_state_is_seen_while_its_task_runs_in_every_pool(pool, tmp_path, gate):
    with working(f"sqlite:///{tmp_path}/tells.db", pool=pool):
        sees_steps(gate)


def test_without_a_pool_to_pass_it_on_a_state_is_sent_by_the_task_itself(amqp_url, gate):
    with working(amqp_url, "rpc://", pool="solo"):
        sees_steps(gate)


@pytest.mark.parametrize("pool", in_turn(POOLS, always=["solo", "processes"]))
def test_hooks_are_told_in_the_process_that_ran_the_task(pool, tmp_path, monkeypatch):
    log = tmp_path / "told"
    monkeypatch.setenv(PATH, str(log))
    with working(f"sqlite:///{tmp_path}/tells.db", pool=pool):
        ids = [app.send_task("divide", args) for args in ((6, 3), (6, 0))]
        assert ids[0].get(timeout=SECONDS) == 2.0
        assert isinstance(ids[1].get(timeout=SECONDS, propagate=False), ZeroDivisionError)

    told = [line for line in read_lines(log) if line["what"].startswith(("before_s", "on_", "after_r"))]
    assert [(line["what"], line["id"]) for line in told] == [
        *((what, ids[0].id) for what in ("before_start", "on_success", "after_return")),
        *((what, ids[1].id) for what in ("before_start", "on_failure", "after_return")),
    ]
    begun = [line for line in told if "calls" in line]
    pids = [line["pid"] for line in begun]
    # a process that was slow to come up on a busy machine may have been given a successor in between
    counted = [pids[: index + 1].count(pid) for index, pid in enumerate(pids)]
    assert [line["calls"] for line in begun] == counted or pool == "solo"
    assert {line["pid"] == os.getpid() for line in told} == {pool == "solo"}
    assert told[4]["traceback"]


@pytest.mark.parametrize("pool", in_turn(POOLS, always=["solo", "processes"]))
def test_signals_are_told_where_it_happens(pool, tmp_path, monkeypatch):
    log = tmp_path / "told"
    monkeypatch.setenv(PATH, str(log))
    with working(f"sqlite:///{tmp_path}/tells.db", pool=pool, task_max_lost=1):
        done, unknown = app.send_task("divide", (6, 3)), app.send_task("nobody")
        late = app.send_task("divide", (6, 3), countdown=60)
        late.revoke()
        expired = app.send_task("divide", (6, 3), expires=-1)
        for handle in (done, unknown, late, expired):
            handle.get(timeout=SECONDS, propagate=False)
        died = app.send_task("die") if pool != "solo" else None
        if died is not None:
            died.get(timeout=SECONDS, propagate=False)

    lines = read_lines(log)
    ours = [line["what"] for line in lines if line["pid"] == os.getpid()]
    theirs = [line["what"] for line in lines if line["pid"] != os.getpid()]
    runs = ["task_prerun", "task_success", "task_postrun"]
    here, there = (ours, ours) if pool == "solo" else (ours, theirs)
    for what in ("celeryd_after_setup", "worker_init", "worker_ready", "worker_shutdown", "task_unknown"):
        assert here.count(what) == 1, what
    assert {"before_task_publish", "after_task_publish", "task_received", "import_modules"} <= set(here)
    assert [what for what in there if what in runs] == runs or died is not None
    assert {*runs, "worker_process_init"} <= set(there)
    revoked = {line["id"] for line in lines if line["what"] == "task_revoked"}
    assert expired.id in revoked
    if died is not None:
        assert [line["id"] for line in lines if line["what"] == "task_failure"] == [died.id]
