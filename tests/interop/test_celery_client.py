"""A real Celery client in front of a backbeat worker, over Redis: what both sides make of errors, states and values. Every kind of call is in test_both_ways.py."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from backbeat.canvas.errors import TaskError

from support.celery_env import run_celery
from support.processes import wait_until
from support.stacks import own_redis_database

TASKS = """
from enum import StrEnum
from pathlib import Path
from threading import Event
from backbeat.canvas import App

class Kind(StrEnum):
    GOOD = "good"

app = App("interop")
app.conf.task_default_queue = "interop"

@app.task(name="interop.add")
def add(x, y):
    return x + y

@app.task(name="interop.fail")
def fail(text):
    raise ValueError(text)



@app.task(name="interop.typed")
def typed(moment, amount):
    return [moment.isoformat(), str(amount)]

@app.task(name="interop.rich")
def rich():
    return ("pair", {3}), Path("/a"), [Kind.GOOD]

@app.task(name="interop.steps", bind=True)
def steps(self, gate):
    self.update_state(state="PROGRESS", meta={"done": 5})
    for _ in range(1_000):
        if Path(gate).exists():
            return "ended"
        Event().wait(0.02)
    raise TimeoutError(gate)

class Declined(Exception):
    def __init__(self, code):
        super().__init__(f"declined: {code}", (code,))
        self.code = code

@app.task(name="interop.decline")
def decline(code):
    raise Declined(code) from KeyError(code)
"""

CLIENT = """
import json, sys
from celery import Celery, chain, signature
app = Celery("client", broker=sys.argv[1], backend=sys.argv[1])
app.conf.task_default_queue = "interop"
def sig(name, *args, **options):
    return app.signature("interop." + name, args=args, options=options)
"""


@pytest.fixture(scope="module")
def worker_url(tmp_path_factory):
    """The URL of a Redis database of its own, with a backbeat worker on it."""
    home = tmp_path_factory.mktemp("interop")
    (home / "interop_tasks.py").write_text(TASKS)
    path = home / "worker.log"
    with own_redis_database() as url:
        command = [sys.executable, "-m", "backbeat.scheduler.cli", "-A", "interop_tasks:app", "-b", url]
        with path.open("w") as log:
            process = subprocess.Popen(
                [*command, "worker", "-Q", "interop", "-c", "2"],
                cwd=home,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_until(lambda: "ready" in path.read_text() or process.poll() is not None, what=path.read_text)
            assert process.poll() is None, path.read_text()
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(30)
        assert code == 0, path.read_text()


def test_a_failed_step_raises_its_own_exception_and_settles_the_rest(worker_url):
    script = CLIENT + (
        "r = chain(sig('add', 1, 2), sig('fail', ), sig('add', 1)).apply_async()\n"
        "try:\n"
        "    r.get(timeout=10)\n"
        "except ValueError as e:\n"
        "    caught = str(e)\n"
        "fresh = app.AsyncResult(r.id)\n"
        "print(json.dumps([caught, fresh.state, 'ValueError' in (fresh.traceback or r.parent.traceback)]))"
    )

    assert run_celery(script, worker_url) == ["3", "FAILURE", True]


def test_a_state_of_a_task_s_own_is_seen_while_it_runs(worker_url, tmp_path):
    script = CLIENT + (
        "import pathlib, time\n"
        "r = sig('steps', sys.argv[2]).delay()\n"
        "deadline = time.monotonic() + 20\n"
        "while r.state != 'PROGRESS' and time.monotonic() < deadline:\n"
        "    time.sleep(0.02)\n"
        "seen = [r.state, r.info, r.ready()]\n"
        "pathlib.Path(sys.argv[2]).touch()\n"
        "print(json.dumps([*seen, r.get(timeout=20), r.state]))"
    )

    found = run_celery(script, worker_url, str(tmp_path / "gate"))

    assert found == ["PROGRESS", {"done": 5}, False, "ended", "SUCCESS"]


def test_dates_and_decimals_arrive(worker_url):
    script = CLIENT + (
        "from datetime import datetime, timezone\nfrom decimal import Decimal\n"
        "r = sig('typed', datetime(2026, 1, 2, tzinfo=timezone.utc), Decimal('1.50')).delay()\n"
        "print(json.dumps(r.get(timeout=10)))"
    )

    assert run_celery(script, worker_url) == ["2026-01-02T00:00:00+00:00", "1.50"]


def test_a_backbeat_client_reads_what_celery_wrote_and_the_other_way_round(worker_url):
    from backbeat.canvas import App

    with App("reader", broker=worker_url, set_as_current=False) as app:
        handle = app.send_task("interop.fail", ["boo"], queue="interop")
        with pytest.raises(ValueError, match="boo"):
            handle.get(timeout=10)
        script = CLIENT + (
            "r = app.AsyncResult(sys.argv[2])\n"
            "print(json.dumps([r.state, repr(r.result), r.name, r.args, bool(r.date_done)]))"
        )
        seen = run_celery(script, worker_url, handle.id)

    assert seen == ["FAILURE", "ValueError('boo')", "interop.fail", ["boo"], True]


def test_values_of_types_that_celery_has_not_are_plain_for_it_and_themselves_for_us(worker_url):
    from backbeat.canvas import App

    with App("reader", broker=worker_url, set_as_current=False) as app:
        rich, declined = (
            app.send_task("interop.rich", queue="interop"),
            app.send_task("interop.decline", [5], queue="interop"),
        )
        # the class of the member is not loaded here
        assert rich.get(timeout=10) == (("pair", {3}), Path("/a"), ["good"])
        with pytest.raises(TaskError) as caught:
            declined.get(timeout=10)
        script = CLIENT + (
            "rich, declined = map(app.AsyncResult, sys.argv[2:])\n"
            "print(json.dumps([rich.get(timeout=10), type(declined.result).__name__, declined.result.args, rich.name]))"
        )
        seen = run_celery(script, worker_url, rich.id, declined.id)

    assert seen == [[["pair", [3]], "/a", ["good"]], "Declined", ["declined: 5", [5]], "interop.rich"]
    found = caught.value
    assert (type(found).__name__, type(found).__module__) == ("Declined", "interop_tasks")
    assert (found.args, found.code) == (("declined: 5", (5,)), 5)
    assert type(found.__cause__) is KeyError
    assert "in decline" in found.remote_traceback
