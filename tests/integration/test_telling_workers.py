"""What an app tells to workers and hears of them, from code: events of what was sent, and revoking where nothing but workers remembers it."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack

import pytest
from backbeat.canvas import App

from support import servers
from support.celery_env import ready_program
from support.processes import wait_until
from support.stacks import own_redis_database

PROJECT = """
from pathlib import Path
from backbeat.canvas import App

app = App("notes", broker={broker!r}, backend={backend!r})

@app.task
def note(path):
    Path(path).write_text("ran")

@app.task
def wait(path, go):
    import time
    Path(path).write_text("runs")
    while not Path(go).exists():
        time.sleep(0.02)
"""


@pytest.fixture(params=["redis", "rabbitmq"])
def broker(request):
    opened = own_redis_database() if request.param == "redis" else servers.own_vhost()
    with opened as url:
        yield url


@pytest.fixture
def app(broker):
    with App("client", broker=broker, backend="rpc://", set_as_current=False) as opened:
        yield opened


@pytest.fixture
def worker(broker, tmp_path):
    """A worker without a result backend but rpc."""
    (tmp_path / "notes.py").write_text(PROJECT.format(broker=broker, backend="rpc://"))
    command = [
        sys.executable,
        "-m",
        "backbeat.scheduler.cli",
        "-A",
        "notes:app",
        "worker",
        "-c",
        "2",
        "-n",
        "a@notes",
    ]
    with ExitStack() as lent:
        lent.enter_context(ready_program(tmp_path, *command))
        yield "a@notes"


def test_with_task_send_sent_event_who_listens_hears_of_a_task_before_any_worker_has_it(app):
    app.conf.task_send_sent_event = True
    with app.events.Receiver() as receiver:
        receiver.listen()
        handle = app.send_task("notes.note", ["x"], queue="nobody")
        (event,) = receiver.itercapture(limit=1, timeout=20)

    assert (event["type"], event["uuid"], event["name"]) == ("task-sent", handle.id, "notes.note")
    assert (event["queue"], event["routing_key"], event["args"]) == ("nobody", "nobody", "['x']")


def test_k17_without_a_result_backend_workers_that_run_are_told_what_is_revoked(app, worker, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    first = app.send_task("notes.note", [str(one)], countdown=3)
    second = app.send_task("notes.note", [str(two)], countdown=3)

    app.revoke(first.id)
    wait_until(lambda: first.id in app.control.inspect([worker], timeout=20).revoked()[worker], 30)
    wait_until(two.exists, 30)

    assert second.get(timeout=20) is None
    assert not one.exists()


def test_k17_without_a_result_backend_a_task_that_runs_can_be_terminated(app, worker, tmp_path):
    runs = tmp_path / "runs"
    handle = app.send_task("notes.wait", [str(runs), str(tmp_path / "never")])
    wait_until(runs.exists, 30)

    app.revoke(handle.id, terminate=True)

    wait_until(lambda: app.control.inspect([worker], timeout=20).active() == {worker: []}, 30)


def test_answers_are_waited_for_no_longer_than_they_can_come(app, worker):
    began = time.monotonic()

    assert app.control.ping(destination=[worker], timeout=30) == [{worker: {"ok": "pong"}}]
    assert app.control.inspect(timeout=30, limit=1).ping() == {worker: {"ok": "pong"}}
    assert app.control.inspect(pattern="a@*", timeout=30, limit=1).clock().keys() == {worker}
    assert time.monotonic() - began < 20
    assert app.control.inspect(["nobody@notes"], timeout=0.2).ping() is None
    assert app.control.broadcast("heartbeat") is None


def test_what_waits_in_the_apps_queues_is_purged_from_code_and_settles(broker):
    with (
        own_redis_database() as backend,
        App("client", broker=broker, backend=backend, set_as_current=False) as app,
    ):
        waiting = [app.send_task("notes.note", ["x"]) for _ in range(3)]
        followed = app.signature("notes.note", ["x"]) | app.signature("notes.note", ["y"])
        last = followed.apply_async()

        assert app.control.purge() == 4
        assert [str(each.state) for each in (*waiting, last)] == ["REVOKED"] * 3 + ["FAILURE"]
        assert app.control.discard_all() == 0
